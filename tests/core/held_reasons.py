"""Holds every claim of a proposal's reasons against figures computed anew."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from counted_anew import COUNTED, needed
from counted_words import COUNTED as COUNTED_WORDS
from drawn_situations import Case

from loratui.core.memory import budget, verdict
from loratui.core.proposal import Proposal, propose
from loratui.core.recommend.followed import FOLLOWS
from loratui.core.recommendation import Claim, Recommendation, amount, two_sizes
from loratui.core.schedule import make_schedule
from loratui.core.time import predict
from loratui.core.untimed import differ_untimed

GIB = 2**30
SEARCHED = (
    "method.kind",
    "method.quantization",
    "model.dtype",
    "training.batch_size",
    "training.accumulation",
    "evaluation.batch_size",
    "training.checkpointing",
    "training.optimizer",
    "hardware.parallelism",
)
"""Keys whose reasons must carry a claim for every figure."""
CONSTANTS = re.compile(r"\b(16 bits|8 bits|8-bit|4 bits|0\.4 %|4-bit|1/(?=\d))")
NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
DECIDED_LATER = {"evaluation.every_steps", *FOLLOWS}
"""Keys that the search supposes, whatever the plan has at last."""
MEANT: tuple[tuple[str, str, Callable[[Proposal, Claim], bool]], ...] = (
    (
        "method.kind",
        "^Unquantised LoRA",
        lambda _, claim: _is(claim, method__kind="lora", method__quantization="none") and _lost(claim),
    ),
    (
        "method.kind",
        "nquantised, the weights alone",
        lambda _, claim: claim.kind == "weights" and _is(claim, method__kind="lora"),
    ),
    (
        "method.kind",
        "^LoRA fits|LoRA fits:|folk rule is LoRA",
        lambda owner, claim: _is(claim, method__kind="lora") and _own(owner, claim),
    ),
    (
        "method.kind",
        "divided among",
        lambda owner, claim: _is(claim, hardware__parallelism="fsdp") and _own(owner, claim),
    ),
    (
        "method.kind",
        "trained by QLoRA|^QLoRA needs|QLoRA comes nearer",
        lambda owner, claim: _is(claim, method__kind="qlora") and _own(owner, claim),
    ),
    (
        "method.kind",
        "comes nearer",
        lambda owner, claim: (
            _is(claim, method__kind="lora") and _lost(claim) and claim.left > needed(owner, {}).total_bytes
        ),
    ),
    ("method.kind", "; LoRA needs", lambda owner, claim: _is(claim, method__kind="lora") and _own(owner, claim)),
    (
        "method.quantization",
        "unquantised LoRA",
        lambda _, claim: _is(claim, method__kind="lora", method__quantization="none") and _lost(claim),
    ),
    (
        "method.quantization",
        "fits unquantised",
        lambda owner, claim: _is(claim, method__quantization="none") and _own(owner, claim),
    ),
    ("method.quantization", "in 4 bits", lambda _, claim: _is(claim, method__quantization="nf4") and _lost(claim)),
    (
        "model.dtype",
        "^Float32 weights (with 8-bit states )?would need",
        lambda _, claim: _is(claim, model__dtype="fp32") and _lost(claim),
    ),
    ("model.dtype", "with 8-bit states", lambda _, claim: _is(claim, training__optimizer="paged_adamw_8bit")),
    (
        "model.dtype",
        "In float32 the weights alone",
        lambda _, claim: claim.kind == "weights" and _is(claim, model__dtype="fp32"),
    ),
    (
        "training.optimizer",
        "whole states it would need",
        lambda _, claim: _is(claim, training__optimizer="adamw_torch_fused") and _lost(claim),
    ),
    (
        "training.checkpointing",
        "^Without it.* need",
        lambda _, claim: _is(claim, training__checkpointing=False) and _lost(claim),
    ),
    (
        "training.checkpointing",
        "all that fit",
        lambda _, claim: _is(claim, training__checkpointing=False) and claim.relation == "fits",
    ),
    (
        "training.checkpointing",
        "all that fit",
        lambda _, claim: _is(claim, training__checkpointing=False) and _lost(claim),
    ),
    (
        "training.checkpointing",
        "fits? without it",
        lambda owner, claim: _is(claim, training__checkpointing=False) and _own(owner, claim),
    ),
    (
        "training.checkpointing",
        "lower the peak",
        lambda owner, claim: _is(claim, training__checkpointing=True) and claim.left >= needed(owner, {}).total_bytes,
    ),
    (
        "training.checkpointing",
        "^Even with it",
        lambda owner, claim: _is(claim, training__checkpointing=False) and claim.left >= needed(owner, {}).total_bytes,
    ),
    (
        "training.batch_size",
        "^(Without checkpointing )?[0-9,]+ rows( as Q?LoRA)? would",
        lambda owner, claim: (
            _is(
                claim,
                training__batch_size=2 * owner.plan.training.batch_size,
                training__checkpointing=owner.plan.training.checkpointing,
            )
            and _lost(claim)
        ),
    ),
    ("training.accumulation", "nearest", lambda owner, claim: _nearest(owner, claim)),
    (
        "training.accumulation",
        "one pass is the least",
        lambda owner, claim: (
            claim.kind == "rows" and claim.left > claim.right and owner.plan.training.accumulation == 1
        ),
    ),
    (
        "evaluation.batch_size",
        "below the peak",
        lambda owner, claim: _is(claim, evaluation__every_steps=0) and claim.left == needed(owner, {}).total_bytes,
    ),
    (
        "hardware.parallelism",
        "^A copy|; a copy",
        lambda _, claim: _is(claim, hardware__parallelism="ddp") and _lost(claim),
    ),
    (
        "hardware.parallelism",
        "^A whole copy",
        lambda owner, claim: _is(claim, hardware__parallelism="ddp") and _own(owner, claim),
    ),
)
"""What a phrase means: one of the reason's claims must be of that kind."""


def _is(claim: Claim, **values: Any) -> bool:
    return all(claim.changes.get(key.replace("__", ".")) == value for key, value in values.items())


def _lost(claim: Claim) -> bool:
    return claim.kind == "memory" and claim.relation in ("tight", "too big")


def _own(owner: Proposal, claim: Claim) -> bool:
    """Whether a claim is about the plan that is proposed."""
    return (
        claim.kind == "memory"
        and claim.left == needed(owner, {}).total_bytes
        and all(owner.plan.get(key) == value for key, value in claim.changes.items() if key not in DECIDED_LATER)
    )


def _nearest(owner: Proposal, claim: Claim) -> bool:
    one = owner.plan.training.batch_size * owner.device.count
    return claim.kind == "rows" and all(
        other <= 0 or abs(claim.left - claim.right) <= abs(other - claim.right)
        for other in (claim.left - one, claim.left + one)
    )


@dataclass
class Held:
    """What was looked at, and what did not hold."""

    cases: int = 0
    reasons: int = 0
    claims: int = 0
    comparisons: int = 0
    figures: int = 0
    words: int = 0
    """Statements of reasons without claims that were counted anew (`counted_words`)."""
    uncovered: dict[str, int] = field(default_factory=dict)
    """Figures in reasons of keys that carry no claims yet, by key."""
    refuted: list[str] = field(default_factory=list)


def hold(case: Case, held: Held) -> None:
    """Compute everything that the reasons of one proposal say anew, and note what differs."""
    proposal = propose(case.situation, case.preset, case.by_hand)
    held.cases += 1
    for key, reason in proposal.recommendations.items():
        held.reasons += 1

        def refute(words: str, key: str = key, reason: Recommendation = reason) -> None:
            held.refuted.append(f"{key}: {words} | {reason.why} | {case}")

        owner = without(case, proposal, key)
        own = owner.recommendations[key]
        if key != "training.max_length" and owner.data.lengths != proposal.data.lengths:
            refute("it speaks of other rows than those that the plan was made for")
        if (reason.value, reason.why) != (own.value, own.why):
            refute(f"without the fixed value {own.value!r} would be proposed, because {own.why}")
        if owner.plan.get(key) != reason.value and owner.origins[key] == "proposed":
            refute(f"the plan would have {owner.plan.get(key)!r}, not {reason.value!r}")
        examine(owner, reason, held, refute)
        if key in COUNTED_WORDS and case.preset.calculation != "rules-of-thumb":
            counted = COUNTED_WORDS[key](owner, reason.why, reason.formula)
            held.words += len(counted)
            if not all(counted):
                refute(f"what its words tell is counted otherwise {counted} [{reason.formula}]")
        other = proposal.instead(key)
        if (other is None) != (owner.plan.get(key) == proposal.plan.get(key)):
            refute("yours and proposed are compared though they are the same, or not though they differ")
        if other is not None:
            held.comparisons += 1
            for words in _comparison(proposal, owner, key):
                refute(words)


def examine(owner: Proposal, reason: Recommendation, held: Held, refute: Callable[[str], None]) -> None:
    """Hold one reason of a proposal against its figures."""
    for claim in reason.claims:
        held.claims += 1
        for words in refutations(owner, claim):
            refute(words)
    _words(owner, reason, held, refute)


def without(case: Case, proposal: Proposal, key: str) -> Proposal:
    """The proposal with everything that was fixed but this key."""
    fixed = {
        name: proposal.plan.get(name)
        for name, origin in proposal.origins.items()
        if origin != "proposed" and not _by_ratio(case, name)
    }
    if key not in fixed and not _by_ratio(case, key):
        return proposal
    fixed.pop(key, None)
    ratio = None if key == "training.warmup_steps" else case.preset.warmup_ratio
    return propose(case.situation, replace(case.preset, values={}, warmup_ratio=ratio), fixed)


def _by_ratio(case: Case, key: str) -> bool:
    """Whether a key's value is the preset's share of the steps, and no value of its own."""
    return (
        key == "training.warmup_steps"
        and case.preset.warmup_ratio is not None
        and key not in case.by_hand
        and key not in case.preset.values
    )


def refutations(owner: Proposal, claim: Claim) -> Iterator[str]:
    """What is wrong with a claim of this proposal."""
    if claim.kind not in COUNTED:
        yield f"nobody can count {claim.kind}"
        return
    counted = COUNTED[claim.kind](owner, claim.changes)
    if abs(counted - claim.left) > 1e-9 * max(1.0, abs(counted)):
        yield f"{claim.kind} is {counted:,}, not {claim.left:,}"
    if claim.kind == "memory":
        room = budget(owner.device)
        if room.bytes != claim.right or verdict(needed(owner, claim.changes), room) != claim.relation:
            yield f"{counted:,} against {room.bytes:,} is not {claim.relation}"
    elif claim.kind == "weights" and budget(owner.device).bytes != claim.right:
        yield f"the room is {budget(owner.device).bytes:,}, not {claim.right:,}"
    elif not claim.holds:
        yield f"{claim.left} {claim.relation} {claim.right} does not hold"


def _words(owner: Proposal, reason: Recommendation, held: Held, refute: Callable[[str], None]) -> None:
    """Every figure and every verdict in the words must be one of the claims'."""
    text = CONSTANTS.sub("", reason.why)
    numbers = NUMBER.findall(text)
    if reason.key not in SEARCHED and not reason.claims:
        if numbers:
            held.uncovered[reason.key] = held.uncovered.get(reason.key, 0) + len(numbers)
        return
    told = {"too big": False, "tight": False}
    for claim in reason.claims:
        if claim.relation == "too big":
            told["too big"] |= amount(claim.left - claim.right) in reason.why and amount(claim.left) in reason.why
        if claim.relation == "tight":
            told["tight"] |= f"{two_sizes(claim.left, claim.right)}" in reason.why
    if "more than there is" in text and not told["too big"]:
        refute("nothing that was weighed is too big by so much")
    for whole, more in re.findall(r"([\d.,]+ \w+)(?: at [^,]+)?, ([\d.,]+ \w+) more than there is", text):
        if not any((whole, more) == (amount(claim.left), amount(claim.left - claim.right)) for claim in reason.claims):
            refute(f"no claim is of {whole}, {more} more than there is")
    if "tight" in text and not told["tight"]:
        refute("nothing that was weighed is so tight")
    for sizes in re.findall(r"[\d,.]+ of [\d,.]+ GiB(?!(?: at [\d,]+ rows? a pass)?, (?:too )?tight)", text):
        if not any(
            claim.relation in ("fits", ">") and two_sizes(claim.left, claim.right) == sizes for claim in reason.claims
        ):
            refute(f"{sizes}: not what any claim says")
    for key, pattern, right in MEANT:
        if (
            key == reason.key
            and re.search(pattern, reason.why)
            and not any(right(owner, claim) for claim in reason.claims)
        ):
            refute(f"no claim means {pattern!r}")
    if re.search(r": [\d,.]+ of [\d,.]+ GiB", text):
        own = (needed(owner, {}).total_bytes, budget(owner.device).bytes)
        if two_sizes(*own) not in text:
            refute(f"the plan itself takes {two_sizes(*own)}")
    figures = [float(owner.device.count)]
    for claim in reason.claims:
        figures += [claim.left, claim.right, abs(claim.left - claim.right)]
        figures += [
            float(value)
            for value in claim.changes.values()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
    for number in numbers:
        held.figures += 1
        decimals = len(number.partition(".")[2])
        shown = {f"{figure / unit:,.{decimals}f}" for figure in figures for unit in (1, GIB, 2**20, 2**10)} | {
            f"{math.floor(figure):,}" for figure in figures
        }
        if number not in shown:
            refute(f"{number} is no claim's figure")


def _comparison(proposal: Proposal, owner: Proposal, key: str) -> Iterator[str]:
    """What is wrong with "yours, proposed, and what that costs"."""
    other = proposal.instead(key)
    assert other is not None
    if (other.yours, other.proposed) != (proposal.plan.get(key), owner.plan.get(key)):
        yield f"{other.yours} and {other.proposed} are compared"
    change = needed(owner, {}).total_bytes - needed(proposal, {}).total_bytes
    words = "the same memory" if change == 0 else f"{amount(change)} {'more' if change > 0 else 'less'} memory"
    if change != other.memory_bytes or words not in other.cost:
        yield f"{other.cost}: it is {words}"
    now, then = (
        predict(
            one.spec,
            one.plan,
            one.data,
            one.device,
            make_schedule(one.plan, one.data, one.device.count),
            one.measurements,
        )
        for one in (proposal, owner)
    )
    if other.untimed != differ_untimed(proposal.plan, owner.plan):
        yield f"{other.cost}: what no prediction counts is not told"
    if other.untimed:
        if "time not predicted" not in other.cost or other.time_factors is not None:
            yield f"{other.cost}: a time that nothing counted"
        return
    if (now is None or then is None) != (other.time_factors is None):
        yield f"{other.cost}: times are known on one side"
    if now is None or then is None:
        return
    low, high = sorted((then.low_seconds / now.low_seconds, then.high_seconds / now.high_seconds))
    figures = (
        [float(text.replace(",", "")) for text in re.findall(r"[\d.,]+", other.cost.rpartition(", ")[2])]
        if re.search("time|long", other.cost) and "same time" not in other.cost
        else []
    )
    if "times as long" in other.cost:
        true = [round(low, 1), round(high, 1)]
        if "times as fast" in other.cost:  # from the one to the other
            true[0] = round(1 / low)
    elif "times as fast" in other.cost:
        true = [round(1 / factor, 1) if 1 / factor < 10 else round(1 / factor) for factor in (low, high)]
    elif "memory and time" in other.cost or "the same time" in other.cost:
        figures, true = [], [number for number in (round((low - 1) * 100), round((high - 1) * 100)) if abs(number) > 2]
    else:
        true = [abs(round((factor - 1) * 100)) for factor in (low, high)]
        if ("more time" in other.cost and high <= 1) or (" % less time" in other.cost and low >= 1):
            yield f"{other.cost}: times {low:.3f} to {high:.3f}"
    if sorted(set(figures)) != sorted(set(true)):
        yield f"{other.cost}: times {low:.3f} to {high:.3f}"
