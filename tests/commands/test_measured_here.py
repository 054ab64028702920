"""What runs here measured speaks for the same folder, however a command names it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from loratui.commands.inspect import add_prices
from loratui.commands.situation import asked_for
from loratui.core.plan_text import with_values
from loratui.core.proposal import Proposal, propose
from loratui.paths import demo_model_path
from loratui.runs.measured import add_measurement
from measured_run import measured_by_a_run


def planned(model: str) -> Proposal:
    situation, preset, by_hand = asked_for(model, (), "auto", ("hardware.cpu=true",), None, None)
    return propose(situation, preset, by_hand)


@pytest.mark.parametrize("asked", ["./model", "model", "WHOLE"])
def test_a_plan_of_a_folder_that_was_trained_uses_its_speed(
    tmp_path: Path, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run keeps the absolute path; a plan of ./model was "judged by 1 run of other models here"."""
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo_model_path(), tmp_path / "model")
    asked = str(tmp_path / "model") if asked == "WHOLE" else asked
    before = planned(asked)
    assert before.time is None or not before.time.measured
    add_measurement(measured_by_a_run(before, str(tmp_path / "model")))
    after = planned(asked)
    assert after.time is not None and after.time.basis == "measured in 1 run here" and after.plan.model.id == asked
    ledger: list[dict[str, Any]] = [{"max_length": after.plan.training.max_length}]
    result = {
        "usable": True,
        "tokens": {"total": 100},
        "trained_tokens_uncut": 50,
        "split": {"train": after.data.examples, "evaluation": 0},
        "lengths": list(after.data.lengths),
        "divided": 0,
        "ledger": ledger,
    }
    plan = with_values(after.plan, {"hardware.cpu": True})
    add_prices(result, plan)
    low, high = ledger[0]["seconds"]
    add_prices(result, with_values(plan, {"model.id": "demo"}))
    assert high - low < ledger[0]["seconds"][1] - ledger[0]["seconds"][0], "lengths go by what was measured, too"
