"""A run's bytes on disk, against the files of a real one and against arithmetic."""

from __future__ import annotations

import json

import pytest

from loratui.core.families import read_config
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.storage import disk_need, disk_warning
from loratui.paths import demo_model_path

CONFIG = demo_model_path() / "config.json"


@pytest.mark.skipif(not CONFIG.is_file(), reason="the demo model is not built")
def test_checkpoint_of_a_real_run() -> None:
    """`loratui train` of the demo, r = 16 on all linear layers, float32 adapter: adapter_model.safetensors 662,520
    bytes, optimizer.pt 1,356,875, tokenizer.json 70,366, the rest 30 kB (transformers 5.23, PEFT 0.21.2)."""
    spec = read_config(json.loads(CONFIG.read_text()), id="demo")
    need = disk_need(spec, with_values(Plan(), {"lora.r": 16, "saving.every_steps": 2, "saving.keep": 2}))
    real = 662_520 + 1_356_875 + 70_366 + 30_000
    assert need.checkpoint_bytes == pytest.approx(real, rel=0.05)
    assert need.result_bytes == pytest.approx(662_520, rel=0.001)
    assert need.beside_bytes == pytest.approx(70_366, rel=0.5)
    assert need.checkpoints == 3
    assert need.total_bytes == 3 * need.checkpoint_bytes + need.result_bytes + need.beside_bytes


def test_full_fine_tuning_keeps_weights_and_two_states() -> None:
    from loratui.models.find import find_model

    spec = find_model("Qwen/Qwen2.5-7B").spec
    plan = with_values(Plan(), {"method.kind": "full", "saving.every_steps": 0})
    need = disk_need(spec, plan)
    assert need.checkpoints == 1
    # 7.6 B parameters in bf16, and AdamW's two states in the parameters' own format: 6 bytes each.
    assert need.checkpoint_bytes == pytest.approx(6 * spec.total_parameters, rel=0.01)
    assert need.result_bytes == pytest.approx(2 * spec.total_parameters, rel=0.01)


def test_disk_that_is_too_small_is_said_with_a_mend() -> None:
    from loratui.models.find import find_model

    spec = find_model("Qwen/Qwen2.5-7B").spec
    plan = with_values(Plan(), {"method.kind": "full", "saving.every_steps": 100, "saving.keep": 2})
    need = disk_need(spec, plan)
    assert disk_warning(spec, plan, int(need.total_bytes * 1.2)) == ""
    warning = disk_warning(spec, plan, need.total_bytes)
    assert "3 saves of" in warning and "saving.keep" in warning and "LORATUI_HOME" in warning


def test_proposal_warns_of_the_disk() -> None:
    from loratui.core.proposal import propose
    from loratui.core.situation import Situation
    from loratui.machine.catalogue import find_gpu
    from loratui.models.find import find_model

    spec, device = find_model("Qwen/Qwen2.5-0.5B").spec, find_gpu("A100").device()
    enough = propose(Situation(spec, None, device, 10**12))
    short = propose(Situation(spec, None, device, 10**6))
    assert not any("of disk" in warning for warning in enough.warnings)
    assert any("of disk" in warning for warning in short.warnings)
