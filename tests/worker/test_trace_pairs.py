"""The estimate of preference training against the traced step of real classes: both sides, and the reference."""

from __future__ import annotations

from typing import Any

import pytest
from test_trace_step import DEVICE, LLAMA, NF4, QWEN3

from loratui.core.dataset import DataFacts
from loratui.core.families import read_config
from loratui.core.memory import estimate
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

pytestmark = pytest.mark.worker
ONCE = {"preference.reference": "precomputed"}
FULL = {"method.kind": "full"}
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (QWEN3, {}),
    (QWEN3, ONCE),
    (QWEN3, {"training.checkpointing": True}),
    (QWEN3, {"training.accumulation": 1}),
    (LLAMA, NF4),
    (LLAMA, FULL),
    (LLAMA, FULL | ONCE),
    (LLAMA, FULL | {"training.checkpointing": True}),
    (LLAMA, FULL | ONCE | {"training.checkpointing": True, "training.accumulation": 1}),
]


KTO = {"training.objective": "kto"}
ORPO = {"training.objective": "orpo"}
OTHERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (QWEN3, KTO),
    (LLAMA, KTO | FULL | {"training.checkpointing": True}),
    (LLAMA, KTO | NF4 | ONCE),
    (QWEN3, ORPO),
    (LLAMA, ORPO | NF4 | {"training.checkpointing": True}),
    (LLAMA, ORPO | FULL | {"training.accumulation": 1}),
]


@pytest.mark.parametrize(("config", "values"), OTHERS)
def test_the_estimate_of_orpo_and_kto_is_within_three_percent_of_the_traced_peak(
    config: dict[str, Any], values: dict[str, Any]
) -> None:
    from loratui.worker.tracing.step import trace_step

    plan = with_values(Plan(), {"training.batch_size": 2, "training.max_length": 512} | values)
    data = DataFacts(100, (256, 512))
    found = estimate(read_config(config), plan, data, DEVICE)
    assert found.batch.rows == (2 if values["training.objective"] == "kto" else 4)
    traced = trace_step(
        config,
        plan,
        rows=found.batch.rows,
        tokens=512,
        padded=True,
        accumulates=plan.training.accumulation > 1,
    )
    assert found.tensors_bytes == pytest.approx(traced.peak_bytes, rel=0.03)
    assert found.parts["weights"] == traced.weights_bytes
    if values["training.objective"] == "orpo":
        assert found.parts["logits"] >= 4 * 512 * config["vocab_size"] * 4, "every logit, in float32"


@pytest.mark.parametrize(("config", "values"), CASES)
def test_the_estimate_of_pairs_is_within_three_percent_of_the_traced_peak(
    config: dict[str, Any], values: dict[str, Any]
) -> None:
    from loratui.worker.tracing.step import trace_step

    plan = with_values(
        Plan(), {"training.objective": "dpo", "training.batch_size": 2, "training.max_length": 512, **values}
    )
    found = estimate(read_config(config), plan, DataFacts(100, (256, 512)), DEVICE)
    traced = trace_step(config, plan, rows=4, tokens=512, padded=True, accumulates=plan.training.accumulation > 1)
    print(values, found.peak_where, found.tensors_bytes / traced.peak_bytes - 1)
    assert found.tensors_bytes == pytest.approx(traced.peak_bytes, rel=0.03)
    assert found.parts["weights"] == traced.weights_bytes
    single = estimate(
        read_config(config), with_values(plan, {"training.objective": "sft"}), DataFacts(100, (256, 512)), DEVICE
    )
    assert single.total_bytes < found.total_bytes
