"""What is shown of a run that is trained anew belongs to the attempt that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_run import BEGAN, record_run

from loratui.runs.events import encode, make
from loratui.runs.status import read_status
from loratui.tui.home.reading import Looker
from loratui.tui.training.follow import Followed
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import facts, fix_line, headline
from loratui.tui.training.stages import stage_lines

ENDED = [make("phase", BEGAN + 85, phase="export", message="Writing the result")]
ANEW = make("fix", BEGAN + 1_000, start="anew", set_aside=["adapter"])


def test_the_monitor_tells_of_the_attempt_that_runs(tmp_path: Path) -> None:
    run = record_run(tmp_path, state="starting", steps=120, total=120, more=[*ENDED, ANEW])
    followed = Followed(run)
    followed.poll()
    assert "Writing the result" not in headline(followed).plain
    assert "tokenise" not in followed.record.stages
    figures = {name: value for name, value, _ in facts(followed.record, None)}
    assert not {"in all", "paused", "checkpoint"} & set(figures)
    assert (figures["held out"], figures["peak memory"], figures["loss"]) == ("–", "–", "–")
    status = read_status(run.status_path)
    assert status is not None
    assert not any("tokenise" in line.plain and "✓" in line.plain for line in stage_lines(followed.record, status))

    begun = [make("phase", BEGAN + 1_008, phase="load_model"), make("started", BEGAN + 1_010, total_steps=120)]
    with run.events_path.open("a") as file:
        file.write("".join(encode(one) + "\n" for one in (*begun, make("step", BEGAN + 1_020, step=3, loss=2.0))))
    followed.poll()
    figures = {name: value for name, value, _ in facts(followed.record, None)}
    assert figures["in all"] == "12 s"
    assert "paused" not in figures


def test_a_plan_that_is_as_it_was_is_not_called_changed(tmp_path: Path) -> None:
    anew = make("fix", BEGAN + 1_000, start="anew", message="It starts anew from the base model at step 0.")
    made = make("step", BEGAN + 1_020, step=1, loss=2.0, learning_rate=1e-4)
    run = record_run(tmp_path, steps=120, total=120, more=[anew, made])
    followed = Followed(run)
    followed.poll()
    (line,) = fix_line(followed)
    assert "It starts anew from the base model" in line.plain and "changed plan" not in line.plain, line.plain


def test_home_tells_of_the_attempt_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    run = record_run(tmp_path, state="starting", steps=120, total=120, more=[*ENDED, ANEW])
    looker = Looker()
    line = looker.look().lines[0]
    assert (line.outcome.best, line.losses) == (None, ())
    with run.events_path.open("a") as file:
        file.write(encode(make("step", BEGAN + 1_020, step=3, loss=2.0)) + "\n")
    assert looker.look().lines[0].losses == (2.0,)


def test_a_change_that_goes_on_from_a_checkpoint_keeps_the_time(tmp_path: Path) -> None:
    record = RunRecord()
    record.take([make("started", 10.0, total_steps=9), make("step", 20.0, step=5), make("stopped", 21.0, step=5)])
    record.take([make("fix", 30.0, start="checkpoint", from_step=5), make("phase", 35.0, phase="load_model")])
    assert record.worked_seconds == 11
    assert record.step is not None
