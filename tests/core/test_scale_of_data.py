"""Epochs and capacity: the reason fits the amount of data, and no caution contradicts it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.core.dataset import DataFacts, uniform
from loratui.core.lora_targets import attention_names, mlp_names, parameters_per_rank, resolve_targets, target_names
from loratui.core.proposal import Proposal, propose
from loratui.core.recommend.adapter import share_saved
from loratui.core.recommend.scale_of_data import holds, lora_against_full, trained_tokens
from loratui.core.situation import Situation
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model, list_models

SPEC = find_model("Qwen/Qwen3-0.6B", online=False).spec


def proposal(data: DataFacts, **by_hand: Any) -> Proposal:
    return propose(
        Situation(SPEC, data, find_gpu("A100").device()),
        by_hand={key.replace("__", "."): value for key, value in by_hand.items()},
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2_000_000), st.integers(20, 2_000))
def test_the_reason_for_the_epochs_speaks_of_this_data(rows: int, tokens: int) -> None:
    made = proposal(DataFacts(rows, (tokens, tokens + 1)))
    reason = made.recommendations["training.epochs"]
    assert reason.why.startswith(f"{rows:,} rows:")
    small, large = rows < 1_000, rows > 50_000
    assert ("LIMA" in reason.source) is small and ("Tulu" in reason.source) is large
    claimed = re.search(r"([\d,]+) steps of 4 rows", reason.why)
    assert bool(claimed) is (made.plan.training.epochs > 3)
    if claimed:
        assert int(claimed[1].replace(",", "")) == -(-rows // 4) * made.plan.training.epochs


@pytest.mark.parametrize("rows", [40, 50, 80, 200, 999])
def test_few_rows_are_repeated_until_the_caution_is_silent(rows: int) -> None:
    made = proposal(DataFacts(rows, (100, 120)))
    assert made.schedule.total_steps >= 100
    assert not any("optimizer steps" in warning for warning in made.warnings)


def test_where_even_ten_passes_are_too_few_reason_and_caution_agree() -> None:
    made = proposal(DataFacts(12, (100, 120)))
    assert made.plan.training.epochs == 10
    assert "the most that are proposed" in made.recommendations["training.epochs"].why
    caution = next(warning for warning in made.warnings if "optimizer steps" in warning)
    assert "more data" in caution and "more epochs" not in caution and "LoRA" not in caution


@pytest.mark.parametrize(("rows", "well"), [(1_000, True), (3_000_000, False)])
def test_lora_against_full_counts_this_data(rows: int, well: bool) -> None:
    data = uniform(rows, 500)
    made = proposal(data)
    said = lora_against_full(made.data, SPEC, made.plan)
    tokens, room = trained_tokens(made.data, made.plan), holds(made.parameters_trainable)
    assert (tokens <= room) is well and ("learns as well" in said) is well
    assert f"{tokens:,}" in said and f"{room:,}" in said and f"{made.parameters_trainable:,}" in said
    assert said in made.recommendations["method.kind"].disagreement


def test_shares_of_the_layers_are_counted_from_the_model() -> None:
    """43 and 70 % fewer are the guide's count of layers; of parameters it is 55-80 and 77-90 %."""
    attention, pairs = [], []
    for model in list_models():
        spec = model.spec
        if model.kind != "catalogue" or spec.experts or not mlp_names(spec) or not attention_names(spec):
            continue
        whole = parameters_per_rank(resolve_targets(spec, "all-linear"))
        alone = parameters_per_rank(resolve_targets(spec, attention_names(spec)))
        assert share_saved(spec, attention_names(spec)) == pytest.approx(1 - alone / whole)
        attention.append(share_saved(spec, attention_names(spec)))
        if {"q_proj", "v_proj"} <= set(target_names(spec)):
            pairs.append(share_saved(spec, ["q_proj", "v_proj"]))
    assert len(attention) > 50
    assert (round(min(attention), 2), round(max(attention), 2), round(min(pairs), 2), round(max(pairs), 2)) == (
        0.55,
        0.80,
        0.77,
        0.90,
    )


@pytest.mark.parametrize(
    ("name", "attention", "pair"), [("Qwen/Qwen3-0.6B", "55%", "77%"), ("meta-llama/Llama-3.1-8B", "68%", "84%")]
)
def test_the_reason_says_what_this_model_saves(name: str, attention: str, pair: str) -> None:
    made = propose(Situation(find_model(name, online=False).spec, uniform(2_000, 300), find_gpu("A100").device()))
    down = made.recommendations["lora.targets"].down
    assert f"Attention alone: {attention} fewer" in down and f"q and v alone: {pair} fewer" in down


def test_a_mixture_is_not_said_to_adapt_an_mlp() -> None:
    made = propose(
        Situation(find_model("Qwen/Qwen3-30B-A3B", online=False).spec, uniform(2_000, 300), find_gpu("H100").device())
    )
    reason = made.recommendations["lora.targets"]
    assert "MLP" not in reason.why and "Attention alone" not in reason.down


def test_why_rows_are_not_packed_is_the_reason_that_holds() -> None:
    few, full = proposal(DataFacts(9_999, (20, 500))), proposal(DataFacts(20_000, (490, 500)))
    packed = proposal(DataFacts(20_000, (*([20] * 97), *([500] * 3))), training__max_length=512)
    assert "9,999 rows are too few" in few.recommendations["training.packing"].why
    assert "rows fill" in full.recommendations["training.packing"].why
    assert packed.plan.training.packing and packed.recommendations["training.packing"].why.startswith(
        "20,000 short rows"
    )
