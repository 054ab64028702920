"""A finished run whose result is worth nothing is called so in every list, whoever trained it, and cheaply."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from loratui.commands.tree import loratui
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.paths import runs_home
from loratui.runs.directory import Run
from loratui.runs.events import Event, encode, make
from loratui.runs.lines import LineTail
from loratui.runs.listing import list_runs
from loratui.runs.status import Status, write_status
from loratui.runs.verdict import SHORT_BYTES

CURVES = Path(__file__).parents[1] / "core" / "curves"
DIVERGED = "The loss began at 1.45 and stands at 2.2: it has not come back below its start."


def recorded(name: str) -> list[float]:
    return [float(loss) for loss in json.loads((CURVES / f"{name}.json").read_text())["losses"]]


def finished(name: str, losses: Sequence[float], *more: Event, judged: bool = False) -> Run:
    """A run that made these steps, as a worker of today (judged) or of earlier leaves it."""
    run = Run(runs_home() / name)
    run.path.mkdir(parents=True)
    run.plan_path.write_text(plan_to_toml(with_values(Plan(), {"training.learning_rate": 0.3})))
    events = [make("started", 1.0, step=0, total_steps=len(losses), eval_examples=0)]
    events += [make("step", 2.0, step=step, loss=loss, learning_rate=0.3) for step, loss in enumerate(losses, 1)]
    events += [make("finished", 3.0, step=len(losses), **({"judged": True} if judged else {})), *more]
    run.events_path.write_text("".join(f"{encode(event)}\n" for event in events))
    write_status(run.status_path, Status(state="finished", step=len(losses), total=len(losses), loss=losses[-1]))
    return run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))


def test_a_run_of_an_older_worker_is_judged_as_the_monitor_judges_it() -> None:
    finished("older", recorded("diverging_back"))
    finished("well", recorded("healthy"))
    words = {one.name: one.words for one in list_runs()}
    assert words == {"older": DIVERGED, "well": ""}
    listed = CliRunner().invoke(loratui, ["runs"]).output
    assert "finished, but diverged" in listed and DIVERGED in listed
    well = next(line for line in listed.splitlines() if line.startswith("well"))
    assert "finished" in well and "diverged" not in well
    shown = json.loads(CliRunner().invoke(loratui, ["runs", "--json"]).output)["runs"]
    assert {one["name"]: (one["state"], one["worthless"]) for one in shown} == {
        "older": ("finished", True),
        "well": ("finished", False),
    }


def test_attach_says_that_the_result_is_worth_nothing_and_what_would_mend_it() -> None:
    finished("older", recorded("diverging_back"))
    told = CliRunner().invoke(loratui, ["attach", "older", "--plain"])
    assert told.exit_code == 1 and DIVERGED in told.output
    assert "--set training.learning_rate=" in told.output and "--anew" in told.output


def test_what_its_own_worker_found_decides() -> None:
    losses = recorded("diverging_back")
    finished("judged", losses, judged=True)
    told = make("finding", 4.0, finding="diverging", severity="error", message="It blew up.", step=160)
    finished("told", recorded("healthy"), told, judged=True)
    assert {one.name: one.words for one in list_runs()} == {"judged": "", "told": "It blew up."}


@pytest.mark.parametrize(
    ("end", "word"), [(lambda step: 6.0 + step % 3 / 10, "diverged"), (lambda step: 0.5, ""), (lambda step: 2.5, "")]
)
def test_of_a_long_history_both_ends_decide_and_little_is_read(
    end: Callable[[int], float], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished("long", [2.0, *(end(step) for step in range(15_000))])
    assert run.events_path.stat().st_size > 5 * SHORT_BYTES
    reads: list[int] = []
    read = LineTail.read

    def counted(tail: LineTail, limit_bytes: int = 1 << 20) -> list[bytes]:
        reads.append(limit_bytes)
        return read(tail, limit_bytes)

    monkeypatch.setattr(LineTail, "read", counted)
    (found,) = list_runs()
    assert (found.ruin.word if found.ruin else "") == word and sum(reads) <= 1 << 20
    for _ in range(50):
        list_runs()
    assert sum(reads) <= 1 << 20, "it is judged once, by a small part of it"
