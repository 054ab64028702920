"""Reasons tell everything that decided: no factor, no pinned key and no row is left out of the words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from loratui.core.dataset import DataFacts, uniform
from loratui.core.presets import AUTO
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model


def made(model: str, card: str, data: DataFacts | None = None, count: int = 1, **by_hand: Any) -> Proposal:
    situation = Situation(find_model(model, online=False).spec, data, find_gpu(card).device(count))
    return propose(situation, AUTO, {key.replace("__", "."): value for key, value in by_hand.items()})


def test_the_rate_of_a_strong_adapter_names_its_scale() -> None:
    proposal = made("Qwen/Qwen3-4B", "RTX 4090", lora__alpha=512.0)
    reason = proposal.recommendations["training.learning_rate"]
    assert "× 0.5 for an adapter scaled by 32 where 2 is usual" in reason.why and "× 0.5 (" in reason.formula
    start = float(re.search(r"gives ([\d.e-]+) at", reason.why)[1])  # type: ignore[index]
    factors = [float(one) for one in re.findall(r"× ([\d.]+) for", reason.why)]
    assert reason.value == pytest.approx(start * factors[0] * factors[1], rel=0.06)
    plain = made("Qwen/Qwen3-4B", "RTX 4090").recommendations["training.learning_rate"]
    assert reason.value == pytest.approx(plain.value / 2, rel=0.04), "it is followed"
    hot = made("demo", "RTX 4090", training__max_steps=20, lora__alpha=1.0).recommendations["training.learning_rate"]
    assert "for a run of 20 steps" in hot.why
    assert ("held at" in hot.why) == (hot.value == 3e-3)


def test_pinned_steps_are_told_where_they_decide() -> None:
    data = DataFacts(400, (20, 60, 90))
    short, free = made("demo", "T4", data, training__max_steps=10), made("demo", "T4", data)
    assert free.plan.training.epochs == 3 and "max_steps" not in free.why("training.epochs")
    assert short.why("training.epochs").startswith("Counts for nothing while training.max_steps = 10 ends the run; ")
    assert short.schedule.total_steps == 10
    batch = short.recommendations["training.accumulation"]
    assert "training.max_steps = 10 decides the steps" in batch.formula and "epochs" not in batch.formula
    few = made("demo", "T4", DataFacts(30, (20, 60, 90)))
    assert few.plan.training.epochs > 3 and few.plan.lora.dropout == 0.05
    once = made("demo", "T4", DataFacts(30, (20, 60, 90)), training__max_steps=2)
    assert once.plan.lora.dropout == 0.0, "two steps see no row three times"
    assert "training.max_steps = 2" in once.recommendations["lora.dropout"].formula


def test_a_batch_above_what_is_wanted_says_that_one_pass_is_the_least() -> None:
    proposal = made("Qwen/Qwen3-0.6B", "B200", uniform(5000, 128), training__batch_size=64)
    why = proposal.why("training.accumulation")
    assert why == "64 × 1 = 64 rows a step: more than the 16 wanted, and one pass is the least there is."
    odd = made("Qwen/Qwen3-0.6B", "B200", uniform(5000, 128), training__batch_size=3)
    assert odd.why("training.accumulation") == "3 × 5 = 15 rows a step, nearest to the 16 wanted."


def test_where_nothing_fits_the_method_is_reasoned_by_what_the_other_would_need() -> None:
    proposal = made("Qwen/Qwen3-32B", "T4")
    reason = proposal.recommendations["method.kind"]
    assert proposal.verdict == "too big" and reason.value == "qlora" and "Even" not in reason.why
    told = re.fullmatch(
        r"Unquantised LoRA would need ([\d.]+) GiB, .* more than there is; QLoRA comes nearer, and needs ([\d.]+) GiB, "
        r".* more than there is\.",
        reason.why,
    )
    assert told and float(told[1]) > float(told[2])
    lora = made("Qwen/Qwen3-32B", "T4", method__kind="lora")
    assert lora.memory.total_bytes > proposal.memory.total_bytes, "and so it is when it is set"


@pytest.mark.parametrize("length", [64, 512, 2048, 4096])
def test_rows_that_are_supposed_follow_the_length_and_reasons_speak_of_them(length: int) -> None:
    proposal = made("Qwen/Qwen3-4B", "RTX 4090", training__max_length=length)
    assert proposal.data.longest == length and proposal.data.supposed
    told = [reason.why for reason in proposal.recommendations.values()] + list(proposal.warnings)
    assert not [words for words in told if "the longest has" in words or "will be cut" in words]
    asked = proposal.recommendations["training.max_length"]
    assert asked.value == 1024 and "supposed to have up to 1,024 tokens" in asked.why
    assert "where another length is set, up to as many" in asked.why
    for one in proposal.alternatives:
        shorter = one.change.get("training.max_length")
        if shorter is not None and "training.max_length" not in one.held:
            assert f"Rows of up to {shorter:,} tokens are then supposed" in one.cost
            assert (
                propose(
                    Situation(proposal.spec, None, proposal.device), AUTO, {**_set(proposal), **one.change}
                ).memory.total_bytes
                == one.memory_total_bytes
            )


def _set(proposal: Proposal) -> dict[str, Any]:
    return {key: proposal.plan.get(key) for key, origin in proposal.origins.items() if origin == "mine"}
