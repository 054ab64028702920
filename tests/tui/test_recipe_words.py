"""What a field takes and what its value means is read whole on the narrowest screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizard import screen_text, settled, wizard

from loratui.core.plan_text import allowed, fields
from loratui.format import value_text
from loratui.tui.app import LoratuiApp
from loratui.tui.common.key_bar import KeyBar
from loratui.tui.recipe.fields import shown_keys
from loratui.tui.recipe.screen import RecipeScreen
from loratui.tui.wizard.change import NOUGHT


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
