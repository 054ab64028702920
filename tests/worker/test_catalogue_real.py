"""Every model that ships in the catalogue, built on the meta device with its first layers: each parameter and each
adapter parameter is counted.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from loratui.core.lora_targets import count_adapter, peft_targets, resolve_targets
from loratui.models.catalogue import entries
from loratui.models.shapes import spec_of
from loratui.worker.shape import build

pytestmark = pytest.mark.worker


LAYERS = 12
"""Two rounds of Gemma 3's pattern, the longest that there is; further layers repeat these."""


def shapes() -> list[tuple[str, dict[str, Any]]]:
    """The configs that differ within their first layers, each with the first model that has it."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for entry in entries():
        layers = entry.config["num_hidden_layers"]
        config = {
            key: value[:LAYERS] if isinstance(value, list) and len(value) == layers else value
            for key, value in entry.config.items()
        }
        config["num_hidden_layers"] = min(layers, LAYERS)
        found.setdefault(json.dumps(config, sort_keys=True), (entry.id, config))
    return list(found.values())


def as_the_hub_has_it(config: dict[str, Any]) -> dict[str, Any]:
    """The catalogue keeps the text part of a model that sees images on the outside."""
    if config["model_type"] != "gemma3":
        return config
    return {
        "model_type": "gemma3",
        "text_config": {key: value for key, value in config.items() if key not in ("model_type", "architectures")},
    }


def test_every_model_of_the_catalogue_is_counted_as_peft_and_transformers_count_it() -> None:
    from peft import LoraConfig, get_peft_model

    wrong = []
    for name, config in shapes():
        spec = spec_of(config, name)
        model = build(as_the_hub_has_it(config))
        total = sum(
            weight.numel()
            for place, weight in model.named_parameters()
            if "vision" not in place and "multi_modal" not in place
        )
        targets = peft_targets(spec, "all-linear")
        if config["model_type"] == "gemma3" and targets == "all-linear":
            targets = r".*language_model\.layers\.\d+\..*_proj"
        adapted = get_peft_model(model, LoraConfig(r=16, target_modules=targets, task_type="CAUSAL_LM"))
        trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
        counted = count_adapter(resolve_targets(spec, "all-linear"), 16)
        if (total, trained) != (spec.total_parameters, counted):
            wrong.append((name, total, spec.total_parameters, trained, counted))
    assert not wrong
