"""What a walk as a new user found: each was seen on the screen before it was mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import BEGAN, record_run
from wizard import choose, screen_text, settled, wizard

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.paths import state_home
from loratui.runs.events import encode, make
from loratui.runs.status import Status, write_status
from loratui.tui.app import LoratuiApp
from loratui.tui.common.dialogs import ConfirmScreen
from loratui.tui.common.key_bar import KeyBar
from loratui.tui.common.run_names import told_apart
from loratui.tui.home.lines import BAD, look_of
from loratui.tui.training.curves import predicted_bytes
from loratui.tui.training.news import fitted, news, rows_of
from loratui.tui.training.record import RunRecord


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


@pytest.mark.parametrize("first", ["runs", "dataset"])
async def test_esc_leads_back_from_a_run_to_where_it_was_opened(homes: Path, first: str) -> None:
    run = record_run(homes / "home", state="finished", steps=375)
    app = wizard(homes, screen=first)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.show_other_run(str(run.path))
        await until(pilot, "✓ finished")
        assert "esc Return" in screen_text(app).splitlines()[-1]
        await pilot.press("left")
        await pilot.press("escape")
        assert app.screen.name == "training", "first the whole run again"
        await pilot.press("escape")
        await settled(pilot)
        assert app.screen.name == first


def test_one_prediction_for_one_run(homes: Path) -> None:
    """It was asked for before the worker had told that it began, and once more later: 753 MiB, then 635."""
    plan = with_values(Plan(), {"model.id": "demo", "dataset.path": "demo", "hardware.cpu": True})
    measured = {"device": "", "method": "lora", "family": "llama", "model": "demo", "flops_per_step": 1e9}
    measured |= {"seconds_per_step": 0.1, "steps": 20, "predicted_bytes": 800 << 20, "measured_bytes": 500 << 20}
    from loratui.machine.host import read_host

    measured["device"] = read_host(None).cpu_name
    state_home().mkdir(parents=True, exist_ok=True)

    def remember(run: str, time: float) -> None:
        with (state_home() / "measured.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(measured | {"run": run, "time": time}) + "\n")

    remember("older", BEGAN - 100)
    record = RunRecord()
    record.take([make("phase", BEGAN, phase="load_model")])
    record.take([make("data", BEGAN + 1, rows=100, examples=100, tokens=5000, trained_tokens=2000, longest_tokens=58)])
    before = predicted_bytes(plan, record)
    record.take([make("started", BEGAN + 2, step=0, total_steps=10)])
    assert predicted_bytes(plan, record) == before
    remember("itself", BEGAN + 50)
    record.take([make("started", BEGAN + 90, step=5, total_steps=10)])
    assert predicted_bytes(plan, record) == before, "resumed: what it measured itself is nothing it was started with"
    (state_home() / "measured.jsonl").unlink()
    assert predicted_bytes(plan, record) != before, "the older run taught something"


async def test_the_steps_of_a_run_are_done_while_it_is_of_what_is_chosen(homes: Path) -> None:
    run = record_run(homes / "home", state="finished")
    app = wizard(homes, screen="machine", demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.show_run(str(run.path))
        await settled(pilot)
        app.open_step("playground")
        app.open_step("recipe")
        await settled(pilot)
        assert "✓6" in screen_text(app) and "✓7" in screen_text(app)
        app.state.choices.set_value("training.seed", 7)
        await settled(pilot)
        assert "○6" in screen_text(app) and "○7" in screen_text(app), "that run is another plan's"


async def test_the_line_of_keys_shows_those_of_the_panel_in_front(homes: Path) -> None:
    app = wizard(homes, screen="review")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.push_screen(ConfirmScreen("Sure?", "Something happens.", "do it"))
        await settled(pilot)
        last = screen_text(app).splitlines()[-1]
        assert "enter Yes" in last and "esc No" in last and "^n Next" not in last
        assert app.screen.query_one(KeyBar).region.y == 23
        await pilot.press("escape")
        await settled(pilot)
        assert "^n Next" in screen_text(app).splitlines()[-1]


async def test_the_notice_of_ctrl_c_names_the_keys_of_the_line_below(homes: Path) -> None:
    app = wizard(homes, screen="review")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        app.action_help_quit()
        text = await until(pilot, "^q leaves loratui")
        assert "ctrl+q" not in text and "^q Quit" in text.splitlines()[-1]


def test_a_finding_is_told_whole_where_the_curves_can_spare_the_rows(homes: Path) -> None:
    words = "The loss is not a number from step 20 on, " + "and this sentence says at length why that may be so. " * 4
    run = record_run(homes / "home", state="running", more=[make("finding", BEGAN, finding="odd", message=words)])
    from loratui.tui.training.follow import follow

    followed = follow(str(run.path))
    followed.poll()
    lines = news(followed, 80, 3)
    assert rows_of(lines, 80) > 3
    whole = "".join(fitted(lines, 80, 6).plain.split())
    assert "".join(words.split()) in whole
    short = fitted(lines, 80, 3)
    assert sum(len(line.plain) for line in short.split("\n")) <= 3 * 76 and short.plain.splitlines()[0].startswith("▲ ")
    assert "…" in short.plain


async def test_the_screen_gives_a_long_finding_its_rows(homes: Path) -> None:
    words = "Something was found, " + "and this sentence says at length why that may be so. " * 4 + "The end."
    run = record_run(homes / "home", state="running", more=[make("finding", BEGAN, finding="odd", message=words)])
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "Something was found")
        text = await until(pilot, "The end.")
        assert "^q Quit" in text.splitlines()[-1]


@pytest.mark.parametrize(
    "names",
    [
        ("qwen2.5-0.5b-instruct-lora-r8-20261126-0544", "qwen2.5-0.5b-instruct-lora-r16-20261126-0544"),
        ("llama-lora-20261126-1740", "llama-qlora-20261126-1740"),
        ("a" * 60 + "1" + "b" * 60, "a" * 60 + "2" + "b" * 60),
        ("a" * 60, "a" * 70),
        tuple(f"llama-3.2-{one}-instruct-{way}-20261127-0028" for one in ("1b", "3b") for way in ("lora", "qlora")),
        tuple(f"llama-3.2-1b-instruct-v0.3-try-{one}dcb012-{trial}" for one in ("a", "b") for trial in (1, 2, 12)),
    ],
)
@pytest.mark.parametrize("width", [14, 19, 34])
def test_no_two_runs_look_the_same(names: tuple[str, ...], width: int) -> None:
    found = told_apart(names, width)
    assert len(set(found.values())) == len(names) and all(0 < len(one) <= width for one in found.values()), found


def test_stopped_before_its_first_step(homes: Path) -> None:
    from click.testing import CliRunner

    from loratui.commands.tree import loratui
    from loratui.tui.training.follow import follow

    run = record_run(homes / "home", state="stopped", steps=0)
    write_status(run.status_path, Status(state="stopped", message="asked to"))
    run.events_path.write_text(encode(make("stopped", BEGAN, step=0, reason="asked to")) + "\n")
    followed = follow(str(run.path))
    followed.poll()
    told = "".join(line.plain for line in news(followed, 80))
    assert "Stopped before its first step" in told and "step 0" not in told
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("loratui.runs.control.stop_run", lambda run, by: None)
        result = CliRunner().invoke(loratui, ["stop", run.name], catch_exceptions=False)
    assert "before its first step" in result.output, result.output


async def test_labelled_answers_are_shown_as_columns_before_they_are_asked_about(homes: Path) -> None:
    rows = [{"prompt": f"Ask {n}?", "completion": f"Answer {n}.", "label": bool(n % 2)} for n in range(60)]
    (homes / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    app = wizard(homes, screen="dataset")
    choose(app, dataset=str(homes / "judged.jsonl"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        text = await until(pilot, "label is false")
        assert "{'" not in text and "Ask 0?" in text and "false" in text


async def test_the_empty_page_names_preferences(homes: Path) -> None:
    app = wizard(homes, screen="dataset", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert "chosen and rejected (DPO, ORPO)" in text and "a label (KTO)" in text


async def test_what_a_run_leaves_to_its_further_training_is_held_not_mine(homes: Path) -> None:
    from loratui.tui.take_away.train_further import NextTraining

    wanted = NextTraining(
        "demo", "demo", {"method.kind": "lora", "lora.r": 8, "lora.adapter": "/a", "dataset.format": "text"}
    )
    assert wanted.asked == {"lora.adapter": "/a", "dataset.format": "text"}
    assert wanted.kept == {"method.kind": "lora", "lora.r": 8}
    app = wizard(homes, screen="recipe", demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.state.choices.replace_values({}, {"method.kind": "lora", "lora.r": 8})
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None and proposal.plan.lora.r == 8
        assert proposal.origins["lora.r"] == proposal.origins["method.kind"] == "held"
        assert not app.state.draft.by_hand
        app.state.choices.undo()
        assert not app.state.draft.held


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_notice_covers_the_heading_alone(homes: Path, size: tuple[int, int]) -> None:
    app = wizard(homes, screen="recipe")
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        app.notify("demo-lora-20261126-1740 is running · ^r lists it", markup=False, timeout=30)
        text = await until(pilot, "is running · ^r lists it")
        row = next(at for at, line in enumerate(text.splitlines()) if "^r lists it" in line)
        assert row < app.screen.query_one("#body").region.y, shown(app)


async def test_a_letter_that_slips_in_takes_no_other_rows(homes: Path) -> None:
    """Somebody typed a question ahead, and its d took the demo in place of the chosen file."""
    app = wizard(homes, screen="dataset")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        chosen = app.state.draft.dataset
        await pilot.press("d")
        await settled(pilot)
        assert app.state.draft.dataset == chosen
    app = wizard(homes / "other", screen="dataset", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("d")
        await settled(pilot)
        assert app.state.draft.dataset == "demo"


async def test_what_is_found_at_a_start_makes_one_plan(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model and dataset were each followed by a proposal of their own."""
    from loratui.core import proposal

    made: list[object] = []
    propose = proposal.propose
    monkeypatch.setattr(proposal, "propose", lambda *given, **more: made.append(given) or propose(*given, **more))
    app = wizard(homes, screen="machine", demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert app.state.plan.proposal is not None and app.state.plan.proposal.data.examples == 1_600
        assert len(made) == 1


@pytest.mark.parametrize("word", ["diverged", "spoilt"])
def test_a_ruined_run_has_a_look_of_its_own(word: str) -> None:
    """Home showed `? spoilt` of a run whose weights are worth nothing."""
    assert look_of(word) == ("✗", word, "$error") and word in BAD
