"""The batch that is proposed is the fastest, by the prediction, of those that fit."""

from __future__ import annotations

import math
from typing import Any

import pytest

from loratui.core.dataset import DataFacts, uniform
from loratui.core.memory.tape import Tape
from loratui.core.plan_text import with_values
from loratui.core.presets import AUTO
from loratui.core.proposal import Proposal, propose
from loratui.core.recommend.context import _estimate_of
from loratui.core.schedule import make_schedule
from loratui.core.situation import Situation
from loratui.core.time import predict
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model

UNEVEN = DataFacts(949, tuple(sorted(30 + round(700 * (place / 200) ** 3) for place in range(200))))
"""Most rows are short, and a few are long."""


def made(model: str, card: str, data: DataFacts, **by_hand: Any) -> Proposal:
    situation = Situation(find_model(model, online=False).spec, data, find_gpu(card).device())
    return propose(situation, AUTO, {key.replace("__", "."): value for key, value in by_hand.items()})


def middle_seconds(owner: Proposal, changes: dict[str, Any]) -> float:
    plan = with_values(owner.plan, changes)
    found = predict(owner.spec, plan, owner.data, owner.device, make_schedule(plan, owner.data))
    assert found is not None
    return math.sqrt(found.low_seconds_per_step * found.high_seconds_per_step) / plan.effective_batch_size


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-7B", "Qwen/Qwen3-0.6B"])
@pytest.mark.parametrize("card", ["T4", "RTX 4090", "H100"])
@pytest.mark.parametrize("data", [UNEVEN, uniform(5000, 512), uniform(5000, 32)])
def test_no_batch_that_fits_is_faster(model: str, card: str, data: DataFacts) -> None:
    proposal = made(model, card, data)
    own = middle_seconds(proposal, {})
    method = {key: proposal.plan.get(key) for key in ("method.kind", "method.quantization", "training.optimizer")}
    rows = proposal.plan.effective_batch_size
    for power in range(rows.bit_length()):
        for checkpointing in (False, True):
            change = {
                "training.batch_size": 2**power,
                "training.accumulation": rows >> power,
                "training.checkpointing": checkpointing,
            }
            other = propose(
                Situation(proposal.spec, data, proposal.device),
                AUTO,
                {**method, **change, "evaluation.batch_size": 2**power},
            )
            if other.fits:
                faster = own / middle_seconds(proposal, change)
                assert faster <= 1.03 + 1e-9, (change, faster)
                assert faster < 1 / 1.03 or 2**power <= proposal.plan.training.batch_size or faster <= 1.0


def test_uneven_rows_on_a_slow_card_go_in_small_batches_and_say_why() -> None:
    proposal = made("Qwen/Qwen2.5-7B", "T4", UNEVEN, training__group_by_length=False)
    training = proposal.plan.training
    assert training.batch_size < 16 and not training.checkpointing and proposal.plan.effective_batch_size == 16
    even = made("Qwen/Qwen2.5-7B", "T4", uniform(949, 120))
    assert even.plan.training.batch_size > training.batch_size
    reason = made("Qwen/Qwen3-1.7B", "T4", UNEVEN, training__group_by_length=False).recommendations[
        "training.batch_size"
    ]
    assert "slower by the prediction; rows of unlike length are padded to the longest" in reason.why
    assert any(claim.kind == "more time" and claim.left > 0 for claim in reason.claims)
    alike = made("Qwen/Qwen3-1.7B", "T4", UNEVEN)
    assert alike.plan.training.group_by_length and "padding would add" in alike.why("training.group_by_length")
    assert "padded to the longest" not in alike.why("training.batch_size")


def test_a_fixed_accumulation_keeps_the_rows_of_a_step() -> None:
    proposal = made("Qwen/Qwen3-0.6B", "T4", UNEVEN, training__accumulation=1)
    assert proposal.plan.training.batch_size == 16
    reason = proposal.recommendations["training.batch_size"]
    assert "fixed at 1" in reason.down and "stays the same" not in reason.down
    by_hand = made("Qwen/Qwen3-0.6B", "T4", UNEVEN, training__accumulation=1, training__batch_size=3)
    other = by_hand.instead("training.batch_size")
    assert other is not None and other.rows == (3, 16) and "16 rows a step instead of 3" in other.cost
    assert "stays the same" in made("Qwen/Qwen3-0.6B", "T4", UNEVEN).recommendations["training.batch_size"].down


@pytest.mark.parametrize("examples", [1, 2, 3, 5, 9])
def test_no_batch_has_more_rows_than_there_are(examples: int) -> None:
    proposal = made("Qwen/Qwen3-0.6B", "T4", uniform(examples, 50))
    assert proposal.plan.training.batch_size <= proposal.plan.effective_batch_size <= examples


def test_a_keystroke_weighs_few_plans() -> None:
    """`benchmarks/core.py` has the time; here the work is counted, which no busy machine changes."""
    rows = DataFacts(50_000, tuple(sorted(20 + (place * 7919) % 1500 for place in range(2000))))
    weighed = []
    for rank in range(4, 24):
        before = _estimate_of.cache_info().misses
        made("Qwen/Qwen2.5-7B", "T4", rows, lora__r=rank)
        weighed.append(_estimate_of.cache_info().misses - before)
    assert 0 < max(weighed) <= 20, weighed


def test_what_needs_less_memory_is_found_with_few_walks_over_the_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, batches and lengths that were walked through are not walked through again."""
    walks = []
    forward = Tape._walk_forward
    monkeypatch.setattr(Tape, "_walk_forward", lambda tape, source: walks.append(1) or forward(tape, source))
    proposal = made("Qwen/Qwen3-0.6B", "T4", uniform(997, 1024))
    assert len(proposal.alternatives) >= 4
    assert 0 < len(walks) <= 180, len(walks)
