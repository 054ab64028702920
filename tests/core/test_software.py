"""What other trainers do with memory, and the one verdict that everything asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.core.dataset import DataFacts, uniform
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.measured import LearnedMemory
from loratui.core.memory import budget, estimate, verdict
from loratui.core.memory.fit import largest_batch
from loratui.core.memory.trainers import CUT, LIGER, LITGPT, LORATUI, PROFILES, PUBLISHED, TRANSFORMERS, Software
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.proposal import propose
from loratui.core.proposal_json import proposal_json
from loratui.core.situation import Situation

GIB = 2**30
QWEN: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}
SPEC = read_config(QWEN, "Qwen2.5-1.5B")
CARD = Device(name="A10G", memory_total_bytes=24 * GIB, memory_free_bytes=24 * GIB, compute_capability=(8, 6))
NF4 = {"method.kind": "qlora", "method.quantization": "nf4", "method.double_quantization": True}


def plan_of(**values: Any) -> Plan:
    base = {"training.checkpointing": True, "training.max_length": 4096, "training.loss_on": "all"}
    return with_values(Plan(), {**base, **{key.replace("__", "."): value for key, value in values.items()}})


def under(software: Software, plan: Plan | None = None, tokens: int = 4096) -> int:
    return estimate(SPEC, plan or plan_of(), uniform(100, tokens), CARD, software).tensors_bytes


def test_every_logit_takes_twelve_bytes_where_ours_makes_tiles() -> None:
    more = under(TRANSFORMERS) - under(LORATUI)
    assert 10 * 4096 * 151936 < more < 12.5 * 4096 * 151936


@pytest.mark.parametrize("loss", [LIGER, CUT])
def test_fused_losses_are_about_as_lean_as_ours(loss: Any) -> None:
    assert under(TRANSFORMERS._replace(loss=loss)) == pytest.approx(under(LORATUI), rel=0.06)


def test_old_bitsandbytes_holds_inputs_that_checkpointing_cannot_free() -> None:
    plan = with_values(plan_of(), NF4)
    pinned, freed = (
        under(TRANSFORMERS._replace(pins_inputs=True, reentrant=reentrant), plan) for reentrant in (False, True)
    )
    inputs = 4096 * 2 * SPEC.layers * (3 * 1536 + 8960)
    assert 0.6 * inputs < pinned - freed < 1.4 * inputs


def test_kbit_training_widens_what_is_not_quantised() -> None:
    plan = with_values(plan_of(), NF4)
    narrow, wide = (
        estimate(SPEC, plan, uniform(100, 4096), CARD, TRANSFORMERS._replace(wide_rest=flag)) for flag in (False, True)
    )
    rest = (
        SPEC.embedding_parameters
        + SPEC.norm_parameters
        + sum(layer.out_features * layer.count for layer in SPEC.linears if layer.bias)
    )
    assert wide.parts["weights"] - narrow.parts["weights"] == 2 * rest
    assert wide.parts["activations"] > narrow.parts["activations"]


def test_a_trainer_that_unties_the_head_holds_it_twice() -> None:
    assert (
        estimate(SPEC, plan_of(), uniform(100, 512), CARD, LITGPT).parts["weights"]
        - estimate(SPEC, plan_of(), uniform(100, 512), CARD).parts["weights"]
        == 2 * SPEC.embedding_parameters
    )


def test_a_trainer_that_cannot_pack_pads() -> None:
    packed = plan_of(training__packing=True, training__batch_size=4)
    found = estimate(SPEC, packed, DataFacts(100, (50, 300)), CARD, TRANSFORMERS)
    assert (found.batch.rows, found.batch.tokens_per_row) == (4, 300)


def test_every_profile_says_where_it_was_read() -> None:
    assert all(one.source and one.title for one in (*PROFILES.values(), *PUBLISHED.values()))
    assert {"axolotl", "llama-factory", "trl", "unsloth", "transformers"} <= set(PROFILES)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["full", "lora", "qlora"]),
    st.sampled_from([1, 2, 8]),
    st.sampled_from([256, 2048]),
    st.booleans(),
    st.sampled_from(sorted(PROFILES)),
    st.sampled_from([(7, 5), (8, 6), (9, 0), (10, 0)]),
)
def test_the_band_points_upward_until_a_run_measured_it(
    kind: str, rows: int, tokens: int, ragged: bool, software: str, capability: tuple[int, int]
) -> None:
    plan = with_values(plan_of(training__batch_size=rows), NF4 if kind == "qlora" else {"method.kind": kind})
    card = replace(CARD, compute_capability=capability)
    data = DataFacts(100, (tokens // 4, tokens)) if ragged else uniform(100, tokens)
    found = estimate(SPEC, plan, data, card, PROFILES[software])
    assert found.lower_bytes == found.total_bytes < found.upper_bytes == found.total_bytes + sum(found.spread.values())
    assert min(found.spread.values()) > 0 and {"context", "workspaces", "allocator"} <= set(found.spread)
    measured = estimate(SPEC, plan, data, replace(card, learned=LearnedMemory(300 << 20, 0.03, 5)), PROFILES[software])
    assert measured.total_bytes == found.total_bytes + (300 << 20)
    assert (
        measured.upper_bytes - measured.total_bytes
        == measured.total_bytes - measured.lower_bytes
        == round(measured.total_bytes * 0.03)
    )


def test_unlike_lengths_may_leave_more_holes() -> None:
    plan = plan_of(training__batch_size=4)
    even, uneven = (estimate(SPEC, plan, data, CARD) for data in (uniform(100, 2048), DataFacts(100, (100, 2048))))
    assert uneven.spread["allocator"] > 2 * even.spread["allocator"]


@pytest.mark.parametrize(("free", "said"), [(0, "too big"), (1, "too big"), (2, "tight"), (3, "fits")])
def test_fits_means_at_the_upper_end(free: int, said: str) -> None:
    found = estimate(SPEC, plan_of(), uniform(100, 4096), CARD)
    room = [found.total_bytes // 2, found.total_bytes - 1, found.upper_bytes - 1, found.upper_bytes][free]
    card = replace(CARD, memory_free_bytes=room)
    assert verdict(found, budget(card, 0)) == said


def test_the_proposal_says_the_same_as_its_json_and_its_search() -> None:
    data = uniform(1000, 4096)
    needed = propose(
        Situation(SPEC, data, CARD),
        by_hand={
            "method.kind": "lora",
            "training.batch_size": 1,
            "training.max_length": 4096,
            "training.checkpointing": True,
        },
    )
    reserve = needed.budget.reserve_bytes
    for room, said in (
        (needed.memory.upper_bytes, "fits"),
        (needed.memory.upper_bytes - 1, "tight"),
        (needed.memory.total_bytes - 1, "too big"),
    ):
        card = replace(CARD, memory_free_bytes=room + reserve)
        found = propose(
            Situation(SPEC, data, card),
            by_hand={
                key: needed.plan.get(key)
                for key in needed.origins
                if key.split(".")[0] in ("method", "lora", "training", "evaluation", "model")
            },
        )
        assert found.verdict == said and found.fits == (said == "fits")
        facts = proposal_json(found)["memory"]
        assert (facts["verdict"], facts["fits"]) == (said, said == "fits") and facts[
            "upper"
        ] == needed.memory.upper_bytes
        assert (largest_batch(SPEC, found.plan, data, card) >= 1) == (said == "fits")


def test_families_with_unexplained_runs_are_marked() -> None:
    spec = read_config(
        {
            "model_type": "hunyuan_v1_dense",
            "hidden_size": 1024,
            "intermediate_size": 3584,
            "num_hidden_layers": 24,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 128,
            "vocab_size": 120818,
            "tie_word_embeddings": True,
        }
    )
    found = propose(Situation(spec, uniform(100, 512), CARD))
    assert "family" in found.memory.spread and any(
        "Published runs of this family" in warning for warning in found.warnings
    )
