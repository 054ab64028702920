"""After more epochs: the plan that runs now is the one that is told, and weights of before are told as such."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import record_run
from test_playground_screen import home as home_of_playground

from loratui.core.plan_text import plan_to_toml, with_values
from loratui.runs.directory import MERGE_NOTE, Run
from loratui.runs.result import left_behind, seal_result
from loratui.runs.resume import longer
from loratui.runs.status import read_status, write_status
from loratui.tui.app import LoratuiApp
from loratui.tui.home.reading import taken_away
from loratui.tui.playground.who import who_answers
from loratui.tui.take_away.outputs import outputs_of
from loratui.tui.take_away.screen import TakeAwayScreen
from loratui.tui.training.follow import Followed
from loratui.tui.training.run_state import headline
from loratui.workers.protocol import ADAPTER
from loratui.workers.target import find_target

__all__ = ["home_of_playground"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def lengthen(run: Run, epochs: float) -> None:
    """The plan as More epochs writes it."""
    plan = run.plan()
    run.plan_path.write_text(plan_to_toml(with_values(plan, longer(run, plan, epochs))), encoding="utf-8")


def test_the_number_of_epochs_follows_the_plan_that_runs_now(home: Path) -> None:
    run = record_run(home, state="running", values={"training.epochs": 3.0})
    followed = Followed(run)
    followed.poll()
    assert "of 3" in headline(followed).plain.split("epoch ")[1]
    assert not followed.poll(), "nothing is new"
    lengthen(run, 397)
    assert followed.poll(), "another plan is news"
    assert headline(followed).plain.split("epoch ")[1].split("   ")[0].endswith("of 400")


async def test_a_screen_that_stays_open_tells_the_new_number_of_epochs(home: Path) -> None:
    run = record_run(home, state="running", values={"training.epochs": 3.0})
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(120, 36)) as pilot:
        await until(pilot, "1.14 of 3")
        lengthen(run, 397)
        await until(pilot, "1.14 of 400")
        assert "✗" not in shown(pilot.app)


WEIGHTS = (8).to_bytes(8, "little") + b"{}".ljust(8)


def put_weights(folder: Path, step: int) -> None:
    """An adapter as PEFT writes it, sealed as a result or a checkpoint of this step is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(WEIGHTS)
    seal_result(folder, step)


def left_at(home: Path, state: str = "stopped") -> Run:
    """A run that finished at step 115, was given more epochs, and is at step 905 now; its best evaluation is of 900."""
    run = record_run(home, state=state, steps=905, total=15_315, message="asked to stop")
    put_weights(run.adapter_path, 115)
    last = run.checkpoints_path / "checkpoint-905"
    last.mkdir(parents=True)
    (last / "trainer_state.json").write_text('{"global_step": 905}')
    put_weights(last, 905)
    return run


@pytest.mark.parametrize("state", ["stopped", "lost", "failed", "running", "finished"])
def test_a_result_is_left_behind_by_what_was_trained_since(home: Path, state: str) -> None:
    left = left_behind(left_at(home, state))
    if state == "finished":  # it keeps the weights that it chose, whichever step they are of
        assert left is None
        return
    assert left is not None
    assert (left.step, left.reached, left.goes_on) == (115, 905, state == "running")
    assert left.checkpoint is not None and left.checkpoint.name == "checkpoint-905"


def test_nothing_is_left_behind_before_a_further_step(home: Path) -> None:
    run = record_run(home, state="stopped", steps=115)
    assert left_behind(run) is None, "there is no result"
    put_weights(run.adapter_path, 115)
    assert left_behind(run) is None


def test_take_away_tells_of_an_older_result_and_lists_the_checkpoint(home: Path) -> None:
    run = left_at(home)
    things = {thing.key: thing for thing in outputs_of(run)}
    assert (things["result"].state, things["result"].words) == ("old", "of step 115 · 16 B")
    assert (things["checkpoint"].state, things["checkpoint"].words) == ("there", "step 905 · 16 B")
    words = "of step 115; the run is at step 905: r on the run goes on, or take the checkpoint."
    for key in ("result", "merge", "gguf", "push", "serve", "further"):
        assert things[key].warning == f"The adapter is {words}", key
    assert not things["checkpoint"].warning
    assert "The adapter that is merged now is of step 115." in things["merge"].notes
    status = read_status(run.status_path)
    assert status is not None
    write_status(run.status_path, status.model_copy(update={"state": "finished"}))
    put_weights(run.adapter_path, 905)
    things = {thing.key: thing for thing in outputs_of(run)}
    assert things["result"].state == "there" and "checkpoint" not in things
    assert not any(thing.warning for thing in things.values())


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_take_away_shows_it(home: Path, size: tuple[int, int]) -> None:
    run = left_at(home)
    async with LoratuiApp(screen="runs").run_test(size=size) as pilot:
        await until(pilot, run.name[:12])
        await pilot.app.switch_screen(TakeAwayScreen(str(run.path), "runs"))
        text = await until(pilot, "of step 115")
        assert "▲ Adapter" in text and "✓ Checkpoint" in text and "step 905" in text, text
        await until(pilot, lambda: "or take the checkpoint." in " ".join(shown(pilot.app).replace("│", " ").split()))


def test_a_merge_says_of_which_step_it_is(home: Path) -> None:
    run = record_run(home, state="finished", steps=905, total=905)
    put_weights(run.adapter_path, 115)
    merge_of(run, 115)
    (merge,) = (thing for thing in outputs_of(run) if thing.key == "merge")
    assert merge.state == "there" and "The merged model is of step 115." in merge.notes
    assert taken_away(run) == ("merged",)
    put_weights(run.adapter_path, 905)
    later(run.adapter_path / "adapter_model.safetensors")
    (merge,) = (thing for thing in outputs_of(run) if thing.key == "merge")
    assert (merge.state, merge.words) == ("old", "of an older adapter")
    for sentence in ("The merged model is of step 115.", "The adapter that is merged now is of step 905."):
        assert sentence in merge.notes
    assert taken_away(run) == ("merged ▲ of an older adapter",)


def merge_of(run: Run, step: int) -> None:
    """The adapter merged, written after it."""
    run.merged_path.mkdir()
    (run.merged_path / "config.json").write_text("{}")
    (run.merged_path / MERGE_NOTE).write_text("{}")
    later(run.merged_path / "config.json", 5)
    seal_result(run.merged_path, step)


def later(path: Path, seconds: float = 10) -> None:
    """As if it was written so much later."""
    there = path.stat()
    os.utime(path, (there.st_atime, there.st_mtime + seconds))


async def test_home_tells_that_a_merge_is_of_an_older_adapter(home: Path) -> None:
    run = record_run(home, state="finished", steps=905, total=905, created=time.time() - 600)
    put_weights(run.adapter_path, 115)
    merge_of(run, 115)
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        text = await until(pilot, "✓ finished, merged")
        assert "older adapter" not in text
        later(run.adapter_path / "adapter_model.safetensors")
        await until(pilot, "✓ finished, merged ▲ of an older adapter")


def test_who_is_asked_is_told_as_older_and_the_checkpoint_can_answer(home: Path) -> None:
    run = left_at(home)
    target = find_target(str(run.path))
    told = "The adapter is of step 115; the run is at step 905; checkpoint-905 is newer, and can be asked instead."
    assert told in target.note
    assert told in find_target(str(run.adapter_path)).note
    assert not find_target(str(run.checkpoints_path / "checkpoint-905")).note
    assert "checkpoint-905" in target.checkpoints
    words = who_answers(target)[ADAPTER]
    assert "▲ weights of step 115; the run is at step 905: r on the run goes on, or ask checkpoint-905 (^y)" in words
    assert "of 15,315" not in words
    assert "at step 900, which these weights are not" in words


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_playground_offers_the_checkpoint(home_of_playground: Path, size: tuple[int, int]) -> None:
    run = left_at(home_of_playground)
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(
            pilot, lambda: "▲ The adapter is of step 115; the run is at step 905" in " ".join(shown(app).split())
        )
        await pilot.press("ctrl+y")
        await until(pilot, "○ checkpoint-905")
