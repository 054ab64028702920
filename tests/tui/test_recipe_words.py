"""What a field takes and what its value means is read whole on the narrowest screen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.content import Content
from wizard import screen_text, settled, wizard

from loratui.core.plan_text import allowed, fields, with_values
from loratui.format import number_text, signed_size, value_text
from loratui.tui.app import LoratuiApp
from loratui.tui.common.key_bar import KeyBar
from loratui.tui.common.text import labelled
from loratui.tui.home.differences import differences, setting_words
from loratui.tui.recipe.derivation import derivation
from loratui.tui.recipe.field_list import FieldList
from loratui.tui.recipe.screen import RecipeScreen
from loratui.tui.recipe.why import price_words, why_lines
from loratui.tui.training.mending import words
from loratui.tui.wizard.change import NOUGHT
from loratui.tui.wizard.command import command_text
from loratui.tui.wizard.fields import shown_keys


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


async def test_what_a_number_takes_is_read_to_its_end_at_80_columns(tmp_path: Path) -> None:
    """It said "takes a whole number at least 1 and at mos…"."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, RecipeScreen)
        await pilot.press("m")
        await settled(pilot)
        listed = app.screen.fields
        keys = [row.key for row in listed.rows if row.kind == "number"]
        assert len(keys) > 15
        for key in keys:
            listed.go_to(key)
            await pilot.press("minus")  # of no number the whole
            await pilot.pause()
            assert listed.error == f"takes {allowed(key)}"
            assert listed.error in screen_text(app), key
            await pilot.press("escape")


def values(app: LoratuiApp) -> dict[str, str]:
    """What stands as the value of each field that is shown."""
    assert isinstance(app.screen, RecipeScreen)
    return {row.key: f"{row.shown or value_text(row.value)} {row.unit}".strip() for row in app.screen.fields.rows}


async def test_values_say_what_they_mean(tmp_path: Path) -> None:
    """It said "Minimum rate 0.1" beside "Learning rate 0.0026", and "Maximum steps 0 steps"."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        app.state.choices.set_value("training.min_lr_ratio", 0.1)
        await settled(pilot)
        assert values(app)["training.min_lr_ratio"] == "0.1 of the peak"
        assert values(app)["training.max_steps"] == "no limit"
        assert isinstance(app.screen, RecipeScreen)
        app.screen.fields.go_to("training.min_lr_ratio")
        await settled(pilot)
        (line,) = [one for one in screen_text(app).splitlines() if "Minimum rate" in one and "mine" in one]
        assert "0.1 of the peak" in line
        app.state.choices.set_value("training.max_steps", 20)
        await settled(pilot)
        assert values(app)["training.max_steps"] == "20 steps"
        change = app.state.plan.change
        assert change is not None and "Maximum steps no limit → 20" in change.cause


async def test_the_fields_of_an_objective_stand_only_for_it(tmp_path: Path) -> None:
    """Beta, KTO's loss and the weights stood as "proposed" for plain questions and answers."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("m")
        await settled(pilot)
        shown = values(app)
        assert "training.objective" in shown and not [key for key in shown if key.startswith("preference.")]


@pytest.mark.parametrize(
    ("objective", "there", "absent"),
    [
        ("dpo", {"beta", "loss", "label_smoothing", "reference"}, {"kto_loss", "desirable_weight"}),
        ("kto", {"beta", "kto_loss", "desirable_weight", "undesirable_weight", "reference"}, {"loss", "sft_weight"}),
        ("orpo", {"beta"}, {"loss", "kto_loss", "reference", "length_weight"}),
    ],
)
def test_each_objective_has_its_own_fields(objective: str, there: set[str], absent: set[str]) -> None:
    shown = {key for _, keys in shown_keys("lora", True, objective=objective) for key in keys}
    assert {f"preference.{name}" for name in there} <= shown
    assert not {f"preference.{name}" for name in absent} & shown
    kept = {key for _, keys in shown_keys("lora", True, own=["preference.kto_loss"]) for key in keys}
    assert "preference.kto_loss" in kept, "what is set by hand can be given back"


def test_a_nought_that_is_no_amount_is_told_in_words() -> None:
    amounts = {"cluster.gpus_per_node"}  # no GPUs are an amount
    described = {key for key, field in fields().items() if "; 0: " in str(field.description)}
    assert described - amounts == set(NOUGHT)


@pytest.mark.parametrize(("size", "first"), [((80, 24), "All fields"), ((200, 50), "Everyday fields")], ids=str)
async def test_the_key_tells_what_it_would_show(tmp_path: Path, size: tuple[int, int], first: str) -> None:
    """The footer said "m All fields" where all were shown, too."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        told = []
        for _ in range(3):
            labels = [binding.description for binding, _ in app.screen.query_one(KeyBar).shown() if binding.key == "m"]
            told += labels
            everything = "training.seed" in values(app)
            assert labels == ["Everyday fields" if everything else "All fields"]
            await pilot.press("m")
            await settled(pilot)
        assert told[0] == told[2] == first != told[1]


async def test_the_key_follows_the_width(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(200, 50)) as pilot:
        await settled(pilot)
        for width, told in ((100, "All fields"), (200, "Everyday fields")):
            await pilot.resize_terminal(width, 50)
            await settled(pilot)
            assert [one.description for one, _ in app.screen.query_one(KeyBar).shown() if one.key == "m"] == [told]
            assert ("training.seed" in values(app)) == (told == "Everyday fields")


async def test_the_palette_shows_all_fields_where_they_are_shown_already(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=(200, 50)) as pilot:
        await settled(pilot)
        app.do_there("recipe", "more(True)")
        await settled(pilot)
        assert "training.seed" in values(app) and "not possible" not in screen_text(app)


async def test_a_first_look_tells_no_earlier_value_that_nobody_saw(tmp_path: Path) -> None:
    """ "was 32" stood beside fields that the dataset had moved before the recipe was ever looked at."""
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.set_value("training.max_length", 64)
        app.state.choices.set_value("training.max_length", 4096)
        assert app.state.plan.change is not None and app.state.plan.change.was
        await pilot.press("4")
        await settled(pilot)
        rows = app.screen.query_one(FieldList).rows
        assert rows and not any(row.was for row in rows) and " was " not in screen_text(app)
        await pilot.press("1")
        await settled(pilot)
        app.state.choices.set_value("training.max_length", 128)
        await pilot.press("4")
        await settled(pilot)
        was = {row.key: row.was for row in app.screen.query_one(FieldList).rows if row.was}
        assert was["training.max_length"] == "4096", "this one was seen, and is told"


@pytest.mark.parametrize("rate", ["0.0005", "5e-4", "0.00029", "1e-05"])
async def test_a_rate_is_spelt_alike_wherever_it_stands(tmp_path: Path, rate: str) -> None:
    """5e-4 stood in the field, and 0.0005 in the command, the warnings and the fixes."""
    said = number_text(float(rate))
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.set_value("training.learning_rate", float(rate))
        app.state.choices.set_value("training.weight_decay", 0.0005)
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        plan = proposal.plan
        row = next(row for row in app.screen.query_one(FieldList).rows if row.key == "training.learning_rate")
        assert value_text(row.value) == said
        assert f"training.learning_rate={said} " in command_text(app.state.draft)
        assert f"rate {said}" in setting_words(plan, ["training.learning_rate"])
        assert words(plan, {"training.learning_rate": 3e-4}) == f"training.learning_rate {said} → 3e-4"
        assert ("learning_rate", said, "3e-4") in [
            (key.partition(".")[2], one, other)
            for key, one, other in differences(plan, with_values(plan, {"training.learning_rate": 3e-4}))
        ]
        told = [
            *derivation("training.learning_rate", proposal, 90),
            *why_lines(proposal, "training.learning_rate", "", 90, 40),
            *derivation("training.weight_decay", proposal, 90),
        ]
        spelt = re.findall(r"(?<![\d.])0\.000\d+", " ".join(line.plain for line in told) + screen_text(app))
        assert not spelt, spelt
        why = proposal.recommendations["training.learning_rate"]
        assert not re.search(r"(?<![\d.])[1-9](\.\d+)?e-3", f"{why.why} {why.formula} {why.disagreement}"), why
        for warning in proposal.warnings:
            assert not re.search(r"0\.000\d", warning), warning


async def test_the_rule_of_thumb_is_told_in_a_sentence(tmp_path: Path) -> None:
    """ "Rule of thumb: lora." stood behind a reason."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        said = {
            key: " ".join(line.plain for line in why_lines(proposal, key, "", 200, 40))
            for key in ("method.kind", "training.epochs", "lora.dropout")
        }
        assert "The guides' rule of thumb says LoRA." in said["method.kind"]
        assert "The guides' rule of thumb says 3 passes." in said["training.epochs"]
        assert all("Rule of thumb:" not in text for text in said.values())
        told = "\n".join(line.plain for line in derivation("method.kind", proposal, 90))
        assert re.search(r"now +LoRA ", told) and not re.search(r"now +lora ", told)


async def test_what_another_value_does_to_memory_is_said_of_the_proposed_one_too(tmp_path: Path) -> None:
    """Epochs 400: "memory: the same, whatever the value" stood beside "30.3 MiB less memory" for the proposed 3."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.set_value("training.epochs", 400)
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        instead = proposal.instead("training.epochs")
        said = price_words(app.state.plan, "training.epochs")
        assert instead is not None and "whatever" not in said
        at = f"{instead.proposed:g}: {signed_size(instead.memory_bytes)}" if instead.memory_bytes else "the same at"
        assert at in said
        assert price_words(app.state.plan, "training.weight_decay").startswith("the same at ")


async def test_what_a_value_was_and_what_is_proposed_is_one_word_where_it_is_one_value(tmp_path: Path) -> None:
    """ "was 3 · Proposed is 3" stood beside epochs of 400."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.set_value("training.epochs", 400)
        await settled(pilot)
        line = next(line for line in screen_text(app).splitlines() if " 400 passes" in line)
        assert "was" not in line and "Proposed is 10" in line


async def test_the_learnt_share_of_tokens_is_spelt_as_that_of_characters(tmp_path: Path) -> None:
    """ "9%" stood above "15.0%"."""
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert re.search(r"\d+\.\d% of the characters learnt", screen_text(app))


def test_what_is_cut_for_want_of_room_ends_with_a_whole_word() -> None:
    """ "are an instructio …" """
    words = Content("the columns instruction and output are an instruction and its answer, which is understood")
    cut = labelled("format", words, 60, 1).plain
    begun = cut.removeprefix("format").strip().removesuffix(" …")
    assert cut.endswith(" …") and len(cut) <= 60 and words.plain.startswith(f"{begun} ")
    assert labelled("files", Content("x" * 200), 60, 1).plain.endswith("xxx …"), "no word ends there"
