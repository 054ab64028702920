"""The list of runs by its keys."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import BEGAN, record_run

from loratui.runs import control, resume
from loratui.runs.directory import Run
from loratui.runs.events import encode, make
from loratui.tui.app import LoratuiApp
from loratui.tui.training.history import loss_glimpse, sparkline
from work_done import calls_of

SIZES = [(80, 24), (120, 36)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def four_runs(home: Path) -> None:
    now = time.time()
    for state, age in (("running", 200), ("finished", 8_000), ("failed", 90_000), ("lost", 400_000)):
        record_run(
            home,
            f"run-{state}",
            state=state,
            created=now - age,
            message="The disk is full." if state == "failed" else "",
        )


@pytest.mark.parametrize("size", SIZES)
async def test_every_run_with_state_progress_loss_and_age(home: Path, size: tuple[int, int]) -> None:
    four_runs(home)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "run-running")
        lines = [line for line in text.splitlines() if "run-" in line]
        assert ["running" in lines[0], "finished" in lines[1], "failed" in lines[2], "lost" in lines[3]] == [True] * 4
        assert "38%" in lines[0]
        assert "3 min ago" in lines[0]
        assert "2 h ago" in lines[1]
        assert "4 d ago" in lines[3]
        assert ("▁" in lines[0]) == (size[0] >= 100)
        await pilot.press("down", "down")
        await until(pilot, "The disk is full.")


async def test_enter_opens_a_run_and_back(home: Path) -> None:
    four_runs(home)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "run-running")
        await pilot.press("down", "enter")
        text = await until(pilot, "✓ finished")
        assert "run-finished" in text
        await pilot.press("ctrl+r")
        await until(pilot, "Everything that was trained here")
        await pilot.press("up", "enter")
        await until(pilot, "● running")
        assert "run-running" in shown(app)


async def test_keys_fit_the_run_under_the_cursor(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    four_runs(home)
    asked: list[str] = []
    monkeypatch.setattr(control, "stop_run", lambda run, by: asked.append(f"stop {run.name}"))
    monkeypatch.setattr(resume, "resume_run", lambda run: asked.append(f"resume {run.name}"))
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "s Stop")
        await pilot.press("r")
        await until(pilot, "Resume: only for a run that stopped, failed or was lost; it is running.")
        assert asked == []
        await pilot.press("s")
        await until(pilot, "stop and save")
        await pilot.press("enter")
        await until(pilot, "run-running: Stopping after this step")
        await pilot.press("down", "down", "down")
        await until(pilot, "r Resume")
        assert "s Stop" not in shown(app)
        await pilot.press("r")
        await until(pilot, "a worker is starting")
    assert asked == ["stop run-running", "resume run-lost"]


async def test_what_would_differ_is_shown_before_a_run_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    four_runs(home)
    asked: list[str] = []
    monkeypatch.setattr(resume, "resume_run", lambda run: asked.append(f"resume {run.name}"))
    (home / "runs" / "run-lost" / "fingerprint.json").write_text(
        json.dumps({"plan": {"lora.r": 99}, "versions": {"torch": "1.0"}})
    )
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "run-lost")
        await pilot.press("down", "down", "down", "r")
        text = await until(pilot, "go on all the same")
        assert "lora.r was 99" in text and "torch was 1.0" in text
        await pilot.press("escape")
        await pilot.pause()
        assert asked == []
        await pilot.press("r")
        await until(pilot, "go on all the same")
        await pilot.press("enter")
        await until(pilot, "a worker is starting")
    assert asked == ["resume run-lost"]


async def test_more_epochs_are_an_action_of_their_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    four_runs(home)
    asked: list[tuple[str, float]] = []
    monkeypatch.setattr(resume, "extend_run", lambda run, epochs: asked.append((run.name, epochs)))
    run = Run(home / "runs" / "run-finished")
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "run-finished")
        await pilot.press("down", "m")
        await until(pilot, "has no checkpoint to go on from")
        checkpoint = run.checkpoints_path / "checkpoint-9"
        checkpoint.mkdir(parents=True, exist_ok=True)
        (checkpoint / "scheduler.pt").touch()
        (checkpoint / "trainer_state.json").write_text('{"global_step": 9}')
        await until(pilot, lambda: "act('more')" in {one.binding.action for one in app.screen.active_bindings.values()})
        for typed, told in (("many", "is no number of epochs"), ("1.5", "The cosine schedule is computed anew")):
            await pilot.press("m")
            await until(pilot, "for how many epochs more?")
            await pilot.press(*typed, "enter")
            await until(pilot, told)
        assert asked == [], "it is said before it starts"
        await pilot.press("enter")
        await until(pilot, "a worker is starting for 1.5 more epochs")
    assert asked == [("run-finished", 1.5)]


async def test_without_runs_it_says_what_to_do(home: Path) -> None:
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "No runs yet on this machine.")


def test_a_glimpse_of_a_long_run_reads_little(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = '{{"type":"step","time":1.0,"step":{0},"loss":{1:.4f}}}\n'
    with path.open("w") as file:
        for step in range(200_000):
            file.write(line.format(step, 3.0 - step / 100_000))
    losses: list[float] = []
    calls = calls_of(lambda: losses.extend(loss_glimpse(path, 16)))
    assert calls < 30_000, "some 6,000, of 200,000 lines"
    assert len(losses) == 16
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 2.9
    assert losses[-1] < 1.01
    assert (sparkline(losses)[0], sparkline(losses)[-1]) == ("█", "▁")
    assert sparkline([]) == ""
    assert loss_glimpse(tmp_path / "absent") == []
    with path.open("a") as file:  # an evaluation's words about its rows, longer than what is read of each place
        file.writelines('{"type":"eval","time":1.0,"step":200000,"loss":0.5}\n' for _ in range(100))
    assert loss_glimpse(path, 16)[-1] == losses[-1], "the newest loss is that of the last step"


async def test_a_run_that_goes_on_is_told_of_at_the_start(home: Path) -> None:
    four_runs(home)
    app = LoratuiApp(screen="machine")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, "run-running is running · ^r lists it")
        await pilot.press("ctrl+r")
        await until(pilot, "Everything that was trained here")


async def test_two_runs_are_compared_on_one_chart_with_what_differs(home: Path) -> None:
    record_run(home, "first", values={"lora.r": 8}, created=1.0)
    used = [make("step", BEGAN + 50, step=143, loss=0.3, learning_rate=0.25)]
    record_run(home, "second", values={"lora.r": 32, "training.learning_rate": 0.001}, created=2.0, more=used)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "first")
        await pilot.press("equals_sign")
        await until(pilot, "is marked")
        await pilot.press("down", "equals_sign")
        text = await until(pilot, "two runs compared")
        text = await until(pilot, "Rank  ")
        assert "Learning rate" in text and "Dropout" not in text and "learning_rate" not in text
        assert "Rate used, highest → last" in text and "0.25 → 0.25" in text, (
            "what the steps had, whatever the plans say"
        )
        assert "━━ second" in text and "━━ first" in text and "Best held-out" in text


async def test_two_runs_with_the_same_losses_are_said_to_have_them(home: Path) -> None:
    record_run(home, "first", created=1.0)
    record_run(home, "second", created=2.0)
    other = [make("step", BEGAN, step=1, loss=9.0), make("step", BEGAN + 1, step=2, loss=8.0)]
    record_run(home, "third", created=0.5, steps=0, more=other)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "first")
        await pilot.press("equals_sign")
        await until(pilot, "is marked")
        await pilot.press("down", "equals_sign")
        await until(pilot, "Equal up to step 142: there the two colours take turns.")
        await pilot.press("escape", "equals_sign")
        await until(pilot, "is marked")
        await pilot.press("down", "equals_sign")
        assert "Equal up to" not in await until(pilot, "━━ third")


async def test_compared_runs_are_followed_and_judged(home: Path) -> None:
    """The panel was a snapshot, and left the judgement to its reader."""
    first = record_run(home, "first", created=1.0)
    record_run(home, "second", values={"lora.r": 32}, created=2.0, state="finished")
    for run in (first, Run(home / "runs" / "second")):
        run.fingerprint_path.write_text(json.dumps({"data": {"held_out": "same", "digest": 2}}))
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "first")
        await pilot.press("equals_sign")
        await until(pilot, "is marked")
        await pilot.press("down", "equals_sign")
        await until(pilot, "Held out they cannot be told apart so far")
        with first.events_path.open("a") as file:
            file.write(encode(make("step", BEGAN + 50, step=143, loss=0.3)) + "\n")
            file.write(encode(make("eval", BEGAN + 51, step=143, loss=0.0101, rows=40, best=True)) + "\n")
        await until(pilot, "first is better held out so far: 0.0101 nats a token")
        text = " ".join(shown(app).replace("│", "").split())
        assert "They differ in Rank." in text and "step 143" in text and "0.0101 at step 143" in text, text


async def test_what_differs_stands_in_columns(home: Path) -> None:
    record_run(home, "first", values={"lora.r": 8, "training.scheduler": "constant"}, created=1.0)
    record_run(home, "second", values={"lora.r": 32, "training.scheduler": "cosine"}, created=2.0)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "first")
        await pilot.press("equals_sign")
        await until(pilot, "is marked")
        await pilot.press("down", "equals_sign")
        lines = (await until(pilot, "Rank  ")).splitlines()
        rank = next(line for line in lines if "Rank  " in line)
        scheduler = next(line for line in lines if "Scheduler" in line or "Schedule  " in line)
        assert rank.index("8") == scheduler.index("constant") and "32" in rank and "cosine" in scheduler
