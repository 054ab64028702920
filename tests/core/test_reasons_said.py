"""Reasons tell everything that decided: no factor, no pinned key and no row is left out of the words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from drawn_situations import cases

from loratui.core.dataset import DataFacts, uniform
from loratui.core.plan_text import with_values
from loratui.core.presets import AUTO
from loratui.core.proposal import Proposal, propose
from loratui.core.recommendation import time_words
from loratui.core.schedule import curve, make_schedule
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


def test_what_is_said_to_count_for_nothing_does_and_nothing_else() -> None:
    """A key whose value moves neither the rows nor the steps nor the rate is told to be idle; one that does is not."""
    others = {"training.epochs": 5.3, "training.min_lr_ratio": 0.45, "dataset.eval_fraction": 0.37}
    seen: Counter[tuple[str, bool]] = Counter()
    for number, case in enumerate(cases(120, 31)):
        last = {"training.max_steps": 50} if number % 3 == 0 else {}
        proposal = propose(case.situation, case.preset, {**case.by_hand, **last})
        if case.preset.calculation == "rules-of-thumb":
            continue
        data = proposal.data
        for key, other in others.items():
            if key == "dataset.eval_fraction" and not (data.eval_taken or data.eval_examples):
                continue  # counted without a part that is held out
            fixed = {name: proposal.plan.get(name) for name in proposal.origins if name != key}
            moved = propose(case.situation, AUTO, {**fixed, key: other})
            still = propose(case.situation, AUTO, {**fixed, key: proposal.plan.get(key)})
            owner = proposal if proposal.origins[key] == "proposed" else proposal.freed[key]
            idle = _course(moved) == _course(still)
            told = "ounts for nothing" in owner.recommendations[key].why
            if owner.schedule.total_steps > 3:  # the course of two or three steps may be the same by chance
                assert idle == told, (key, owner.recommendations[key].why, str(case))
                seen[key, told] += 1
    assert len(seen) == 2 * len(others) and min(seen.values()) > 3, seen


def _course(proposal: Proposal) -> Any:
    rates = [round(rate, 12) for _, rate in curve(proposal.plan, proposal.schedule)]
    return proposal.schedule, rates, proposal.data.examples, proposal.data.eval_examples


def test_what_would_give_more_steps_does() -> None:
    looked: Counter[str] = Counter()
    for case in cases(250, 47):
        proposal = propose(case.situation, case.preset, case.by_hand)
        words = next((one for one in proposal.warnings if one.startswith("Only ")), "")
        if not words:
            continue
        plan, data, count = proposal.plan, proposal.data, proposal.device.count
        training, steps = plan.training, proposal.schedule.total_steps
        tried = {
            "more data": (plan, replace(data, examples=100 * data.examples)),
            "more epochs": (with_values(plan, {"training.epochs": training.epochs + 10}), data),
            "a smaller batch": (with_values(plan, {"training.batch_size": 1, "training.accumulation": 1}), data),
            "a higher training.max_steps": (with_values(plan, {"training.max_steps": training.max_steps + 9}), data),
        }
        told = words.partition("at least 100: ")[2]
        for way, (changed, rows) in tried.items():
            if way in told:
                looked[way] += 1
                assert make_schedule(changed, rows, count).total_steps > steps, (words, str(case))
    assert len(looked) == 4, looked


def test_padding_is_told_of_the_batch_that_the_plan_has() -> None:
    one = made("Qwen/Qwen3-4B", "RTX 4090")
    assert one.plan.training.batch_size == 1 and one.plan.training.group_by_length
    assert one.why("training.group_by_length").startswith("One row a pass is never padded; were it more, of rows")
    four = made("Qwen/Qwen3-4B", "RTX 4090", training__batch_size=4)
    assert four.why("training.group_by_length").startswith("Of rows drawn at random, 4 a batch, padding would add ")
    assert four.plan.training.group_by_length


def test_a_single_gpu_divides_nothing_and_fixed_passes_are_reasons() -> None:
    assert "divided" not in made("Qwen/Qwen3-4B", "RTX 3090", hardware__parallelism="fsdp").why("method.kind")
    six = made("Qwen/Qwen3-4B", "RTX 3090", training__accumulation=6)
    assert six.why("training.batch_size") == "2 × 6 passes = 12 rows a step; 4 would make 24, more than the 16 wanted."
    assert six.why("training.checkpointing").endswith("with it 2 fit, so that a step has 12 rows instead of 6.")
    every = made("Qwen/Qwen3-4B", "RTX 3090", DataFacts(7000, (40, 90), trained_share=0.5), training__loss_on="all")
    tokens = re.search(r"for ([\d,]+) trained", every.why("lora.r"))
    assert tokens and tokens[1] == f"{7000 * 65:,}", "every token bears loss"


GSM8K = DataFacts(7473, tuple(range(80, 520, 10)))
ALPACA = DataFacts(50_000, tuple(range(60, 1100, 20)))


@pytest.mark.parametrize(
    ("model", "card", "data", "count", "by_hand"),
    [
        ("Qwen/Qwen3-8B", "RTX 4090", GSM8K, 1, {}),
        ("Qwen/Qwen3-0.6B", "RTX 4090", GSM8K, 1, {}),
        ("Qwen/Qwen3-1.7B", "RTX 4090", ALPACA, 2, {"method__kind": "full"}),
    ],
)
def test_what_checkpointing_costs_is_what_the_advice_and_the_other_plan_say(
    model: str, card: str, data: DataFacts, count: int, by_hand: dict[str, Any]
) -> None:
    proposal = made(model, card, data, count, **by_hand)
    why, rows = proposal.why("training.checkpointing"), proposal.plan.training.batch_size
    assert not proposal.plan.training.checkpointing
    advice = next(
        one
        for one in proposal.alternatives
        if one.change.get("training.checkpointing") and "training.checkpointing" not in one.held
    )
    same = re.search(r"By the prediction (.*)\.", advice.cost)
    assert same and f"with it the run takes {same[1]} at {rows} row" in why
    beside = {"training__compile": proposal.plan.training.compile}  # what pays for a longer run is no part of it
    other = made(model, card, data, count, **by_hand, training__checkpointing=True, **beside)
    factors, most = proposal.time_factors(other), other.plan.training.batch_size
    assert factors and (f", and {time_words(factors)} at {most}, by the prediction" in why) == (most != rows)


def test_without_checkpointing_the_time_is_that_of_the_plan_that_would_be_found() -> None:
    proposal = made("Qwen/Qwen3-4B", "RTX 3090", ALPACA, training__accumulation=6)
    why = proposal.why("training.checkpointing")
    assert proposal.plan.training.checkpointing and "all that fit" in why
    other = made("Qwen/Qwen3-4B", "RTX 3090", ALPACA, training__accumulation=6, training__checkpointing=False)
    factors = proposal.time_factors(other)
    assert factors and f"and the run takes {time_words(factors)} by the prediction" in why


@pytest.mark.parametrize("by_hand", [{"training__checkpointing": False}, {"training__batch_size": 16}])
def test_a_reason_that_speaks_of_another_method_than_the_plans_names_it(by_hand: dict[str, Any]) -> None:
    long = DataFacts(50_000, tuple(range(100, 1600, 30)))
    proposal = made("Qwen/Qwen3-8B", "RTX 4090", long, **by_hand)
    (key,) = (name.replace("__", ".") for name in by_hand)
    freed = proposal.freed[key]
    assert (proposal.plan.method.kind, freed.plan.method.kind) == ("qlora", "lora")
    assert "(with LoRA in place of QLoRA, " in proposal.why(key)
    sentence = proposal.recommendations[key].why
    assert re.search(r"rows? as LoRA (would )?needs? |without it as LoRA: ", sentence), sentence
