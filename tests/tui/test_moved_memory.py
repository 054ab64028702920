"""Where the memory's figure or its limit moved without anybody's doing, a line says so and why, where it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wizard import GIB, machine, screen_text, settled, wizard

from loratui.core.measured import Measurement
from loratui.machine.device import Machine
from loratui.tui.app import LoratuiApp


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


def with_free(gib: float) -> Machine:
    """The machine of the tests, its first card with so much free."""
    found = machine()
    return replace(found, gpus=(replace(found.gpus[0], memory_free_bytes=round(gib * GIB)), found.gpus[1]))


def told(app: LoratuiApp) -> str:
    return " ".join(screen_text(app).split())


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_a_limit_that_moved_says_whose_doing_it_was(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.state.choices.choose_devices([0])
        await settled(pilot)
        app.state.hardware.take(with_free(25))
        await settled(pilot)
        assert "Limit 26.8 → 23.8 GiB: other programs hold 3.00 GiB more" in told(app)
        app.state.hardware.take(with_free(26))
        await settled(pilot)
        assert "Limit 23.8 → 24.8 GiB: other programs hold 1.00 GiB less" in told(app)


async def test_a_limit_that_crept_is_told_with_the_change_that_shows_it(tmp_path: Path) -> None:
    """Looks at the machine that move nothing by themselves add up."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.choose_devices([0])
        await settled(pilot)
        for free, rank in ((27.85, 8), (27.7, 16)):
            app.state.hardware.take(with_free(free))
            app.state.choices.set_value("lora.r", rank)
            await settled(pilot)
            assert "limit 26.8" not in told(app), "a hundredth of the card is not worth a word"
        app.state.hardware.take(with_free(27.55))
        app.state.choices.set_value("lora.r", 32)
        await settled(pilot)
        assert "Rank 16 → 32" in told(app) and "limit 26.8 → 26.3 GiB" in told(app)
        app.state.choices.set_value("lora.r", 64)
        await settled(pilot)
        assert "Rank 32 → 64" in told(app) and "limit 26" not in told(app), "it was told"


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_what_runs_here_measured_is_told_where_it_moves_the_figure(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None and proposal.memory.band is None
        total = proposal.memory.total_bytes
        one = Measurement(
            run="a",
            time=1.0,
            device=proposal.device.name,
            method="lora",
            family="llama",
            model="another",
            flops_per_step=1e9,
            seconds_per_step=1.0,
            steps=20,
            predicted_bytes=total,
            measured_bytes=total - GIB // 2,
        )
        app.state.plan.take_measurements((one,))
        await settled(pilot)
        assert "Measured here: ±8 %" in told(app) and "memory −" in told(app)
