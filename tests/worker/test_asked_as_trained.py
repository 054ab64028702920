"""What is asked is held as it was trained: quantisation, number formats and attention, field by field, wherever a base
is loaded.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tiny_model import write_tiny_model  # noqa: E402

import loratui  # noqa: E402
from loratui.core.plan import Plan  # noqa: E402
from loratui.core.plan_text import with_values  # noqa: E402
from loratui.runs.directory import Run  # noqa: E402
from loratui.runs.start import create_run  # noqa: E402
from loratui.workers.protocol import ADAPTER, Load, decode_request, encode  # noqa: E402
from loratui.workers.target import find_target  # noqa: E402

pytestmark = pytest.mark.worker

HELD = [
    {"method.quantization": "nf4", "method.double_quantization": True, "method.compute_dtype": "bf16"},
    {"method.quantization": "nf4", "method.double_quantization": False, "method.compute_dtype": "fp32"},
    {
        "method.quantization": "fp4",
        "method.double_quantization": True,
        "method.compute_dtype": "fp32",
        "model.attention": "eager",
    },
    {"method.quantization": "int8"},
    {"method.kind": "lora", "method.quantization": "none", "model.attention": "eager", "model.dtype": "bf16"},
]
NAMES = ["nf4-double", "nf4-single", "fp4", "int8", "unquantised"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("base") / "base", hidden=64)


def run_of(base: Path, folder: Path, values: dict[str, Any]) -> Run:
    """A finished run of this plan, with an adapter made on the base as training loads it."""
    from peft import get_peft_model

    from loratui.worker.training.config import lora_config
    from loratui.worker.training.load_model import load_base

    plan = with_values(
        Plan(),
        {
            "model.id": str(base),
            "model.dtype": "fp32",
            "method.kind": "qlora",
            "hardware.cpu": True,
            "training.precision": "fp32",
            "lora.r": 2,
            **values,
        },
    )
    run = create_run(plan, output=folder / "run")
    model = load_base(plan, device="cpu")
    get_peft_model(model, lora_config(plan, model.config.to_dict())).save_pretrained(run.adapter_path)
    return run


def held(model: Any) -> dict[str, Any]:
    """Everything about how a base is held: its own words, and what its layers hold."""
    layer = model.model.layers[0].self_attn.q_proj
    layer = getattr(layer, "base_layer", layer)
    state = getattr(layer.weight, "quant_state", None)
    config = getattr(model.config, "quantization_config", None)
    return {
        "config": config.to_dict() if config is not None else None,
        "attention": model.config._attn_implementation,
        "dtype": model.get_input_embeddings().weight.dtype,
        "layer": type(layer).__name__,
        "packed": (layer.weight.dtype, layer.weight.numel()),
        "compute": getattr(layer, "compute_dtype", None),
        "kind": getattr(state, "quant_type", None),
        "nested": getattr(state, "nested", None),
        "scales": state.absmax.dtype if state is not None else None,
    }


@pytest.mark.parametrize("values", HELD, ids=NAMES)
def test_chat_playground_and_api_hold_the_base_as_it_was_trained(
    base: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    from loratui.api import load
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.training.load_model import load_base

    run = run_of(base, tmp_path, values)
    trained = held(load_base(run.plan(), device="cpu"))
    asked = find_target(str(run.path)).load
    sent = decode_request(encode(asked))
    assert isinstance(sent, Load) and sent == asked, "nothing is lost on the way to the worker"
    assert held(LoadedModels(sent).base) == trained
    assert held(load(run.path)._models.base) == trained
    assert held(LoadedModels(find_target(str(run.adapter_path)).load).base) == trained, (
        "an adapter's folder knows its run"
    )


@pytest.mark.usefixtures("ready_workers")
def test_the_playgrounds_worker_answers_on_such_a_base(base: Path, tmp_path: Path) -> None:
    from loratui.core.generation import GenerationSettings
    from loratui.workers.client import PlaygroundClient
    from loratui.workers.protocol import Done

    run = run_of(base, tmp_path, HELD[2])

    async def ask() -> list[Any]:
        client = PlaygroundClient()
        try:
            await client.start(find_target(str(run.path)).load)
            settings = GenerationSettings(max_tokens=3)
            return [
                event
                async for event in client.ask([ADAPTER], settings, messages=[{"role": "user", "content": "1 and 2 is"}])
            ]
        finally:
            await client.close()

    assert isinstance(asyncio.run(ask())[-1], Done)


def test_merging_asks_the_unquantised_base_with_the_trainings_attention(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.worker import merge as merging
    from loratui.worker.generation import load as loading
    from loratui.worker.training.load_model import load_base

    run = run_of(base, tmp_path, HELD[2])
    seen: list[Any] = []

    class Watched(loading.LoadedModels):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            seen.append(held(self.base))

    monkeypatch.setattr(loading, "LoadedModels", Watched)
    assert merging.merge(find_target(str(run.path)), tmp_path / "merged").holds
    trained = held(load_base(run.plan(), device="cpu"))
    whole = [one for one in seen if one["config"] is None]
    assert len(whole) > 1 and {(one["attention"], one["dtype"]) for one in whole} == {("eager", torch.float32)}
    assert [one for one in seen if one["config"] is not None] == [trained], (
        "the drift from the quantised base is measured on that very base"
    )


def test_tracing_packs_the_layers_with_the_same_settings(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    import transformers.integrations.bitsandbytes as integration

    from loratui.worker.trace import run
    from loratui.worker.training.load_model import load_base

    plan = with_values(
        Plan(),
        {"model.id": str(base), "model.dtype": "fp32", "method.kind": "qlora", "training.precision": "fp32", **HELD[1]},
    )
    given: list[Any] = []
    real = integration.replace_with_bnb_linear

    def watched(*arguments: Any, **options: Any) -> Any:
        given.append(options["quantization_config"].to_dict())
        return real(*arguments, **options)

    monkeypatch.setattr(integration, "replace_with_bnb_linear", watched)
    run(json.loads((base / "config.json").read_text()), plan, 1, 8, False)
    trained = load_base(plan, device="cpu").config.quantization_config.to_dict()
    assert given == [trained]


def test_flash_attention_gives_way_on_a_cpu_and_says_so(base: Path) -> None:
    from loratui.worker.generation.load import LoadedModels

    said: list[str] = []
    models = LoadedModels(Load(str(base), device="cpu", attention="flash_attention_2"), said.append)
    assert models.base.config._attn_implementation == "sdpa"
    assert any("flash_attention_2 needs a GPU" in one for one in said)


def test_the_settings_are_written_in_one_module() -> None:
    """Of what imports torch: exported scripts and cards hold them as text."""
    package = Path(loratui.__file__).parent
    writing = [
        str(path.relative_to(package))
        for path in sorted((package / "worker").rglob("*.py"))
        if re.search(
            r"BitsAndBytesConfig\(|AutoModelForCausalLM\.from_pretrained|\"bf16\": torch",
            path.read_text(encoding="utf-8"),
        )
    ]
    assert writing == ["worker/base_model.py"]
