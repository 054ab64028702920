"""The recipe tells, before a value is changed, what its neighbours would do to the memory; and hides reasons that have
no room.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from textual.widgets import Static
from wizard import settled, wizard

from loratui.format import size
from loratui.tui.recipe.derivation import guide
from loratui.tui.wizard.fields import EVERYDAY, neighbours


@pytest.mark.parametrize(
    ("key", "value", "near"),
    [
        ("lora.r", 16, [8, 32]),
        ("training.learning_rate", 2e-4, [1.5e-4, 3e-4]),
        ("training.batch_size", 1, [2]),
        ("method.kind", "lora", ["full", "qlora"]),
        ("training.checkpointing", True, [False]),
        ("lora.targets", "all-linear", []),
        ("model.id", "demo", []),
    ],
)
def test_neighbours_are_the_next_values(key: str, value: object, near: list[object]) -> None:
    assert neighbours(key, value) == near


async def test_what_is_told_is_what_the_key_then_does(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        for place, key in enumerate(EVERYDAY):
            assert app.state.plan.proposal is not None
            up = neighbours(key, app.state.plan.proposal.plan.get(key))[-1]
            moved, before = app.state.plan.moves_if(key, up), app.state.plan.proposal.memory.total_bytes
            assert moved is not None
            told = moved.memory_bytes
            shown = str(app.screen.query_one("#why", Static).content)
            assert (size(abs(told)) if told else "the same") in shown, (key, shown)
            if key != "method.kind":
                await pilot.press("right")
                await pilot.pause()
                assert app.state.plan.proposal.memory.total_bytes - before == told, key
                await pilot.press("u")
            await pilot.press("down")
            await pilot.pause()
            assert place < 6


async def test_a_value_that_is_not_allowed_has_no_price(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        seed = app.state.plan.moves_if("training.seed", 7)
        assert app.state.plan.moves_if("lora.r", -1) is None and seed is not None and seed.memory_bytes == 0


async def test_narrow_rows_tell_only_what_else_is_proposed(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.state.choices.set_value("training.epochs", 7.0)

        def told() -> list[str]:
            return str(app.screen.query_one("#fields").render()).splitlines()

        def priced() -> bool:
            return any("Epochs" in line and "mine" in line and "proposed: " in line for line in told())

        await until(pilot, priced)
        lines = told()
        assert next(line for line in lines if "Rank" in line).split()[-1] == "proposed"


def test_every_table_of_the_guides_fits_the_narrowest_panel() -> None:
    from rich.cells import cell_len

    from loratui.core.knowledge.guides import TABLES

    for table in TABLES:
        for width in (65, 89):
            lines = str(guide(table, width)).splitlines()
            assert all(cell_len(line) <= width for line in lines), (table.title, max(lines, key=len))
            told = "".join(" ".join(lines).split())
            assert all(word in told for row in table.rows for cell in row for word in cell.split()), table.title
