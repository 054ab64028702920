"""The actions on a run: the same on both screens that show one, and each does what it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

import pytest
from pictured import shown, until
from recorded_run import BEGAN, record_run
from textual.pilot import Pilot

from loratui.runs import control, resume
from loratui.runs.continuation import continuation
from loratui.runs.directory import Run
from loratui.runs.events import encode, make
from loratui.runs.status import ENDED, State, write_status
from loratui.tui.app import LoratuiApp
from loratui.tui.training import fixes, mending
from loratui.tui.training.allowed import ACTIONS, BY_KEY
from loratui.tui.training.follow import follow
from loratui.tui.training.screen import TrainingScreen

Offer = tuple[str, str, str]
"""Key, action and label."""
SPOILT = [
    make("step", BEGAN + 40 + step, step=step, loss=9.0, learning_rate=0.9, grad_norm=1.0) for step in range(143, 200)
]
EXPECTED = {
    "queued": "s a x L S",
    "at work": "s w v a x L S",
    "finished": "f a x L S m n D",
    "stopped": "r f a x L S m n",
    "failed": "r f a x L S n",
    "lost": "r f a x L S n",
}
"""The keys of a run with a checkpoint and samples. The loss of the finished one was still falling: its fix is more
epochs.
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


async def offers(screen: str, run: Run) -> tuple[set[Offer], dict[str, str]]:
    """The run's actions that a screen offers, and why it offers not the others."""
    app = LoratuiApp(screen=screen, run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: bool((found := getattr(app.screen, "followed", None)) and found.whole))
        await until(pilot, "L Log")
        bindings = [one.binding for one in app.screen.active_bindings.values() if one.enabled]
        offered = {
            (one.key, one.action.removeprefix("act('").removesuffix("')"), one.description)
            for one in bindings
            if one.action.startswith("act(")
        }
        refused = {}
        for key in sorted(set(BY_KEY) - {key for key, _, _ in offered}):
            await pilot.press(key)
            await until(pilot, f"▲ {BY_KEY[key].label}: ")
            refused[key] = next(line for line in shown(app).splitlines() if "▲ " in line and BY_KEY[key].label in line)
    return offered, refused


@pytest.mark.parametrize(
    ("state", "checkpoint"),
    [*((state, True) for state in get_args(State)), *((state, False) for state in ("running", *sorted(ENDED)))],
)
async def test_both_screens_offer_the_same_actions_with_the_same_keys(home: Path, state: str, checkpoint: bool) -> None:
    run = record_run(home, state=state, checkpoint=checkpoint)
    training, training_refused = await offers("training", run)
    listed, listed_refused = await offers("runs", run)
    assert listed == training
    assert listed_refused == training_refused
    keys = set(EXPECTED[state if state in EXPECTED else "at work"].split())
    if not checkpoint:
        keys -= {"m"} if state == "finished" else {"m", "a", "x"}
    assert {key for key, _, _ in training} == keys
    assert keys | set(training_refused) == {action.key for action in ACTIONS}


def test_no_key_is_given_twice() -> None:
    assert len(BY_KEY) == len(ACTIONS)
    for screen in LoratuiApp.SCREENS["runs"](), LoratuiApp.SCREENS["training"]():  # type: ignore[operator]
        for key, found in screen._bindings.key_to_bindings.items():
            own = {one.action for one in found} - {"leave_step"}  # what esc does where nothing else is left
            assert len(own) <= 1, f"{key} does two things: {found}"


async def with_both(home: Path, run: Run, do: Any) -> None:
    for screen in ("training", "runs"):
        app = LoratuiApp(screen=screen, run=str(run.path))
        async with app.run_test(size=(120, 36)) as pilot:
            await until(pilot, "L Log")
            await do(pilot)


async def test_a_finished_run_whose_loss_is_spoilt_is_mended_from_either_screen(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"training.learning_rate": 0.9}
    run = record_run(home, state="finished", more=SPOILT, values=values, checkpoint=True)
    run.proposed_path.write_text('{"values": {"training.learning_rate": 0.0026}}')
    applied: list[tuple[dict[str, Any], bool]] = []

    def start(wanted: Run, change: dict[str, Any], *, restart: bool, **how: Any) -> int:
        assert continuation(wanted, change, restart=restart).start == "anew"
        applied.append((dict(change), restart))
        return os.getpid()

    monkeypatch.setattr(fixes, "change_and_resume", start)

    async def mend(pilot: Pilot[Any]) -> None:
        await until(pilot, "f Fix")
        await pilot.press("f")
        text = await until(pilot, "what would mend it")
        assert "goes on from step" not in text, "a finished run has nothing to go on to from its end"
        assert "starts anew" in text
        before = len(applied)
        await pilot.press("enter")
        await until(pilot, lambda: len(applied) > before)
        await until(pilot, "A worker begins with the mended plan")

    await with_both(home, run, mend)
    assert applied == [({"training.learning_rate": 0.0026}, True)] * 2


async def test_a_finished_run_is_trained_anew_and_its_first_result_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "start_worker", lambda run: os.getpid())
    for screen in ("training", "runs"):
        run = record_run(home / screen, state="finished", checkpoint=True)
        monkeypatch.setenv("LORATUI_HOME", str(home / screen))
        run.adapter_path.mkdir()
        (run.adapter_path / "adapter_config.json").write_text("{}")
        app = LoratuiApp(screen=screen, run=str(run.path))
        async with app.run_test(size=(120, 36)) as pilot:
            await until(pilot, "m More epochs")
            await pilot.press("n")
            text = await until(pilot, "It would start anew from the base model at step 0.")
            assert "set aside" in text and "checkpoints, adapter" in " ".join(text.split())
            await pilot.press("escape")
            await pilot.pause()
            assert run.checkpoints() and run.adapter_path.is_dir()
            await pilot.press("n")
            await until(pilot, "It would start anew from the base model at step 0.")
            await pilot.press("enter")
            await until(pilot, "a worker is starting, from the base")
        assert not run.checkpoints() and not run.adapter_path.exists()
        assert (run.path / "earlier" / "adapter" / "adapter_config.json").is_file()
        assert (run.path / "earlier" / "checkpoints" / "checkpoint-125").is_dir()


async def test_a_worker_that_came_is_not_told_to_be_starting_any_more(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "start_worker", lambda run: os.getpid())
    for screen in ("training", "runs"):
        monkeypatch.setenv("LORATUI_HOME", str(home / screen))
        run = record_run(home / screen, state="stopped", checkpoint=True)
        app = LoratuiApp(screen=screen, run=str(run.path))
        async with app.run_test(size=(120, 36)) as pilot:
            await until(pilot, "r Resume")
            await pilot.press("r")
            await until(pilot, "a worker is starting")
            before = run.status()
            write_status(run.status_path, before.model_copy(update={"state": "stopped", "started": before.started + 9}))
            with run.events_path.open("a") as file:
                file.write(encode(make("stopped", BEGAN + 99, step=142, checkpoint="checkpoint-142")) + "\n")
            await until(pilot, lambda app=app: "a worker is starting" not in shown(app))


async def test_on_the_list_too_a_checkpoint_is_told_once_it_is_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "save_now", lambda run: None)
    run = record_run(home, "first")
    record_run(home, "second", created=1.0)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "w Save now")
        name = app.screen.followed.run.name  # type: ignore[attr-defined]
        run = Run(home / "runs" / name)
        await pilot.press("w")
        await until(pilot, f"{name}: A checkpoint will be saved")
        assert "Saved" not in shown(app), "those of before are not this one"
        await pilot.press("down", "up", "down")
        with run.events_path.open("a") as file:
            file.write(encode(make("checkpoint", BEGAN + 44, step=144, path="checkpoints/checkpoint-144")) + "\n")
        await until(pilot, f"✓ {name}: Saved: checkpoint of step 144.")


async def test_no_second_change_begins_while_one_is_under_way(home: Path) -> None:
    run = record_run(home, state="stopped", checkpoint=True)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "r Resume")
        screen = app.screen
        assert isinstance(screen, TrainingScreen)
        await pilot.press("m")
        await until(pilot, "for how many epochs more?")
        assert screen.actions.why_not("resume") == "Resume: the run is being changed already."
        assert not screen.check_action("act", ("resume",)) and screen.check_action("act", ("log",))
        await pilot.press("escape")
        await until(pilot, lambda: not screen.actions.why_not("resume"))


async def test_the_keys_are_those_of_the_run_that_is_shown_now(home: Path) -> None:
    first = record_run(home, "first", state="finished", checkpoint=True)
    second = record_run(home, "second", state="finished", checkpoint=True)
    app = LoratuiApp(screen="training", run=str(first.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "a Ask it")
        await pilot.press("ctrl+r")
        await until(pilot, "second")
        app.state.run.show(str(second.path))
        app.open_step("training")
        text = await until(pilot, "second · loss")
        await until(pilot, "a Ask it")
        assert "s Stop" not in text and "s Stop" not in shown(app)


TRIED = [
    make("fix", BEGAN + 91, changes={"training.max_grad_norm": [1.0, 0.3]}, start="anew", reason="diverged"),
    make("fix_outcome", BEGAN + 92, helped=False, message="It diverged again."),
    make("fix", BEGAN + 93, changes={"training.warmup_steps": [0, 10]}, start="anew", reason="diverged"),
    make(
        "finding",
        BEGAN + 94,
        finding="diverged",
        severity="error",
        message="It diverged.",
        fixes=[
            {"change": {"training.accumulation": 32}, "advice": "Accumulate.", "restart": True, "sure": False},
            {"change": {"training.max_grad_norm": 0.3}, "advice": "Clip.", "restart": True, "sure": False},
            {"change": {"training.learning_rate": 0.0026}, "advice": "Lower it.", "restart": True},
        ],
    ),
]


async def test_what_was_tried_in_vain_is_told_and_put_back_and_not_offered_again(home: Path) -> None:
    values = {"training.max_grad_norm": 0.3, "training.warmup_steps": 10, "training.learning_rate": 0.02}
    run = record_run(home, state="failed", more=TRIED, values=values)
    followed = follow(str(run.path))
    while not followed.whole:
        followed.poll()
    found = mending.fixes_of(followed)
    changes = [dict(fix.change) for fix in found]
    assert changes[0] == {"training.learning_rate": 0.0026}, "the surest first"
    assert not any("training.epochs" in one for one in changes), "longer mends no run that diverged"
    assert {"training.max_grad_norm": 0.3} not in changes
    assert changes[-1] == {"training.max_grad_norm": 1.0} and "mends nothing by itself" in found[-1].note
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "Still in the plan, though it did not help: training.max_grad_norm 0.3")
        await pilot.press("f")
        text = await until(pilot, "what would mend it")
        assert text.index("0.02 → 0.0026") < text.index("training.accumulation") < text.index("0.3 → 1")
        await pilot.press("down")
        await until(pilot, "May help: ")
