"""Columns are mapped by pointing at them, also where no shape was recognised; preferences are asked about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList
from wizard import SIZES, choose, screen_text, settled, wizard

from loratui.core.presets import Preset
from loratui.data.preferences import LEARNS_LABELS
from loratui.tui.app import LoratuiApp
from loratui.tui.dataset.columns import ColumnsScreen
from loratui.tui.dataset.mapping import MappingScreen
from loratui.tui.dataset.preference_question import PreferenceQuestion


def app_with(folder: Path, rows: list[dict[str, Any]]) -> LoratuiApp:
    """The wizard on the dataset's screen, with these rows in a file, and without a check."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    app = wizard(folder, screen="dataset")
    choose(app, dataset=str(path))
    app.check_dataset = lambda **again: None  # type: ignore[method-assign]
    return app


async def point_at(pilot: Pilot[None], column: str) -> None:
    """Move the cursor to a column with the arrow keys."""
    screen = pilot.app.screen
    assert isinstance(screen, MappingScreen)
    place = screen.paths.index(column)
    options = screen.query_one("#columns", OptionList)
    while options.highlighted != place:
        await pilot.press("down" if (options.highlighted or 0) < place else "up")


@pytest.mark.parametrize("size", SIZES)
async def test_rows_of_no_known_shape_are_mapped_by_pointing(tmp_path: Path, size: tuple[int, int]) -> None:
    rows = [{"theme": f"theme {n}", "ask": {"words": f"what is {n}"}, "told": [f"it is {n}"]} for n in range(30)]
    app = app_with(tmp_path, rows)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        said = " ".join(screen_text(app).split())
        assert "no known shape" in said and "point at the columns" in said
        await pilot.press("c")
        await settled(pilot)
        assert isinstance(app.screen, MappingScreen)
        assert "ask.words" in screen_text(app) and "what is 0" in screen_text(app)
        await point_at(pilot, "theme")
        await pilot.press("p")
        assert "Now point at the answer" in screen_text(app), "what is still to do"
        await point_at(pilot, "ask.words")
        await pilot.press("p")
        await point_at(pilot, "told")
        await pilot.press("a")
        await settled(pilot)
        text = screen_text(app)
        assert "30 of the first 30 rows can be used" in text and "← prompt" in text and "← answer" in text
        field = app.screen.query_one("#mapping", Input)
        assert field.value == "prompt:{theme}\\n\\n{ask.words},completion:told"
        field.focus()
        field.value = "prompt:{theme}: {ask.words}?,completion:told.0,system:=Be brief"
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.by_hand["dataset.columns"] == {
            "prompt": "{theme}: {ask.words}?",
            "completion": "told.0",
            "system": "=Be brief",
        }
        text = screen_text(app)
        assert "theme 0: what is 0?" in text and "it is 0" in text and "Be brief" in text
        proposal = app.state.plan.proposal
        assert proposal is not None and proposal.plan.dataset.columns["completion"] == "told.0"


@pytest.mark.parametrize("size", SIZES)
async def test_a_reading_is_changed_by_hand_and_a_part_is_taken_away(tmp_path: Path, size: tuple[int, int]) -> None:
    rows = [{"question": f"q {n}", "answer": f"a {n}", "note": f"n {n}"} for n in range(30)]
    app = app_with(tmp_path, rows)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await settled(pilot)
        assert isinstance(app.screen, ColumnsScreen) and "30 of the first 30 rows" in screen_text(app)
        await pilot.press("end", "enter")
        await settled(pilot)
        assert isinstance(app.screen, MappingScreen)
        await point_at(pilot, "answer")
        await pilot.press("backspace")
        assert "completion" not in app.screen.columns
        await point_at(pilot, "note")
        await pilot.press("a", "enter")
        await settled(pilot)
        assert app.state.draft.by_hand["dataset.columns"] == {"prompt": "question", "completion": "note"}
        assert "n 0" in screen_text(app)


PREFERENCES = [{"prompt": f"{n}?", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(30)]


@pytest.mark.parametrize("size", SIZES)
async def test_preferences_are_asked_about_before_going_on(tmp_path: Path, size: tuple[int, int]) -> None:
    app = app_with(tmp_path, PREFERENCES)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert "preferences: f answers" in screen_text(app)
        assert any("preferences" in problem.sentence for problem in app.state.ready())
        await pilot.press("ctrl+n")
        await settled(pilot)
        assert isinstance(app.screen, PreferenceQuestion)
        await pilot.press("escape")
        await settled(pilot)
        assert app.screen.name == "dataset" and app.state.problems("dataset"), "unanswered: it stays here"
        await pilot.press("f")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert "the preference is learnt, from both sides" in screen_text(app) and not app.state.problems("dataset")
        learnt = app.state.plan.proposal
        assert learnt is not None and learnt.plan.training.objective == "dpo" and "rejected" in PREFERENCES[0]
        await pilot.press("f")
        await settled(pilot)
        await pilot.press("c")
        await settled(pilot)
        assert app.state.draft.by_hand["dataset.preference"] == "chosen" and not app.state.problems("dataset")
        assert "the chosen answers are trained on" in screen_text(app)
        await pilot.press("ctrl+n")
        await settled(pilot)
        assert app.screen.name == "recipe"
        proposal = app.state.plan.proposal
        assert proposal is not None and proposal.plan.dataset.preference == "chosen"
        app.choose_dataset(str(tmp_path / "data" / "questions.jsonl"))
        await settled(pilot)
        assert not {"dataset.preference", "training.objective"} & set(app.state.draft.by_hand), (
            "another dataset is asked about anew"
        )


@pytest.mark.skipif(not LEARNS_LABELS, reason="labels are not learnt from")
async def test_labels_that_say_no_are_asked_about_as_pairs_are(tmp_path: Path) -> None:
    app = app_with(tmp_path, [{"prompt": f"{n}?", "completion": f"yes {n}", "label": n % 2 == 0} for n in range(30)])
    async with app.run_test(size=SIZES[0]) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+n")
        await settled(pilot)
        assert isinstance(app.screen, PreferenceQuestion) and "wanted answers (SFT)" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.by_hand["training.objective"] == "kto" and not app.state.problems("dataset")
        shown, facts = app.state.dataset.shown, app.state.dataset.facts()
        assert shown is not None and shown.recognition.judged and facts is not None and facts.examples > 25


@pytest.mark.parametrize(
    ("labelled", "key", "learnt", "rows"),
    [(False, "p", "dpo", 28), (False, "k", "kto", 56), (False, "c", "sft", 28), (True, "p", "kto", 28)],
)
async def test_each_answer_makes_the_plan_and_the_counts_that_it_says(
    labelled: bool, key: str, learnt: str, rows: int, tmp_path: Path
) -> None:
    judged = [{"prompt": f"{n}?", "completion": f"yes {n}", "label": n % 3 == 0} for n in range(30)]
    app = app_with(tmp_path, judged if labelled else PREFERENCES)
    async with app.run_test(size=SIZES[0]) as pilot:
        await settled(pilot)
        await pilot.press("f")
        await settled(pilot)
        assert ("(DPO)" in screen_text(app)) is not labelled and "(KTO)" in screen_text(app)
        await pilot.press(key)
        await settled(pilot)
        proposal, facts = app.state.plan.proposal, app.state.dataset.facts()
        assert proposal is not None and facts is not None and not app.state.problems("dataset")
        assert proposal.plan.training.objective == learnt
        assert proposal.plan.dataset.preference == ("chosen" if key == "c" else "ask")
        assert proposal.data.examples == facts.examples == rows, "two held out; sides of pairs are rows of KTO"
        assert facts.desirable_share == (None if learnt != "kto" else pytest.approx(1 / 3 if labelled else 0.5))
        assert proposal.plan.preference.desirable_weight == pytest.approx(2.0 if labelled else 1.0)


async def test_what_is_left_out_is_said_on_the_screen(tmp_path: Path) -> None:
    rows = [{"question": f"q {n}", "choices": ["red", "blue"], "answer": "red"} for n in range(30)]
    app = app_with(tmp_path, rows)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        text = " ".join(screen_text(app).split())
        assert "prompt-completion ▲ a guess: c changes it" in text
        assert "left out of the first 30 rows: choices (210 characters)" in text


async def test_a_preset_that_learns_preferences_answers_the_question(tmp_path: Path) -> None:
    app = app_with(tmp_path, PREFERENCES)
    async with app.run_test(size=SIZES[0]) as pilot:
        await settled(pilot)
        own = Preset("mine", "Mine", "Learns preferences.", {"training.objective": "dpo"})
        app.state.plan.add_preset(own)
        app.state.choices.set_preset("mine")
        await settled(pilot)
        assert not app.state.problems("dataset")
        view, proposal = app.state.dataset.view, app.state.plan.proposal
        assert proposal is not None and proposal.plan.training.objective == "dpo"
        assert view is not None and app.state.dataset.facts() == view.preferences["dpo"][1] != view.facts
        assert app.state.dataset.shown is view.preferences["dpo"][0]
