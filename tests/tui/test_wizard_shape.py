"""An unknown family's class is read beside the wizard, and the proposal follows when it is known."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pictured import until
from wizard import CONFIG, model_folder, wizard

from loratui.core.families import read_config
from loratui.models import shapes

STRANGER = {**CONFIG, "model_type": "stranger", "architectures": ["StrangerForCausalLM"]}
EXACT = replace(read_config(CONFIG), family="stranger", norm_parameters=99, traced=True)


async def test_the_proposal_is_renewed_when_the_shape_arrives(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.dumps({"spec": asdict(EXACT)})
    may_tell = homes / "may tell"
    code = f"import os, time\nwhile not os.path.exists({str(may_tell)!r}): time.sleep(0.02)\nprint({found!r})"
    monkeypatch.setattr(shapes, "command", lambda: [sys.executable, "-c", code])
    folder = model_folder(homes / "stranger", STRANGER)
    app = wizard(homes, screen="model")
    async with app.run_test(size=(120, 36)) as pilot:
        app.choose_model(str(folder))
        await until(pilot, lambda: app.state.model.spec is not None and app.state.model.spec.id == str(folder))
        assert app.state.model.spec is not None and not app.state.model.spec.known  # a guess at once
        assert app.state.plan.proposal is not None and any(
            "not known" in warning for warning in app.state.plan.proposal.warnings
        )
        may_tell.touch()
        await until(pilot, lambda: app.state.model.spec.known)
        assert app.state.plan.proposal.parameters_total == EXACT.total_parameters
        assert not any("not known" in warning for warning in app.state.plan.proposal.warnings)


async def test_a_refusal_is_one_notice_and_the_guess_goes_on(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        shapes, "command", lambda: [sys.executable, "-c", 'print(\'{"refused": "there is no class for it."}\')']
    )
    folder = model_folder(homes / "stranger", STRANGER)
    app = wizard(homes, screen="model")
    async with app.run_test(size=(120, 36)) as pilot:
        app.choose_model(str(folder))
        told: list[str] = []

        def refused() -> bool:
            told[:] = [notice.message for notice in app._notifications]
            return any("there is no class for it." in text for text in told)

        await until(pilot, refused)
        assert any("stay a guess" in text for text in told)
        assert (
            app.state.model.spec is not None and not app.state.model.spec.known and app.state.plan.proposal is not None
        )
