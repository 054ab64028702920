"""Reasons that are the reason: every claim holds against figures computed anew, and "proposed" never echoes "yours"."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from drawn_situations import Case, cases
from held_reasons import SEARCHED, Held, examine, hold, without

from loratui.core.dataset import DataFacts, uniform
from loratui.core.hardware import Device
from loratui.core.memory import verdict
from loratui.core.presets import AUTO
from loratui.core.proposal import Proposal, propose
from loratui.core.proposal_json import proposal_json
from loratui.core.recommendation import Claim, Instead, Recommendation
from loratui.core.situation import Situation
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model
from loratui.paths import presets_path
from loratui.presets_store import find_preset

GIB = 2**30


@pytest.mark.parametrize("seed", range(2))
def test_every_claim_of_every_reason_holds(seed: int) -> None:
    held = Held()
    for case in cases(100, seed):
        hold(case, held)
    assert not held.refuted, "\n".join(held.refuted[:10])
    assert held.cases == 100 and held.claims > 500 and held.comparisons > 100 and held.figures > 1_000


def lies(reason: Recommendation) -> list[Recommendation]:
    """The reason with one thing in it made untrue, in every way."""
    made = []
    for place, claim in enumerate(reason.claims):
        others = [replace(claim, left=claim.left * 1.01 + 1)]
        if claim.kind in ("memory", "weights"):
            others.append(replace(claim, right=claim.right * 1.01 + 1))
        if claim.kind == "memory":
            others.append(replace(claim, relation="too big" if claim.relation == "fits" else "fits"))
        made += [
            reason._replace(claims=(*reason.claims[:place], other, *reason.claims[place + 1 :])) for other in others
        ]
    for number in set(re.findall(r"\d+\.\d+(?= GiB| of)", reason.why)):
        made.append(reason._replace(why=reason.why.replace(number, untrue(number, reason), 1)))
    return made


def untrue(number: str, reason: Recommendation) -> str:
    """Another figure, and none that is by chance the difference of two others, which would be true."""
    figures = [float(one) for one in re.findall(r"\d+\.\d+", f"{reason.why} {reason.formula}")]
    true = [abs(one - other) for one in figures for other in (*figures, 0.0)]
    others = (float(number) + 0.7 + 0.4 * step for step in range(100))
    return f"{next(one for one in others if min(abs(one - known) for known in true) > 0.15):.1f}"


def test_lies_are_found() -> None:
    told = 0
    for case in cases(25, 99):
        proposal = propose(case.situation, case.preset, case.by_hand)
        for key in SEARCHED:
            if key not in proposal.recommendations:
                continue
            owner = without(case, proposal, key)
            for lie in lies(proposal.recommendations[key]):
                refuted: list[str] = []
                examine(owner, lie, Held(), refuted.append)
                told += 1
                assert refuted, lie
    assert told > 500


def made(
    model: str, card: str, data: DataFacts | None = None, count: int = 1, preset: str = "auto", **by_hand: Any
) -> Proposal:
    device = find_gpu(card).device(count)
    situation = Situation(find_model(model, online=False).spec, data, device)
    return propose(
        situation,
        find_preset(preset, [presets_path()]),
        {key.replace("__", "."): value for key, value in by_hand.items()},
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.checkpointing", True),
        ("training.batch_size", 1),
        ("method.kind", "qlora"),
        ("training.accumulation", 7),
        ("model.dtype", "fp32"),
        ("evaluation.batch_size", 3),
        ("training.optimizer", "adamw_8bit"),
        ("lora.r", 128),
        ("training.max_length", 512),
        ("evaluation.every_steps", 3),
        ("training.precision", "fp32"),
        ("training.epochs", 9.0),
        ("training.warmup_steps", 77),
    ],
)
def test_proposed_is_what_would_be_proposed_without_mine(key: str, value: Any) -> None:
    free = made("Qwen/Qwen3-0.6B", "B200")
    by_hand = made("Qwen/Qwen3-0.6B", "B200", **{key.replace(".", "__"): value})
    assert by_hand.plan.get(key) == value and by_hand.recommendations[key] == free.recommendations[key]
    assert free.plan.get(key) == by_hand.recommendations[key].value != value
    other = by_hand.instead(key)
    assert other is not None and (other.yours, other.proposed) == (value, free.plan.get(key))
    assert other.memory_bytes == free.memory.total_bytes - by_hand.memory.total_bytes
    printed = proposal_json(by_hand)["recommendations"][key]
    assert printed["value"] == free.plan.get(key) and printed["instead"]["memory"] == other.memory_bytes
    assert free.instead(key) is None and proposal_json(free)["recommendations"][key]["instead"] is None


def test_the_invented_sentences_of_the_issue_are_gone() -> None:
    card = "B200"
    on = made("Qwen/Qwen3-0.6B", card, training__checkpointing=True)
    assert on.why("training.checkpointing").startswith("Proposed is false (")
    assert "fit without it as LoRA: 34.9 of 173.0 GiB" in on.why("training.checkpointing") and "% less time" in on.why(
        "training.checkpointing"
    )
    assert (
        made("Qwen/Qwen3-0.6B", card, training__batch_size=1)
        .recommendations["training.batch_size"]
        .why.startswith("All 16 rows of a step in one pass: ")
    )
    assert (
        made("Qwen/Qwen3-0.6B", card, method__kind="qlora")
        .recommendations["method.kind"]
        .why.startswith("LoRA fits unquantised: ")
    )
    folk = made("Qwen/Qwen3-0.6B", card, uniform(1000, 512), preset="rules-of-thumb")
    assert folk.plan.training.batch_size == 4
    assert folk.recommendations["training.batch_size"].why.startswith("The folk rule stops at 4 rows, whatever fits: ")


def test_a_value_that_would_be_proposed_anyway_is_no_difference() -> None:
    free = made("Qwen/Qwen3-0.6B", "B200")
    by_hand = made("Qwen/Qwen3-0.6B", "B200", training__batch_size=free.plan.training.batch_size)
    assert by_hand.instead("training.batch_size") is None and by_hand.why("training.batch_size") == free.why(
        "training.batch_size"
    )


def test_other_fixed_keys_stay_fixed() -> None:
    both = made("Qwen/Qwen3-8B", "RTX 4090", uniform(5000, 2048), training__checkpointing=False, training__batch_size=8)
    alone = made("Qwen/Qwen3-8B", "RTX 4090", uniform(5000, 2048), training__checkpointing=False)
    assert both.recommendations["training.batch_size"] == alone.recommendations["training.batch_size"]
    assert both.recommendations["training.checkpointing"].value is True, "a batch of 8 needs it"
    assert (
        alone.plan.training.batch_size < made("Qwen/Qwen3-8B", "RTX 4090", uniform(5000, 2048)).plan.training.batch_size
    )


def test_what_would_be_proposed_is_worked_out_when_asked_for() -> None:
    by_hand = made("Qwen/Qwen3-0.6B", "B200", training__checkpointing=True, lora__r=8)
    found = by_hand.freed.found  # type: ignore[attr-defined]
    assert not found
    by_hand.why("lora.r")
    assert set(found) == {"lora.r"}


def test_full_fine_tuning_lightens_the_states_before_the_weights() -> None:
    proposal = made("Qwen/Qwen3-1.7B", "RTX 4090", method__kind="full")
    assert (proposal.plan.model.dtype, proposal.plan.training.optimizer) == (
        "fp32",
        "paged_adamw_8bit",
    ) and proposal.fits
    assert re.fullmatch(
        r"With AdamW's whole states it would need [\d.]+ GiB, [\d.]+ GiB more than there is; "
        r"in 8 bits they take [\d.]+ GiB\.",
        proposal.recommendations["training.optimizer"].why,
    )
    assert "with 8-bit states" in proposal.recommendations["model.dtype"].why


def test_states_that_cannot_be_divided_are_not_proposed_for_divided_weights() -> None:
    for dtype in ("fp32", "bf16"):
        proposal = made(
            "Qwen/Qwen3-8B", "RTX 4090", count=4, method__kind="full", hardware__parallelism="fsdp", model__dtype=dtype
        )
        assert proposal.plan.training.optimizer == "adamw_torch_fused"
    eight = made("Qwen/Qwen3-14B", "RTX 4090", count=4, training__optimizer="paged_adamw_8bit")
    assert eight.plan.hardware.parallelism == "ddp"


@pytest.mark.parametrize(
    ("examples", "rows", "said"),
    [
        (
            5_000,
            16,
            "32 would feed them better, but rows are added only while 1,000 steps are left, and then 312 would be",
        ),
        (20_000, 32, "2,048 tokens a pass keep a GPU busy"),
        (300, 8, "16 would feed them better, but rows are added only while 1,000 steps are left, and then 56 would be"),
    ],
)
def test_several_gpus_are_fed_as_far_as_the_rows_allow(examples: int, rows: int, said: str) -> None:
    proposal = made("Qwen/Qwen3-8B", "H100", uniform(examples, 512), 8)
    assert proposal.schedule.effective_batch_size == rows
    reason = proposal.recommendations["training.batch_size"]
    assert said in reason.why and f"{rows // 8} on each of 8 GPUs: {rows} rows a step" in reason.why
    assert "4 GPUs with" in reason.formula and "times as long" in reason.formula


def test_short_rows_make_larger_steps_on_many_gpus_up_to_what_recipes_use() -> None:
    proposal = made("Qwen/Qwen3-8B", "H100", uniform(500_000, 64), 8)
    assert proposal.schedule.effective_batch_size == 128 and "recipes stop at 128" in proposal.why(
        "training.batch_size"
    )
    assert made("Qwen/Qwen3-8B", "H100", uniform(500_000, 64), 1).schedule.effective_batch_size == 32


def test_more_gpus_than_rows_are_wanted() -> None:
    proposal = made("Qwen/Qwen3-0.6B", "H100", uniform(100, 64), 8)
    assert proposal.why("training.batch_size") == "1 on each of 8 GPUs: 8 rows a step, more than the 4 wanted."


def test_checkpointing_must_buy_a_larger_batch() -> None:
    method = ("method.kind", "method.quantization", "model.dtype", "training.optimizer", "hardware.parallelism")
    looked = 0
    for case in cases(60, 5):
        proposal = propose(case.situation, AUTO, {})
        if proposal.plan.training.checkpointing and verdict(proposal.memory, proposal.budget) == "fits":
            same = {key: proposal.plan.get(key) for key in method}
            off = propose(case.situation, AUTO, {**same, "training.checkpointing": False})
            smaller = off.plan.training.batch_size < proposal.plan.training.batch_size
            assert smaller or verdict(off.memory, off.budget) != "fits", case
            looked += 1
    assert looked > 5


@pytest.mark.parametrize(
    ("memory", "factors", "words"),
    [
        (0, None, "the same memory"),
        (0, (1.0, 1.0), "the same memory and time"),
        (-3 * GIB, (1.0, 1.001), "3.00 GiB less memory, the same time"),
        (GIB // 2, (0.75, 0.75), "512 MiB more memory, 25 % less time"),
        (GIB, (0.6, 0.75), "1.00 GiB more memory, 25–40 % less time"),
        (GIB, (1.1, 1.3), "1.00 GiB more memory, 10–30 % more time"),
        (GIB, (2.0, 3.5), "1.00 GiB more memory, 2.0–3.5 times as long"),
        (0, (0.12, 0.2), "the same memory, 80–88 % less time"),
        (0, (0.0042, 0.0042), "the same memory, 238 times as fast"),
        (0, (0.0008, 0.2), "the same memory, 5.0–1,250 times as fast"),
        (0, (0.05, 1.2), "the same memory, from 20 times as fast to 1.2 times as long"),
        (GIB, (0.9, 1.2), "1.00 GiB more memory, from 10 % less to 20 % more time"),
    ],
)
def test_the_price_in_words(memory: int, factors: tuple[float, float] | None, words: str) -> None:
    assert Instead(1, 2, memory, factors).cost == words


def test_a_claim_knows_whether_its_own_figures_agree() -> None:
    assert (
        Claim("rows", 4, "<", 8).holds and not Claim("rows", 4, ">=", 8).holds and not Claim("rows", 4, "fits", 8).holds
    )


def test_a_case_says_what_it_is() -> None:
    device = Device(name="card", memory_total_bytes=GIB, memory_free_bytes=GIB)
    case = Case(Situation(find_model("demo").spec, uniform(10, 20), device), AUTO, {"lora.r": 3})
    assert "demo on 1 × card, 10 rows up to 20, auto, {'lora.r': 3}" in str(case)
