"""The estimate against the traced step of real classes: a sample of the grid of `benchmarks/memory_grid.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.memory import estimate
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

pytestmark = pytest.mark.worker

DEVICE = Device(name="any", memory_total_bytes=2**40, memory_free_bytes=2**40, compute_capability=(9, 0))
SHAPE: dict[str, Any] = {
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
}
QWEN3 = {"model_type": "qwen3", **SHAPE, "head_dim": 64, "tie_word_embeddings": True}
LLAMA = {"model_type": "llama", **SHAPE, "tie_word_embeddings": False}
GEMMA2 = {"model_type": "gemma2", **SHAPE, "head_dim": 64, "sliding_window": 4096, "tie_word_embeddings": True}
MIXTRAL = {
    "model_type": "mixtral",
    **SHAPE,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": None,
    "tie_word_embeddings": False,
}
PHI3 = {"model_type": "phi3", **SHAPE, "pad_token_id": 0, "sliding_window": None, "tie_word_embeddings": False}
GPT2 = {
    "model_type": "gpt2",
    "n_embd": 512,
    "n_layer": 3,
    "n_head": 8,
    "n_positions": 2048,
    "vocab_size": 32000,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}
NF4 = {"method.kind": "qlora", "method.quantization": "nf4", "method.double_quantization": True}
CASES: list[tuple[dict[str, Any], dict[str, Any], tuple[int, ...]]] = [
    (QWEN3, {}, (512,)),
    (QWEN3, {"training.checkpointing": True, "lora.dropout": 0.05}, (1024,)),
    (QWEN3, {"lora.targets": ["q_proj", "v_proj"]}, (256, 512)),
    (LLAMA, NF4, (1024,)),
    (LLAMA, {"method.kind": "full"}, (512,)),
    (
        LLAMA,
        {"method.kind": "full", "model.dtype": "fp32", "training.checkpointing": True, "training.accumulation": 1},
        (512,),
    ),
    (GEMMA2, {"training.checkpointing": True}, (512,)),
    (MIXTRAL, {}, (512,)),
    (PHI3, {"training.accumulation": 1}, (512,)),
    (GPT2, {}, (512,)),
]


@pytest.mark.parametrize(
    ("config", "values", "lengths"),
    CASES,
    ids=lambda value: value["model_type"] if isinstance(value, dict) and "model_type" in value else "",
)
def test_the_estimate_is_within_three_percent_of_the_traced_peak(
    config: dict[str, Any], values: dict[str, Any], lengths: tuple[int, ...]
) -> None:
    from loratui.worker.tracing.step import trace_step

    plan = with_values(Plan(), {"training.batch_size": 2, "training.max_length": lengths[-1], **values})
    found = estimate(read_config(config), plan, DataFacts(100, lengths), DEVICE)
    traced = trace_step(
        config, plan, rows=2, tokens=lengths[-1], padded=len(lengths) > 1, accumulates=plan.training.accumulation > 1
    )
    assert found.tensors_bytes == pytest.approx(traced.peak_bytes, rel=0.03)
    assert found.parts["weights"] == traced.weights_bytes
    assert found.parts["adapter"] == traced.adapter_bytes
    assert found.parts["gradients"] == traced.gradients_bytes
    # torch's step counters, four bytes a tensor, are the only difference
    assert 0 <= traced.optimizer_bytes - found.parts["optimizer"] < 4 * 200


@pytest.mark.parametrize("values", [{}, {"training.checkpointing": True}, {"method.kind": "full"}])
def test_rows_end_to_end_by_torchs_own_attention_need_what_is_estimated(values: dict[str, Any]) -> None:
    """No mask, however unlike the rows; the same rows under sdpa's mask need more."""
    from loratui.worker.tracing.step import trace_step
    from loratui.worker.varlen_attention import is_there

    if not is_there():
        pytest.skip("torch has it from 2.11 on")
    free = {"training.batch_size": 4, "training.max_length": 512, "training.padding_free": True, **values}
    plan, masked = (with_values(Plan(), {**free, "model.attention": name}) for name in ("torch_varlen", "sdpa"))
    spec, data = read_config(QWEN3), DataFacts(100, (64, 512))
    traced = trace_step(QWEN3, plan, rows=4, tokens=512, accumulates=True)
    found = estimate(spec, plan, data, DEVICE)
    assert found.tensors_bytes == pytest.approx(traced.peak_bytes, rel=0.03)
    assert estimate(spec, masked, data, DEVICE).tensors_bytes > found.tensors_bytes


def test_the_tracer_repeats_published_traces() -> None:
    """Qwen3-0.6B, rank 16 on all linear layers, bf16 with float32 adapters: 3.24 GiB for 2 rows of 512 tokens, and 2.43
    GiB for 4 of 2,048 with checkpointing (measured apart from this code).
    """
    from loratui.worker.tracing.step import trace_step

    config = {
        "model_type": "qwen3",
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
        "max_position_embeddings": 40960,
    }
    plain = trace_step(config, Plan(), rows=2, tokens=512, own_casts=True)
    saved = trace_step(
        config, with_values(Plan(), {"training.checkpointing": True}), rows=4, tokens=2048, own_casts=True
    )
    spared = trace_step(config, Plan(), rows=2, tokens=512)
    assert plain.peak_bytes / 2**30 == pytest.approx(3.24, abs=0.01)
    assert spared.peak_bytes / 2**30 == pytest.approx(2.96, abs=0.01)  # each layer's own copy of its input is gone
    assert saved.peak_bytes / 2**30 == pytest.approx(2.43, abs=0.01)


def test_the_command_prints_a_trace_and_remembers_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.worker import trace

    monkeypatch.setattr(trace, "state_home", lambda: tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**QWEN3, "num_hidden_layers": 1}))
    arguments = [str(file), "--rows", "1", "--tokens", "64", "--set", "lora.r=4"]
    assert trace.main(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["peak_bytes"] >= first["weights_bytes"] > 0
    assert trace.main(arguments) == 0
    again = json.loads(capsys.readouterr().out)
    assert again.pop("remembered") and not first.pop("remembered")
    assert again == first
    assert trace.main([str(tmp_path / "missing.json")]) == 2
    assert "config.json" in capsys.readouterr().err
