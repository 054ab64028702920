"""Training an adapter further: its shape is proposed as it is, and a lower rate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import uniform
from loratui.core.errors import ModelError, PlanError
from loratui.core.lora_targets import resolve_targets
from loratui.core.presets import Preset
from loratui.core.proposal import propose
from loratui.core.recommend.from_adapter import AdapterShape
from loratui.core.situation import Situation
from loratui.machine.catalogue import find_gpu
from loratui.models.adapter import read_adapter
from loratui.models.find import find_model

NAMES = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")


def proposal(adapter: AdapterShape | None, by_hand: dict[str, Any] | None = None) -> Any:
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    return propose(
        Situation(spec, uniform(1000, 200), find_gpu("RTX 4090").device(), adapter=adapter), by_hand=by_hand or {}
    )


def test_the_adapters_shape_is_proposed_with_that_reason() -> None:
    fresh, found = (
        proposal(None),
        proposal(AdapterShape(8, 16.0, "rslora", ("v_proj", "q_proj")), {"lora.adapter": "somewhere"}),
    )
    assert (found.plan.lora.r, found.plan.lora.alpha, found.plan.lora.variant, found.plan.lora.targets) == (
        8,
        16.0,
        "rslora",
        ["q_proj", "v_proj"],
    )
    for key in ("lora.r", "lora.alpha", "lora.variant", "lora.targets"):
        assert found.origins[key] == "proposed" and "That of the adapter" in found.why(key)
    assert found.memory.total_bytes < fresh.memory.total_bytes, "memory is that of its shape"


def test_its_rate_is_a_third_with_that_reason() -> None:
    same = AdapterShape(16, 32.0, "lora", NAMES)
    fresh, found = proposal(None, {"lora.r": 16}), proposal(same)
    assert found.plan.lora.targets == "all-linear"
    assert found.plan.training.learning_rate == pytest.approx(fresh.plan.training.learning_rate / 3, rel=0.05)
    assert (
        "has learnt already" in found.why("training.learning_rate")
        and "2403.08763" in found.recommendations["training.learning_rate"].source
    )
    assert proposal(same, {"training.learning_rate": 1e-3}).plan.training.learning_rate == 1e-3


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no LoRA adapter"):
        read_adapter(str(tmp_path))
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "use_rslora": True})
    )
    assert read_adapter(str(tmp_path)) == AdapterShape(8, 16.0, "rslora", ("q_proj",))


def test_a_presets_rate_for_a_new_adapter_is_told() -> None:
    preset = Preset("fixed", "Fixed", "A fixed rate.", {"training.learning_rate": 2e-3})
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    device = find_gpu("RTX 4090").device()

    def told(adapter: AdapterShape | None, by_hand: dict[str, Any]) -> list[str]:
        found = propose(Situation(spec, uniform(1000, 200), device, adapter=adapter), preset, by_hand)
        return [one for one in found.warnings if "for a new adapter" in one]

    same = AdapterShape(16, 32.0, "lora", NAMES)
    assert len(told(same, {})) == 1 and "0.002" in told(same, {})[0]
    assert not told(None, {}) and not told(same, {"training.learning_rate": 2e-3}), "a person's own needs no word"


def _adapter_of(folder: Path, spec: ModelSpec, targets: str | list[str], base: str = "the/base") -> Path:
    """An adapter's folder as PEFT writes it, of this shape: zeros in every matrix."""
    layers = resolve_targets(spec, targets)
    names = sorted({linear.name for linear in layers})
    config = {"r": 4, "lora_alpha": 8, "target_modules": names, "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = {}
    for linear in layers:
        for block in range(linear.count):
            path = "base_model.model." + linear.path.format(block)
            tensors[f"{path}.lora_A.weight"] = np.zeros((4, linear.in_features), np.float16)
            tensors[f"{path}.lora_B.weight"] = np.zeros((linear.out_features, 4), np.float16)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_of_another_model_is_refused_where_it_is_planned(tmp_path: Path) -> None:
    small, large = (find_model(name, online=False).spec for name in ("demo", "Qwen/Qwen3-0.6B"))
    adapter = read_adapter(str(_adapter_of(tmp_path, small, "all-linear")))
    device = find_gpu("RTX 4090").device()
    own = propose(Situation(small, uniform(1000, 200), device, adapter=adapter))
    assert own.plan.lora.r == 4 and own.parameters_trainable == sum(4 * (one[1] + one[2]) for one in adapter.layers)
    with pytest.raises(PlanError, match=r"the adapter in lora.adapter is not of Qwen/Qwen3-0.6B: its .* × ") as refused:
        propose(Situation(large, uniform(1000, 200), device, adapter=adapter))
    assert "It was made on the/base: take that model, or leave lora.adapter empty." in str(refused.value.hint)
    half = replace(small, layers=2, linears=tuple(replace(one, count=2 * one.count) for one in small.linears))
    with pytest.raises(PlanError, match=r"it adapts .* layers .*, and the model has"):
        propose(Situation(half, uniform(1000, 200), device, adapter=adapter))


def test_targets_that_the_adapter_has_not_are_refused_where_it_is_planned(tmp_path: Path) -> None:
    spec = find_model("demo", online=False).spec
    adapter = read_adapter(str(_adapter_of(tmp_path, spec, "all-linear")))
    here = Situation(spec, uniform(1000, 200), find_gpu("RTX 4090").device(), adapter=adapter)
    count = len(adapter.layers)
    with pytest.raises(PlanError, match=f"q_proj,v_proj reaches .* layers, but the adapter .* has {count}: all-linear"):
        propose(here, by_hand={"lora.targets": ["q_proj", "v_proj"]})
    assert propose(here, by_hand={"lora.targets": "all-linear"}).plan.lora.targets == "all-linear"
    assert propose(here, by_hand={"method.kind": "full", "lora.targets": ["q_proj"]}).plan.method.kind == "full"


def test_an_adapter_whose_weights_cannot_be_read_is_told_where_it_is_loaded(tmp_path: Path) -> None:
    spec = find_model("demo", online=False).spec
    folder = _adapter_of(tmp_path, spec, "all-linear")
    (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 40)
    assert read_adapter(str(folder)).layers == ()
