"""Every figure of a run stays on the training screen, however many parts its mix has and bars its device."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pictured import until
from recorded_run import BEGAN, record_run
from textual.pilot import Pilot
from wizard import machine

from loratui.core.early_stopping import Change
from loratui.runs.events import encode, make
from loratui.runs.outcome import OutcomeTail
from loratui.tui.app import LoratuiApp
from loratui.tui.training.figures import fitting_figures
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import facts
from loratui.tui.training.screen import TrainingScreen

WORSE = Change(step=0, before=0.7, difference=0.3, low=0.2, high=0.4, rows=40)
LOSSES = {"colours": 0.256, "days": 0.7711, "rules": 0.5}
PREDICTED = 716 << 20


async def panel(pilot: Pilot[Any], words: str) -> str:
    """The text of the panel of figures once the screen shows these words."""
    await until(pilot, words)
    app = pilot.app
    region = app.screen.query_one("#facts").region
    lines = [
        "".join(segment.text for segment in strip)[region.x : region.right]
        for strip in app.screen._compositor.render_strips()
    ]
    return "\n".join(lines[region.y : region.bottom])


@pytest.mark.parametrize("parts", [2, 3, 6])
@pytest.mark.parametrize("state", ["running", "finished"])
@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_nothing_is_pushed_off_by_the_parts_of_a_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], state: str, parts: int
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    monkeypatch.setattr("loratui.tui.training.screen.predicted_bytes", lambda plan, record: PREDICTED)
    monkeypatch.setattr(TrainingScreen, "_machine", property(lambda self: machine(1)))
    losses = LOSSES | {f"more-{number}": 0.3 for number in range(parts - len(LOSSES))}
    losses = dict(list(losses.items())[:parts])
    evaluation = make("eval", BEGAN + 40, step=142, loss=0.3, rows=40, exact_match=0.67, loss_by_part=losses)
    run = record_run(tmp_path, more=[evaluation], state=state, checkpoint=True)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        text = await panel(pilot, "716 MiB")
        for words in ("loss", "held out", "0.7711", "67%", "accuracy", "norm", "430 MiB", "716 MiB", "K"):
            assert words in text, (words, text)
        assert "saved" in text or "checkpoint" in text, text
        assert "in all" in text, text


def test_in_one_line_the_part_that_got_worse_stands_for_all() -> None:
    record = RunRecord()
    event = make("eval", 1.0, step=20, loss=0.5, rows=40, loss_by_part=LOSSES, parts_beside_best={"rules": WORSE})
    record.take([make("started", 0.5, step=0, total_steps=40), event])
    whole = [line.plain.strip() for line in fitting_figures(record, PREDICTED, 30, 40)]
    assert "colours" in " ".join(whole) and "predicted   716 MiB" in whole
    least = [line.plain.strip() for line in fitting_figures(record, PREDICTED, 30, 0)]
    assert "rules      0.5000 ▲ since 0" in least
    assert "days" not in " ".join(least) and len(least) < len(whole)
    untold = RunRecord()
    untold.take([make("eval", 1.0, step=20, loss=0.5, rows=40, loss_by_part=LOSSES)])
    assert "days       0.7711 max of 3" in [line.plain.strip() for line in fitting_figures(untold, None, 30, 0)]


@pytest.mark.parametrize("height", range(8, 20))
def test_only_as_many_figures_share_a_line_as_must(height: int) -> None:
    record = RunRecord()
    record.take([make("step", 2.0, step=1, loss=1.0, tokens=5, tokens_per_second=3.0, memory_peak=1 << 30)])
    alone = fitting_figures(record, PREDICTED, 30, 40)
    lines = fitting_figures(record, PREDICTED, 30, height)
    assert len(lines) == min(height, len(alone))
    assert all(line.cell_length <= 30 for line in lines)


BEFORE = make("eval", 1.0, step=0, loss=2.5941)


@pytest.mark.parametrize(
    ("evaluations", "best", "row"),
    [
        ([BEFORE], None, ("held out", "–", "before 2.5941")),
        ([BEFORE, make("eval", 2.0, step=8, loss=0.5)], 0.5, ("held out", "0.5000", "best at 8")),
        (
            [make("eval", 2.0, step=8, loss=math.nan), make("eval", 3.0, step=16, loss=0.7)],
            0.7,
            ("held out", "0.7000", "best at 16"),
        ),
        ([make("eval", 2.0, step=8, loss=math.nan)], None, ("held out", "nan", "")),
        ([], None, ("held out", "–", "")),
    ],
)
def test_the_list_and_the_training_screen_know_the_same_held_out_figure(
    tmp_path: Path, evaluations: list[Any], best: float | None, row: tuple[str, str, str]
) -> None:
    """A stopped run that was evaluated before its first step alone had none on Home and one on Training."""
    events = [make("started", 0.5, step=0, total_steps=40), *evaluations, make("stopped", 9.0, step=20)]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(encode(event) + "\n" for event in events))
    tail = OutcomeTail(path)
    tail.look(1 << 20)
    record = RunRecord()
    record.take(events)
    assert (tail.outcome.best.loss if tail.outcome.best else None) == best
    assert (record.best_eval.loss if record.best_eval else None) == best
    assert row in facts(record, None)


async def test_home_says_that_a_run_was_only_evaluated_before_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    run = record_run(tmp_path, state="stopped", steps=20)
    events = [make("started", BEGAN, step=0, total_steps=40), BEFORE, make("stopped", BEGAN + 9, step=20)]
    run.events_path.write_text("".join(encode(event) + "\n" for event in events))
    async with LoratuiApp(screen="runs").run_test(size=(80, 24)) as pilot:
        await until(pilot, "held-out 2.5941 before it, not since")


def test_on_80_columns_the_best_evaluation_and_the_prediction_keep_their_notes() -> None:
    record = RunRecord()
    events = [make("step", 1.0, step=150, loss=0.1, learning_rate=3.13e-4, grad_norm=0.148, memory_peak=PREDICTED)]
    events += [make("eval", 2.0, step=140, loss=0.5), make("eval", 3.0, step=150, loss=0.6)]
    record.take([make("started", 0.5, step=0, total_steps=400), *events])
    narrow = [line.plain.rstrip() for line in fitting_figures(record, PREDICTED, 30, 40)]
    assert "held out    0.6000 best at 140" in narrow and "predicted   716 MiB 100% of it" in narrow
    assert "rate        3.13e-4" in narrow and "norm        0.148" in narrow
    wide = [line.plain.rstrip() for line in fitting_figures(record, PREDICTED, 48, 40)]
    assert "learning rate 3.13e-4" in wide and "gradient norm 0.148" in wide
    assert all(len(line) <= 30 for line in narrow)


async def test_a_run_that_is_over_is_not_said_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    for state, words in (("stopped", "What became of the run"), ("running", "The run goes on by itself")):
        run = record_run(tmp_path, state, state=state)
        async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(80, 24)) as pilot:
            await until(pilot, words)
