"""The recommended learning rate lies within a factor of 3 of every published optimum, at the published batch."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import uniform
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.knowledge.published_rates import FULL_RATES
from loratui.core.proposal import Proposal, propose
from loratui.core.recommend.learning_rate import (
    EXPONENTS,
    batch_factor,
    full_rate,
    off_the_line,
    outliers,
    published_lora_rate,
    scale_factor,
    scatter,
)
from loratui.core.situation import Situation

SHAPES: dict[str, tuple[str, int, int, int, int, int, int, int, bool]] = {
    # family, hidden, MLP, layers, heads, key-value heads, head width, vocabulary, tied
    "Llama-3.2-1B": ("llama", 2048, 8192, 16, 32, 8, 64, 128256, True),
    "Llama-3.2-3B": ("llama", 3072, 8192, 28, 24, 8, 128, 128256, True),
    "Llama-3.1-8B": ("llama", 4096, 14336, 32, 32, 8, 128, 128256, False),
    "Llama-3.1-70B": ("llama", 8192, 28672, 80, 64, 8, 128, 128256, False),
    "Llama-7B": ("llama", 4096, 11008, 32, 32, 32, 128, 32000, False),
    "Llama-13B": ("llama", 5120, 13824, 40, 40, 40, 128, 32000, False),
    "Llama-33B": ("llama", 6656, 17920, 60, 52, 52, 128, 32000, False),
    "Llama-65B": ("llama", 8192, 22016, 80, 64, 64, 128, 32000, False),
    "Mistral-7B": ("mistral", 4096, 14336, 32, 32, 8, 128, 32000, False),
    "Qwen3-4B": ("qwen3", 2560, 9728, 36, 32, 8, 128, 151936, True),
    "Qwen3-8B": ("qwen3", 4096, 12288, 36, 32, 8, 128, 151936, False),
    "Qwen3-32B": ("qwen3", 5120, 25600, 64, 64, 8, 128, 151936, False),
    "OLMo-2-7B": ("olmo2", 4096, 11008, 32, 32, 32, 128, 100352, False),
    "SmolLM2-1.7B": ("llama", 2048, 8192, 24, 32, 32, 64, 49152, True),
    "SmolLM3-3B": ("smollm3", 2048, 11008, 36, 16, 4, 128, 128256, True),
}
EXPERTS: dict[str, dict[str, Any]] = {
    "Qwen3-30B-A3B": {"model_type": "qwen3_moe", "num_hidden_layers": 48, "num_attention_heads": 32, "head_dim": 128},
    "gpt-oss-20b": {"model_type": "gpt_oss", "num_hidden_layers": 24, "num_local_experts": 32},
}
LORA = [
    # model, rank, best rate of the published sweep at batch 128
    *[("Llama-3.2-1B", r, 1e-3) for r in (4, 16, 64, 128)],
    ("Llama-3.2-3B", 64, 1e-3),
    ("Llama-3.2-3B", 128, 1e-3),
    *[("Llama-3.1-8B", r, 3e-4) for r in (4, 16, 64, 128)],
    *[("Llama-3.1-70B", r, 3e-4) for r in (1, 2, 4)],
    ("Qwen3-4B", 4, 3e-4),
    ("Qwen3-4B", 64, 1e-3),
    ("Qwen3-8B", 4, 3e-4),
    ("Qwen3-8B", 64, 1e-3),
    ("Qwen3-30B-A3B", 64, 1e-3),
    *[("Qwen3-32B", r, 3e-4) for r in (4, 16, 64, 128)],
    ("gpt-oss-20b", 16, 1e-4),
]
QLORA = [("Llama-7B", 2e-4), ("Llama-13B", 2e-4), ("Llama-33B", 1e-4), ("Llama-65B", 1e-4)]
FULL = [
    ("Llama-3.1-8B", 5e-6, 128),
    ("Llama-3.1-70B", 2e-6, 128),
    ("OLMo-2-7B", 1e-5, 128),
    ("Mistral-7B", 2e-5, 128),
    ("SmolLM3-3B", 2e-5, 128),
    ("Llama-3.2-3B", 1e-5, 4),
]


def spec(name: str) -> ModelSpec:
    if name in EXPERTS:
        return read_config(EXPERTS[name], name)
    family, hidden, width, layers, heads, kv_heads, head_dim, vocab, tied = SHAPES[name]
    return read_config(
        {
            "model_type": family,
            "hidden_size": hidden,
            "intermediate_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "head_dim": head_dim,
            "vocab_size": vocab,
            "tie_word_embeddings": tied,
        },
        name,
    )


def proposal(name: str, *, batch: int, examples: int = 100_000, **by_hand: Any) -> Proposal:
    device = Device(name="test", memory_total_bytes=2**42, memory_free_bytes=2**42, compute_capability=(9, 0))
    values = {key.replace("__", "."): value for key, value in by_hand.items()}
    return propose(
        Situation(spec(name), uniform(examples, 256), device),
        by_hand={"training.batch_size": min(batch, 16), "training.accumulation": max(1, batch // 16), **values},
    )


def within(rate: float, optimum: float, factor: float = 3.0) -> bool:
    return optimum / factor <= rate * 1.0001 and rate <= optimum * factor * 1.0001


@pytest.mark.parametrize(("name", "rank", "optimum"), LORA)
def test_lora_within_3_of_the_sweep_at_batch_128(name: str, rank: int, optimum: float) -> None:
    rate = proposal(name, batch=128, lora__r=rank).plan.training.learning_rate
    assert within(rate, optimum), rate


@pytest.mark.parametrize(("name", "optimum"), QLORA)
def test_qlora_within_3_of_the_paper_at_batch_16(name: str, optimum: float) -> None:
    by_hand = proposal(name, batch=16, method__kind="qlora", lora__r=64, lora__alpha=16)
    assert within(by_hand.plan.training.learning_rate, optimum), by_hand.plan.training.learning_rate


@pytest.mark.parametrize(("name", "optimum", "batch"), FULL)
def test_full_within_3_of_published_recipes(name: str, optimum: float, batch: int) -> None:
    rate = proposal(name, batch=batch, method__kind="full").plan.training.learning_rate
    assert within(rate, optimum), rate


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "Llama-65B"])
@pytest.mark.parametrize("batch", [8, 16, 32, 64, 128])
def test_lora_stays_where_published_recipes_are(name: str, batch: int) -> None:
    rate = proposal(name, batch=batch).plan.training.learning_rate
    assert 1e-4 <= rate <= 1e-3, rate


def test_short_runs_learn_faster() -> None:
    short, long = proposal("Llama-3.1-8B", batch=16, examples=500), proposal("Llama-3.1-8B", batch=16)
    assert short.schedule.total_steps < 100 <= long.schedule.total_steps
    assert short.plan.training.learning_rate == pytest.approx(1.5 * long.plan.training.learning_rate, rel=0.05)
    full = [
        proposal("Llama-3.1-8B", batch=16, examples=rows, method__kind="full").plan.training.learning_rate
        for rows in (500, 100_000)
    ]
    assert full[0] == full[1]


def test_rank_does_not_move_the_rate_while_alpha_is_32() -> None:
    rates = {
        proposal("Llama-3.1-8B", batch=16, lora__r=r, lora__alpha=32).plan.training.learning_rate
        for r in (8, 16, 64, 256)
    }
    assert len(rates) == 1


def test_a_larger_scale_asks_for_a_smaller_rate() -> None:
    plain = proposal("Llama-3.1-8B", batch=16, lora__r=64, lora__alpha=32).plan.training.learning_rate
    doubled = proposal("Llama-3.1-8B", batch=16, lora__r=64, lora__alpha=128).plan.training.learning_rate
    stabilised = proposal(
        "Llama-3.1-8B", batch=16, lora__r=64, lora__alpha=64, lora__variant="rslora"
    ).plan.training.learning_rate
    assert doubled < plain and stabilised < plain
    assert scale_factor(16, 32, "lora") == 1.0


def test_batch_factor_is_clamped() -> None:
    assert [batch_factor(b) for b in (1, 32, 128, 4096)] == [0.6, 0.6, 1.0, 1.5]


def test_full_rate_falls_with_size() -> None:
    rates = [full_rate(int(size)) for size in (1e6, 1e8, 1e9, 3e9, 8e9, 3e10, 7e10, 4e11)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] <= 5e-4 and rates[-1] > 1e-7


@given(st.floats(6, 12), st.floats(0.0, 0.3011))
def test_the_full_rate_has_no_cliff(power: float, step: float) -> None:
    """Between sizes at most a factor of 2 apart the rate changes by at most a factor of 1.5, less than the recipes
    scatter.
    """
    small, large = full_rate(int(10**power)), full_rate(int(10 ** (power + step)))
    assert 1.0 <= small / large * 1.000001 <= 1.5 < scatter()


def test_no_recipe_bends_the_line_and_those_far_off_are_named() -> None:
    assert {one.model for one in outliers()} == {"SmolLM2-135M", "SmolLM2-360M", "SmolLM2-1.7B"}
    assert all(1 / 3.5 < off_the_line(one) < 3.5 for one in FULL_RATES if one not in outliers())
    for name in ("SmolLM2-1.7B", "Llama-3.2-3B", "Llama-3.1-70B"):
        reason = proposal(name, batch=128, method__kind="full").recommendations["training.learning_rate"]
        assert "SmolLM2-1.7B 3e-4" in reason.disagreement and "times the line" in reason.disagreement
        assert reason.source.count("https://github.com/") >= 1


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("Llama-3.2-1B", 4.9e-4),
        ("Llama-3.2-3B", 3.6e-4),
        ("Llama-3.1-8B", 2.9e-4),
        ("Llama-3.1-70B", 1.7e-4),
        ("Qwen3-8B", 4.7e-4),
        ("Qwen3-30B-A3B", 5.0e-4),
    ],
)
def test_at_the_published_batch_the_published_rate_is_proposed(name: str, published: float) -> None:
    """tinker-cookbook `get_lr`: 5e-5 x 10 x (2000 / width)^p, and nothing of ours on top."""
    made = proposal(name, batch=128)
    assert float(f"{published_lora_rate(spec(name)):.1e}") == published == made.plan.training.learning_rate
    reason = made.recommendations["training.learning_rate"]
    assert (
        "the same within 5 %" in reason.disagreement
        and "hyperparam_utils.py" in reason.source
        and "https://github.com/thinking-machines-lab/" in reason.source
    )


def test_what_is_ours_is_told_apart_from_what_is_published() -> None:
    reason = proposal("Llama-3.1-8B", batch=16).recommendations["training.learning_rate"]
    assert "Ours is 0.6 times the published 2.9e-4" in reason.disagreement and "√(16/128)" in reason.disagreement
    assert "2.9e-4" in reason.why and reason.value == 1.7e-4


@pytest.mark.parametrize("name", ["Mistral-7B", "OLMo-2-7B", "SmolLM3-3B", "gpt-oss-20b"])
def test_a_family_that_the_source_does_not_cover_is_said_to_be_ours(name: str) -> None:
    reason = proposal(name, batch=128).recommendations["training.learning_rate"]
    assert published_lora_rate(spec(name)) == 0.0
    assert "not covered by the source; the mean of both exponents is our choice" in reason.formula
    assert "not covered" in reason.why and "No figure is published for this family" in reason.disagreement


def test_the_factors_of_the_formula_make_the_value() -> None:
    """What is written multiplies to what is proposed."""
    for name in SHAPES:
        for batch, by_hand in ((8, {}), (16, {"lora__alpha": 128, "lora__r": 64}), (256, {})):
            reason = proposal(name, batch=batch, **by_hand).recommendations["training.learning_rate"]
            start = float(re.findall(r"= ([\d.e-]+) at batch 128", reason.formula)[0])
            factors = [float(one) for one in re.findall(r"× ([\d.]+) \(", reason.formula)]
            assert start * math.prod(factors) == pytest.approx(reason.value, rel=0.06), reason.formula
    assert EXPONENTS == {"llama": 0.781, "qwen": 0.0775}


def test_the_folk_rule_stands_beside_it() -> None:
    reason = proposal("Llama-3.1-8B", batch=128).recommendations["training.learning_rate"]
    assert reason.rule_of_thumb == 8e-4
    assert "128" in reason.formula and reason.disagreement
