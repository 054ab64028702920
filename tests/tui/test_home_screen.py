"""Home: when it is the first screen, its ways on, and that no draft is ever lost there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pictured import shown, until
from recorded_run import BEGAN, record_run
from wizard import dataset_file, model_folder, settled

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.elsewhere import remember
from loratui.runs.events import encode, make
from loratui.runs.listing import RunList
from loratui.runs.outcome import OutcomeTail
from loratui.tui.app import LoratuiApp
from loratui.tui.home.differences import differences
from loratui.tui.home.doors import Door
from loratui.tui.home.screen import HomeScreen
from loratui.tui.wizard.draft import DEMO, Draft, draft_to_json

SIZES = [(80, 24), (120, 36), (200, 50)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def keep_draft(home: Path, **choices: Any) -> dict[str, Any]:
    """A draft as a session left it; its choices."""
    (home / "state").mkdir(exist_ok=True)
    draft = Draft(**choices)
    (home / "state" / "draft.json").write_text(draft_to_json(draft))
    return choices


def drafts(home: Path) -> list[dict[str, Any]]:
    """Every draft on the disk, the present one first."""
    state = home / "state"
    return [json.loads(path.read_text()) for path in (state / "draft.json", *sorted(state.glob("draft.other-*.json")))]


def own_choices(home: Path) -> dict[str, Any]:
    model, data = model_folder(home / "llama-1b"), dataset_file(home / "questions.jsonl")
    return {"model": str(model), "dataset": str(data), "by_hand": {"lora.r": 8}, "step": "recipe"}


# The first screen


@pytest.mark.parametrize(
    ("there", "demo", "first"),
    [
        ("nothing", False, "machine"),
        ("an empty draft", False, "model"),
        ("a draft", False, "runs"),
        ("a run", False, "runs"),
        ("a draft kept aside", False, "runs"),
        ("a run", True, "machine"),
    ],
)
async def test_home_is_first_where_there_is_something_to_come_back_to(
    home: Path, there: str, demo: bool, first: str
) -> None:
    if there == "a run":
        record_run(home, state="finished")
    elif there == "an empty draft":
        keep_draft(home, step="model", visited=["machine", "model"])
    elif there == "a draft":
        keep_draft(home, model="demo", step="dataset")
    elif there == "a draft kept aside":
        keep_draft(home)
        (home / "state" / "draft.other-abc.json").write_text(draft_to_json(Draft(model="demo")))
    app = LoratuiApp(demo=demo)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.screen.name == first


@pytest.mark.parametrize("size", SIZES[:2], ids=str)
async def test_a_run_that_lies_elsewhere_is_listed_beside_one_of_its_name(home: Path, size: tuple[int, int]) -> None:
    record_run(home, "mine", state="finished")
    record_run(home / "elsewhere", "mine", state="stopped")
    remember(home / "elsewhere" / "runs" / "mine")
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, "finished")
        text = await until(pilot, "stopped")
        assert len([line for line in text.splitlines() if "mine" in line and ("✓" in line or "■" in line)]) >= 2
        await pilot.press("end", "enter")
        await until(pilot, lambda: app.screen.name == "training")
        await until(pilot, lambda: app.screen.followed is not None and app.screen.followed.looked)
        opened = {str(app.screen.followed.run.path)}
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == "runs")
        await pilot.press("home", "enter")
        await until(pilot, lambda: app.screen.name == "training")
        opened.add(str(app.screen.followed.run.path))
        assert opened == {str(home / "runs" / "mine"), str(home / "elsewhere" / "runs" / "mine")}


@pytest.mark.parametrize("asked", [False, True], ids=["", "asked something meanwhile"])
async def test_esc_on_a_run_that_was_opened_here_leads_back(home: Path, asked: bool) -> None:
    record_run(home, "mine", state="finished")
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "finished")
        await pilot.press("enter")
        await until(pilot, "mine · loss")
        if asked:
            app.open_step("playground")
            await until(pilot, lambda: app.screen.name == "playground")
            await pilot.press("ctrl+p")
            await until(pilot, "mine · loss")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == "runs")


def test_its_first_picture_waits_for_nothing_heavy() -> None:
    heavy = {"pydantic", "psutil", "loratui.core.plan", "loratui.runs.listing", "torch", "transformers"}
    code = f"import sys, loratui.tui.app, loratui.tui.home.screen; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# The ways on


async def test_enter_goes_on_where_the_draft_was_left(home: Path) -> None:
    keep_draft(home, **own_choices(home))
    app = LoratuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "▸ Go on")
        assert "llama-1b on questions.jsonl" in " ".join(text.split()) and "1 value of yours" in text
        await pilot.press("enter")
        await settled(pilot)
        assert app.screen.name == "recipe" and app.state.draft.by_hand == {"lora.r": 8}
        assert app.state.plan.proposal is not None and app.state.plan.proposal.plan.lora.r == 8


async def test_a_new_draft_keeps_the_old_one_and_the_old_one_comes_back(home: Path) -> None:
    choices = keep_draft(home, **own_choices(home))
    app = LoratuiApp()
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "▸ Go on")
        await pilot.press("right")
        await until(pilot, "The draft is kept aside.")
        await pilot.press("enter")
        await settled(pilot)
        assert app.screen.name == "machine" and app.state.draft.model == "" and app.state.plan.proposal is None
        present, kept = drafts(home)
        assert present["model"] == "" and {key: kept[key] for key in choices} == choices
        await pilot.press("ctrl+r")
        text = await until(pilot, "Kept aside")
        assert "llama-1b on questions.jsonl" in text
        await until(pilot, "▸ New")
        await pilot.press("left", "enter")
        await until(pilot, "Drafts that were kept aside")
        await pilot.press("enter")
        await settled(pilot)
        assert app.screen.name == "recipe" and app.state.draft.by_hand == {"lora.r": 8}
        assert [one["model"] for one in drafts(home)] == [choices["model"]], "an empty draft is not kept"


async def test_the_demo_keeps_the_draft_and_is_itself_not_kept(home: Path) -> None:
    choices = keep_draft(home, **own_choices(home))
    app = LoratuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "▸ Go on")
        await pilot.press("right", "right", "enter")
        await settled(pilot)
        assert app.screen.name == "machine" and app.state.draft.model == DEMO.model == "demo"
        assert [one["model"] for one in drafts(home)] == ["demo", choices["model"]]
        (other,) = app.state.file.others()
        app.take_up(other, where_left=True)
        await settled(pilot)
        assert app.screen.name == "recipe"
    assert [one["model"] for one in drafts(home)] == [choices["model"]]


async def test_a_draft_that_cannot_be_kept_is_not_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = keep_draft(home, **own_choices(home))

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    app = LoratuiApp()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, "▸ Go on")
        monkeypatch.setattr("loratui.tui.wizard.draft_file.write_whole", full)
        await pilot.press("right", "enter")
        await until(pilot, lambda: any("No space left" in one.message for one in app._notifications))
        assert app.screen.name == "runs" and app.state.draft.model == choices["model"]
    assert drafts(home)[0]["model"] == choices["model"]


async def test_the_arrows_lead_from_the_ways_on_to_the_runs_and_back(home: Path) -> None:
    keep_draft(home, model="demo")
    for name, age in (("newer", 20.0), ("older", 10.0)):
        record_run(home, name, state="finished", created=age)
    app = LoratuiApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "newer")
        assert "s Stop" not in shown(app) and "x Take away" not in shown(app), "letters are for a run under the cursor"
        await pilot.press("down")
        await until(pilot, "x Take away")
        assert app.screen.chosen.name == "newer"  # type: ignore[attr-defined]
        await pilot.press("down", "up", "up")
        await until(pilot, "▸ Go on")


@pytest.mark.parametrize("size", SIZES)
async def test_each_way_on_has_its_place_whatever_was_done_before(home: Path, size: tuple[int, int]) -> None:
    app = LoratuiApp(screen="runs")
    seen: list[list[tuple[str, Any]]] = []

    def places() -> list[tuple[str, Any]]:
        return [(door.way.key, door.region) for door in app.screen.query(Door)]

    async with app.run_test(size=size) as pilot:
        await until(pilot, "▸ New")
        seen.append(places())
        await pilot.press("left")
        await until(pilot, "▸ The demo")
        for draft in (Draft(**own_choices(home)), DEMO, Draft()):
            app.begin_draft(draft)
            await settled(pilot)
            app.open_step("runs")
            await until(pilot, "Kept aside")
            seen.append(places())
    assert [key for key, _ in seen[0]] == ["go_on", "new", "demo", "kept"]
    assert all(one == seen[0] for one in seen), "a card moved"


async def test_without_runs_it_says_what_will_stand_there(home: Path) -> None:
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "No runs yet on this machine.")
        assert "New" in text and "The demo" in text and "↓ Runs" not in text
        await until(pilot, lambda: app.focused is not None and app.focused.has_class("door"))
        assert not app.screen.query_one("#beside").display, "an empty box"


# The runs


def three_runs(home: Path) -> None:
    data = {"model.id": "Qwen/Qwen3-4B", "dataset.path": "/data/tickets.jsonl"}
    better = [make("eval", BEGAN + 80, step=375, loss=0.0123, rows=40)]
    record_run(home, "wide", state="finished", steps=375, created=300.0, values={**data, "lora.r": 32}, more=better)
    record_run(home, "narrow", state="finished", steps=375, created=200.0, values={**data, "lora.r": 8})
    spoilt = [make("finding", BEGAN + 50, finding="diverged", severity="error", message="It rose.", step=140)]
    record_run(home, "wild", state="stopped", created=100.0, values={"training.learning_rate": 0.9}, more=spoilt)


@pytest.mark.parametrize("size", SIZES)
async def test_each_run_shows_its_outcome_its_best_figure_and_what_sets_it_apart(
    home: Path, size: tuple[int, int]
) -> None:
    three_runs(home)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "0.012")
        line = {
            name: next(one for one in text.splitlines() if f" {name}   " in one) for name in ("wide", "narrow", "wild")
        }
        assert "✓ finished" in line["wide"] and "rank 32" in line["wide"] and "rank 8" in line["narrow"]
        assert "✗ diverged" in line["wild"] and "demo" in line["wild"] and "stopped" not in line["wild"]
        assert "8 → 32" in await until(pilot, "against narrow")  # painted once the list stands
        for widget in app.screen.query("#doors, #runs, #key-bar, .door"):
            assert app.screen.region.contains_region(widget.region) and widget.region.height, widget


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_a_new_run_is_said_and_the_cursor_stays_on_its_own(home: Path, size: tuple[int, int]) -> None:
    """After ^r the cursor stood on what had been the newest run, and nothing said that another one had come."""
    three_runs(home)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, "against narrow")
        await pilot.press("down")
        await until(pilot, "narrow ")
        app.open_step("machine")
        await settled(pilot)
        record_run(home, "newest", state="finished", created=400.0)
        await pilot.press("ctrl+r")
        text = await until(pilot, "✓ New: newest. The cursor stays on narrow.")
        home_screen = app.screen
        assert isinstance(home_screen, HomeScreen)
        assert home_screen.chosen is not None and home_screen.chosen.name == "narrow"
        assert text.index(" newest ") < text.index(" wide "), "the newest stands first"


async def test_a_line_of_a_run_is_one_line_on_sixty_columns(home: Path) -> None:
    """When it was begun stood cut in two on a line of its own."""
    three_runs(home)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(60, 15)) as pilot:
        text = await until(pilot, "✗ diverged")
        (line,) = [line for line in text.splitlines() if "✗ diverged" in line]
        assert " ago" in line


@pytest.mark.parametrize(("runs", "size"), [(1, (80, 24)), (1, (120, 36)), (2, (120, 36)), (2, (200, 50))])
async def test_a_long_name_is_told_whole_where_there_is_room(home: Path, runs: int, size: tuple[int, int]) -> None:
    """It was cut beside a wide column of differences that said nothing, or little."""
    name = "tiny-model-instruct-qlora-20261126-2230" if size[0] == 120 else "tiny-model-lora-20261126-2230"
    record_run(home, name, state="finished", created=300.0)
    if runs > 1:
        record_run(home, "other", state="finished", created=200.0, values={"lora.r": 8})
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: f"✓ finished   {name} " in shown(app))
        line = next(one for one in shown(app).splitlines() if f"✓ finished   {name} " in one)
        assert " ago" in line
        if size[0] > 80:
            assert any(bar in line for bar in "▁▂▃▄▅▆▇█"), "its course stands beside it"
        if runs > 1:
            assert "rank 8" in shown(app)


async def test_a_single_run_differs_in_nothing(home: Path) -> None:
    record_run(home, "alone", state="finished")
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "✓ finished")
        assert "differs in" not in text and "made of" in text
        record_run(home, "other", state="finished", values={"lora.r": 8})
        await until(pilot, "differs in")


def test_the_best_figure_is_of_evaluations_that_still_count(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    def told(*events: Any) -> None:
        with path.open("a") as file:
            file.write("".join(encode(event) + "\n" for event in events))

    tail = OutcomeTail(path)
    assert tail.look(1 << 20) == 0 and tail.outcome.best is None
    told(make("started", 1.0, step=0), *(make("eval", 2.0, step=step, loss=1 / step) for step in (10, 20, 30)))
    tail.look(1 << 20)
    assert tail.outcome.best is not None and tail.outcome.best[:2] == (30, 1 / 30)
    told(make("finding", 3.0, finding="diverged", severity="error"))
    tail.look(1 << 20)
    assert tail.outcome.spoilt == "diverged"
    told(make("started", 4.0, step=20), make("eval", 5.0, step=25, loss=0.5))
    tail.look(1 << 20)
    assert (
        tail.outcome.best is not None
        and tail.outcome.best[:2] == (20, 0.05)
        and tail.outcome.evaluations == 3
        and tail.outcome.spoilt == ""
    )
    path.write_text(encode(make("eval", 6.0, step=1, loss=9.0)) + "\n")
    tail.look(1 << 20)
    assert tail.outcome.best is not None and tail.outcome.best[:2] == (1, 9.0), "the file was replaced"


def test_what_is_over_is_read_once_until_it_changes(home: Path) -> None:
    three_runs(home)
    runs = RunList()
    before, again = runs.look(), runs.look()
    assert all(one is other for one, other in zip(before, again, strict=True))
    plan = home / "runs" / "wide" / "plan.toml"
    plan.write_text(plan.read_text().replace("r = 32", "r = 33"))
    changed = runs.look()
    assert changed[0].plan is not None and changed[0].plan.lora.r == 33 and changed[1] is before[1]
    assert len(runs.look(most=2)) == 2


async def test_a_marked_run_is_what_others_are_held_against(home: Path) -> None:
    three_runs(home)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "against narrow")
        await pilot.press("down", "down", "=")
        await until(pilot, "◆ wild")
        await pilot.press("up", "up")
        text = await until(pilot, "against wild")
        assert "0.9 → 2e-4" in text
        await pilot.press("=")
        await until(pilot, "two runs compared")


def test_a_mix_is_told_by_its_parts() -> None:
    """Home told it as Python writes a list."""
    parts = [{"name": name, "path": f"/data/{name}.jsonl", "weight": 1.0} for name in ("colours", "days")]
    alone, mix = (
        with_values(Plan(), {"dataset.path": "demo"}),
        with_values(Plan(), {"dataset.path": "", "dataset.parts": parts}),
    )
    assert differences(alone, mix) == [("dataset.path", "demo", "colours + days")]
    other = with_values(Plan(), {"dataset.path": "", "dataset.parts": [parts[0], {**parts[1], "weight": 0.5}]})
    assert ("dataset.parts", "colours 1 + days 1", "colours 1 + days 0.5") in differences(mix, other)
