"""`loratui runs`: the runs of this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from loratui.commands.group import LazyGroup
from loratui.commands.text import table
from loratui.core.errors import LoratuiError
from loratui.format import age, duration, loss_text
from loratui.terminal import say, say_json

if TYPE_CHECKING:
    from loratui.runs.by_part import PartLoss
    from loratui.runs.summary import RunSummary

PARTS = {
    "findings": "What the monitor says of a run, and what would mend it.",
    "export": "A run in TensorBoard, Weights & Biases, trackio or MLflow.",
}


@click.group(cls=LazyGroup, listed=PARTS, modules={"export": "run_export"}, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the runs of this machine, the newest first; with a command, look into one.

    Those that were begun in a directory of their own (`loratui train --output`) are listed by it while it is there. Of
    a run on several datasets the newest evaluation's held-out loss of each is told.
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)


def _list(as_json: bool) -> None:
    from loratui.paths import runs_home
    from loratui.runs.listing import list_runs

    found = list_runs()
    begins = _expected({str(one.run.place) for one in found if one.state == "queued"})
    if as_json:
        runs = [
            one.as_json()
            | {
                "expected_start_seconds": begins.get(str(one.run.place)),
                "parts": [part.document for part in _parts(one)],
            }
            for one in found
        ]
        say_json({"home": str(runs_home()), "runs": runs})
        return
    if not found:
        say(f"There are no runs in {runs_home()} yet. Start one with `loratui`, or with `loratui train plan.toml`.")
        return
    rows = [["run", "state", "step", "loss", "age", ""]]
    for one in found:
        status = one.status
        loss = "" if status.loss is None else f"{status.loss:.4f}"
        step = f"{status.step:,}/{status.total:,}" if status.total else ""
        seconds = begins.get(str(one.run.place))
        start = f"expected to start in {duration(seconds)}" if seconds else "starts next" if seconds == 0 else ""
        told = one.words.rstrip(".") if start else one.words
        shown = (f"{part.name} {part.mark}{' ' * bool(part.mark)}{loss_text(part.loss)}" for part in _parts(one))
        by_part = ", ".join(shown)
        held_out = f"held out: {by_part}" if by_part else ""
        words = "; ".join(part for part in ("not made here" * one.foreign, held_out, told, start) if part)
        state = f"finished, but {one.ruin.word}" if one.ruin else one.state
        rows.append([one.name, state, step, loss, age(time.time() - one.created), words])
    say(table(rows, right=frozenset({2, 3, 4})))


def _parts(one: RunSummary) -> list[PartLoss]:
    """The newest held-out loss of each part; none where the run has no parts."""
    from loratui.runs.by_part import newest_parts

    return newest_parts(one.run) if one.plan is not None and one.plan.dataset.parts else []


def _expected(waiting: set[str]) -> dict[str, float | None]:
    """Seconds until those start that wait for this machine, as far as that is known."""
    if not waiting:
        return {}
    from loratui.machine.detect import detect_machine
    from loratui.queue.forecast import expected
    from loratui.queue.trainings import trainings
    from loratui.runs.waiting import read_queue

    try:
        return expected(read_queue(), detect_machine(), trainings())
    except LoratuiError:
        return {}  # each run says that the queue cannot be read
