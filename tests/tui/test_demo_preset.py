"""The demo's preset goes with the demo's model."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizard import model_folder, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.draft import DEMO


async def test_another_model_than_the_demos_is_proposed_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's rate and precision stayed for whatever model was chosen after it."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    app = wizard(tmp_path, screen="model", demo=True)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None and proposal.origins["training.learning_rate"] == "preset"
        app.choose_model(str(model_folder(tmp_path / "llama-1b")))
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert app.state.draft.preset == "auto"
        assert proposal is not None and proposal.origins["training.learning_rate"] == "proposed"
        assert [one.message for one in app._notifications] == [
            "The demo's preset is for its model: proposals are used now."
        ]


def test_undo_does_not_bring_the_demos_preset_back_for_another_model() -> None:
    choices = Choices(DEMO)
    choices.set_value("lora.r", 4)
    choices.choose_model("some/model")
    assert choices.undo() and choices.draft.preset == "auto"


def test_other_presets_stay_with_another_model() -> None:
    choices = Choices(DEMO)
    choices.set_preset("quality")
    choices.choose_model("some/model")
    assert choices.draft.preset == "quality"
