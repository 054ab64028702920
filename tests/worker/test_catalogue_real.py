"""Every model that ships in the catalogue, built whole on the meta device: each parameter and each adapter parameter is
counted.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from loratui.core.lora_targets import count_adapter, peft_targets, resolve_targets
from loratui.models.catalogue import entries
from loratui.models.found import FoundModel
from loratui.worker.shape import build

pytestmark = pytest.mark.worker


def distinct() -> list[FoundModel]:
    """One model of each shape."""
    return list({json.dumps(found.config, sort_keys=True): found for found in entries()}.values())


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
    for found in distinct():
        model = build(as_the_hub_has_it(found.config))
        total = sum(
            weight.numel()
            for name, weight in model.named_parameters()
            if "vision" not in name and "multi_modal" not in name
        )
        targets = peft_targets(found.spec, "all-linear")
        if found.config["model_type"] == "gemma3" and targets == "all-linear":
            targets = r".*language_model\.layers\.\d+\..*_proj"
        adapted = get_peft_model(model, LoraConfig(r=16, target_modules=targets, task_type="CAUSAL_LM"))
        trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
        counted = count_adapter(resolve_targets(found.spec, "all-linear"), 16)
        if (total, trained) != (found.spec.total_parameters, counted):
            wrong.append((found.id, total, found.spec.total_parameters, trained, counted))
    assert not wrong
