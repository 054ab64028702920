"""The training monitor by its keys, on recorded runs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pictured import shown, until
from recorded_run import BEGAN, record_run
from wizard import machine

from loratui.core.errors import RunError
from loratui.core.hardware import Gpu
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs import control
from loratui.runs.directory import Run
from loratui.runs.events import EventTail, Step, encode, make
from loratui.runs.status import read_status, write_status
from loratui.tui.app import LoratuiApp
from loratui.tui.common.still_text import StillText
from loratui.tui.training import fixes
from loratui.tui.training.chart import Chart
from loratui.tui.training.follow import Followed
from loratui.tui.training.news import fitted, news
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import in_force
from loratui.tui.training.screen import TrainingScreen

SIZES = [(80, 24), (120, 36)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def add(run: Run, *events: Any) -> None:
    with run.events_path.open("a") as file:
        file.write("".join(encode(event) + "\n" for event in events))


@pytest.mark.parametrize("size", SIZES)
async def test_an_existing_run_is_shown_whole(home: Path, size: tuple[int, int]) -> None:
    run = record_run(home)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "● running")
        assert "step 142 of 375" in text
        assert "47 s left" in text
        text = await until(pilot, "0.3983")
        assert "38%" in text
        assert "◆" in text
        assert "3,176 tokens/s" in text
        assert '{"item": "pizza", "count": 2}' in text
        assert ("norm " in text) and (size[1] < 30 or "tokens/s ─" in text)


async def test_new_events_appear_and_nothing_is_painted_without_them(home: Path) -> None:
    run = record_run(home)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "step 142 of 375")
        add(
            run,
            make("step", BEGAN + 40, step=143, epoch=1.15, loss=0.3, eta=46.0),
            make("finding", BEGAN + 41, severity="warning", message="The loss stands still."),
        )
        await until(pilot, "step 143 of 375")
        assert "▲ The loss stands still." in shown(app)
        write_status(
            run.status_path, read_status(run.status_path).model_copy(update={"state": "finished", "step": 143})
        )  # type: ignore[union-attr]
        add(run, make("finished", BEGAN + 50, step=143, seconds=50.0, eval_loss=0.05, result="adapter"))
        text = await until(pilot, "✓ finished")
        assert "143 steps in 50 s, held-out loss 0.0500" in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("failed", ["✗ failed", "✗ The disk is full.", "L shows the log", "r resumes from step 125"]),
        ("lost", ["✗ lost", "gone and left no word", "L shows the log"]),
        ("stopped", ["■ stopped", "Stopped at step 142, saved as checkpoint-142", "r resumes from there"]),
        ("finished", ["✓ finished", "142 steps in 1 min 24 s", "a asks it"]),
        ("starting", ["◌ starting"]),
    ],
)
async def test_every_state_is_told_in_words(home: Path, state: str, words: list[str]) -> None:
    run = record_run(home, state=state, message="The disk is full." if state == "failed" else "")
    for name in ("checkpoint-125", "diverged-130"):  # that one was set aside: nothing goes on from it
        (run.checkpoints_path / name).mkdir(parents=True)
        (run.checkpoints_path / name / "scheduler.pt").touch()
        (run.checkpoints_path / name / "trainer_state.json").write_text('{"global_step": 125}')
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, words[0])
        text = await until(pilot, lambda: all(word in " ".join(shown(app).split()) for word in words))
        assert text


async def test_without_a_run_it_says_what_to_do(home: Path) -> None:
    app = LoratuiApp(screen="training")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "No run yet.")
        assert "reviews the plan and starts one" in text


async def test_stopping_asks_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record_run(home)
    stopped: list[str] = []
    monkeypatch.setattr(control, "stop_run", lambda run, by: stopped.append(run.name))
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "● running")
        await pilot.press("s")
        await until(pilot, "stop and save")
        await pilot.press("escape")
        await until(pilot, "● running")
        assert stopped == []
        await pilot.press("s")
        await until(pilot, "stop and save")
        await pilot.press("enter")
        await until(pilot, "Stopping after this step")
        assert stopped == [run.name]


async def test_saving_is_confirmed_by_what_happened(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record_run(home)
    monkeypatch.setattr(control, "save_now", lambda run: None)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "● running")
        await pilot.press("w")
        await until(pilot, "A checkpoint will be saved")
        add(run, make("checkpoint", BEGAN + 44, step=144, path="checkpoints/checkpoint-144"))
        await until(pilot, "✓ Saved: checkpoint of step 144.")

    def refuse(run: Run) -> None:
        raise RunError("the worker is gone.")

    monkeypatch.setattr(control, "save_now", refuse)
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(80, 24)) as pilot:
        await until(pilot, "● running")
        await pilot.press("w")
        await until(pilot, "✗ the worker is gone.")


async def test_the_log_is_shown_harmlessly_and_searched(home: Path) -> None:
    run = record_run(home)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "● running")
        await pilot.press("L")
        text = await until(pilot, "Training began.")
        assert "␛[31mred" in text
        assert "Loading weights: 100%" in text
        await pilot.press("slash", *"RED")
        await until(pilot, lambda: "Training began." not in shown(app))
        assert "red" in shown(app)
        await pilot.press("escape")
        await until(pilot, "Training began.")
        await pilot.press("escape")
        await until(pilot, "● running")


async def test_an_overfitting_run_is_diagnosed_with_advice(home: Path) -> None:
    more = []
    for number, step in enumerate(range(150, 376, 25)):
        more += [
            make("step", BEGAN + step, step=step, epoch=step / 125, loss=0.05, eta=1.0),
            make("eval", BEGAN + step, step=step, loss=0.5 + 0.2 * number),
        ]
    run = record_run(home, more=more)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "● running")
        await until(pilot, lambda: bool(getattr(app.screen, "followed", None) and app.screen.followed.findings))  # type: ignore[attr-defined]
        await until(pilot, "→")


async def test_quitting_says_how_to_come_back(home: Path) -> None:
    run = record_run(home)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "● running")
        await pilot.press("q")
        await pilot.pause()
    assert f"loratui attach {run.name}" in app.farewell


async def test_the_curves_are_read_and_zoomed(home: Path) -> None:
    run = record_run(home)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "step 142 of 375")
        await pilot.press("left")
        text = await until(pilot, "step 142: loss ")
        assert "smoothed" in text and "evaluated" in text and "at 125" in text
        await pilot.press("shift+left")
        await until(pilot, lambda: "step 142: loss" not in shown(app) and "loss 0." in shown(app))
        await pilot.press("z", "z")
        await until(pilot, lambda: app.screen.query_one("#loss", Chart).picture.x_start > 0)
        picture = app.screen.query_one("#loss", Chart).picture
        assert picture.x_end - picture.x_start == pytest.approx(375 / 4) and picture.cursor is not None
        await pilot.press("escape")
        await until(pilot, f"{run.name} · loss")
        picture = app.screen.query_one("#loss", Chart).picture
        assert (picture.x_start, picture.x_end, picture.cursor) == (0.0, 375.0, None)


async def test_evaluating_now_is_told_when_it_happened(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record_run(home)
    asked: list[str] = []
    monkeypatch.setattr(control, "evaluate_now", lambda wanted: asked.append(wanted.name))
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "step 142 of 375")
        await pilot.press("v")
        await until(pilot, "It will be evaluated after this step")
        assert asked == [run.name]
        add(run, make("eval", BEGAN + 40, step=143, loss=0.25, rows=40))
        await until(pilot, "Evaluated at step 143: loss 0.2500.")


async def test_a_fix_is_chosen_applied_and_told_when_it_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oom = make(
        "oom",
        BEGAN + 30,
        where="step",
        cause="size",
        message="The GPU's memory is full.",
        step=142,
        fixes=[
            {
                "change": {"training.batch_size": 1, "training.accumulation": 16},
                "memory_total": 3 << 30,
                "cost": "a little slower",
                "fits": True,
            },
            {
                "change": {"training.checkpointing": True},
                "memory_total": 4 << 30,
                "cost": "about a third slower",
                "fits": True,
            },
        ],
    )
    run = record_run(home, state="failed", more=[oom], message="The GPU's memory is full.")
    applied: list[dict[str, Any]] = []

    def start(wanted: Run, change: dict[str, Any], **how: Any) -> int:
        applied.append(dict(change))
        assert how == {"restart": False, "reason": "oom", "at_step": 142, "sound": None}
        before = read_status(wanted.status_path)
        assert before is not None
        write_status(wanted.status_path, before.model_copy(update={"state": "running"}))  # its process is this one's
        return os.getpid()

    monkeypatch.setattr(fixes, "change_and_resume", start)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "✗ failed")
        await pilot.press("f")
        text = await until(pilot, "what would mend it")
        assert (
            "training.batch_size" in text
            and "3.00 GiB by the estimate; a little slower" in text
            and "starts anew" in text
        )
        assert "The worker is asked to stop" not in text, "there is none"
        await pilot.press("down")
        await until(pilot, "about a third slower")
        await pilot.press("enter")
        await until(pilot, lambda: applied == [{"training.checkpointing": True}])
        add(
            run,
            make(
                "fix",
                BEGAN + 41,
                changes={"training.checkpointing": [False, True]},
                start="anew",
                reason="oom",
                at_step=142,
                where="step",
                message="It starts anew.",
            ),
        )
        await until(pilot, "changed: training.checkpointing False → True")
        add(
            run,
            make("started", BEGAN + 42, step=0, total_steps=375),
            make("step", BEGAN + 43, step=1, loss=2.6, learning_rate=2e-4),
        )
        await until(pilot, "in force since step 1")
        add(run, make("fix_outcome", BEGAN + 44, helped=True, step=143, message="Step 143 found room."))
        await until(pilot, "True: helped.")


async def test_the_proposed_rate_is_offered_to_a_run_that_diverges(home: Path) -> None:
    more = [
        make("step", BEGAN + 40 + step, step=step, loss=9.0, learning_rate=0.9, grad_norm=1.0)
        for step in range(143, 200)
    ]
    run = record_run(home, state="failed", more=more, message="It diverged.", values={"training.learning_rate": 0.9})
    run.proposed_path.write_text('{"values": {"training.learning_rate": 0.0026}}')
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "✗ failed")
        await until(pilot, "→ Start anew from the base with the")
        await pilot.press("f")
        text = await until(pilot, "what would mend it")
        assert "starts anew             training.learning_rate 0.9 → 0.0026" in text


async def test_samples_open_from_the_monitor(home: Path) -> None:
    run = record_run(home)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "step 142 of 375")
        await pilot.press("S")
        await until(pilot, "answers through the training")
        await until(pilot, "two large pizzas")


async def test_the_cards_load_stands_beside_the_figures_while_it_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record_run(home, values={"hardware.devices": [1]})
    cards = [
        Gpu(
            index=index,
            uuid=f"GPU-{index}",
            name="NVIDIA A10",
            memory_total_bytes=24 << 30,
            memory_free_bytes=20 << 30,
            utilization_percent=90 + index,
            temperature_celsius=60 + index,
            power_watts=200.0 + index,
        )
        for index in (0, 1)
    ]
    seen = replace(machine(0), gpus=tuple(cards))
    monkeypatch.setattr(TrainingScreen, "_machine", property(lambda self: seen))
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        text = await until(pilot, "91 %")
        assert "61 °C" in text and "201 W" in text and "4.00 of 24.0 GiB" in text and "90 %" not in text
        memory = next(line for line in text.splitlines() if "memory" in line and "GiB" in line)
        assert set(memory) & set("█▉▊▋▌▍▎▏") and "·" in memory, "it is a bar"


def test_a_change_within_the_warm_up_is_told_with_the_rate_it_warms_up_to() -> None:
    record = RunRecord()
    record.made_since_fix = Step(type="step", time=0.0, step=1, learning_rate=0.0)
    plan = with_values(Plan(), {"training.learning_rate": 0.0026, "training.warmup_steps": 5})
    assert in_force(record, plan) == (
        "The changed plan is in force since step 1, warming up to learning rate 0.0026 by step 6."
    )
    record.made_since_fix = Step(type="step", time=0.0, step=9, learning_rate=0.002)
    assert in_force(record, plan).endswith("since step 9 at learning rate 0.002.")


@pytest.mark.parametrize("size", SIZES)
async def test_figures_follow_the_room_that_the_news_leave(home: Path, size: tuple[int, int]) -> None:
    """What is told at the end takes rows from the figures: they were painted for the room of before, and cut."""
    run = record_run(home)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        await until(pilot, "step 142 of 375")
        screen = app.screen
        assert isinstance(screen, TrainingScreen)
        await until(pilot, lambda: screen.predicted is not None)
        figures = screen.query_one("#facts", StillText)
        await until(pilot, lambda: 0 < figures.content.plain.count("\n") < figures.content_size.height)
        before = figures.content_size.height
        words = "The held-out loss has not fallen any more since step 100, while that of the rows still falls. " * 3
        findings = [
            make("finding", BEGAN + 41 + n, severity="warning", finding=f"f{n}", step=n, message=f"{n}. {words}")
            for n in range(3)
        ]
        status = read_status(run.status_path)
        assert status is not None
        add(run, *findings, make("finished", BEGAN + 50, step=142, seconds=50.0, eval_loss=0.05, result="adapter"))
        write_status(run.status_path, status.model_copy(update={"state": "finished", "step": 142}))
        await until(pilot, "✓ finished")
        await until(pilot, lambda: figures.content_size.height < before)
        assert screen.followed is not None
        await until(pilot, lambda: figures.content.plain == screen._facts(screen.followed).plain)  # type: ignore[arg-type]
        assert figures.content.plain.count("\n") < figures.content_size.height


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_without_a_step_has_no_empty_axes(home: Path, size: tuple[int, int]) -> None:
    """Its charts had axes from 0 to 1."""
    ended = make("stopped", BEGAN + 90, step=0, checkpoint="")
    run = record_run(home, state="stopped", steps=0, more=[ended])
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=size) as pilot:
        text = await until(pilot, "no step was made")
        assert text.count("no step was made") == (4 if size[1] >= 30 else 1), text
        assert "0.50" not in text and "───375" not in text, text


async def test_few_words_below_the_curves_take_few_rows(home: Path) -> None:
    """At 120 x 36 six rows were blank."""
    run = record_run(home)
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(120, 36)) as pilot:
        await until(pilot, "two large pizzas")
        assert pilot.app.screen.query_one("#news").size.height == 2


async def test_a_low_screen_has_its_curve_and_figures(home: Path) -> None:
    """At 60 x 15 both were frames without anything in them."""
    run = record_run(home)
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(60, 15)) as pilot:
        text = await until(pilot, "◆")
        chart, facts = pilot.app.screen.query_one("#loss", Chart), pilot.app.screen.query_one("#facts", StillText)
        assert chart.size.height >= 3 and facts.content_size.height >= 3, text
        await until(pilot, "held out")


def test_an_answer_cuts_no_outcome(home: Path) -> None:
    """At 60 x 15 "exact mat …" stood above it."""
    followed = Followed(record_run(home, state="finished"))
    followed.record.take(EventTail(followed.run.events_path).new_events())
    followed.status = followed.run.status()
    for most, told in ((2, 1), (6, 2)):
        lines = news(followed, 60, 2, most)
        assert len(lines) == told and "a asks it" in lines[0].plain
        assert "asks it" in " ".join(fitted(lines, 60, most).plain.split())


async def test_a_large_screen_has_more_answers_instead_of_blank_rows(home: Path) -> None:
    answers = [
        make("sample", BEGAN + 40, step=142, prompt=f"order {number}", answer=f"answer {number}") for number in range(9)
    ]
    run = record_run(home, more=answers)
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(200, 50)) as pilot:
        text = await until(pilot, "answer 5")
        assert "answer 6" not in text and pilot.app.screen.query_one("#news").size.height == 6
    few = record_run(home, "few")
    async with LoratuiApp(screen="training", run=str(few.path)).run_test(size=(200, 50)) as pilot:
        await until(pilot, "two large pizzas")
        assert pilot.app.screen.query_one("#news").size.height == 2
