"""What runs here measured speaks for the same folder, however a command names it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from loratui.commands.situation import asked_for
from loratui.core.measured import Measurement
from loratui.core.operations import flops_per_pass
from loratui.core.proposal import Proposal, propose
from loratui.paths import demo_model_path
from loratui.runs.measured import add_measurement


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
    add_measurement(
        Measurement(
            run="/runs/a",
            time=1.0,
            device=before.device.name,
            method=before.plan.method.kind,
            family=before.spec.family,
            model=str(tmp_path / "model"),
            checkpointing=before.plan.training.checkpointing,
            passes=before.plan.training.accumulation,
            flops_per_step=flops_per_pass(before.spec, before.plan, before.data) * before.plan.training.accumulation,
            seconds_per_step=3.0,
            steps=50,
        )
    )
    after = planned(asked)
    assert after.time is not None and after.time.basis == "measured in 1 run here" and after.plan.model.id == asked
