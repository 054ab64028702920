"""The search's reasons tell what the plan takes that is shown, also where something was decided after the search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from counted_anew import needed
from drawn_situations import cases
from held_reasons import DECIDED_LATER, SEARCHED, refutations

from loratui.core.errors import PlanError
from loratui.core.presets import AUTO
from loratui.core.proposal import Proposal, propose
from loratui.core.recommendation import amount, two_sizes
from loratui.core.situation import Situation
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model


def proposals(number: int, liger: bool, **by_hand: Any) -> Iterator[Proposal]:
    """Of drawn situations, on devices with Liger's kernels or not, with these keys fixed, too."""
    asked = {key.replace("__", "."): value for key, value in by_hand.items()}
    for case in cases(number, 1):
        device = replace(case.situation.device, liger=liger)
        try:
            yield propose(case.situation._replace(device=device), case.preset, {**case.by_hand, **asked})
        except PlanError:
            continue  # keys that contradict each other


@pytest.mark.parametrize(
    ("liger", "by_hand", "moved"),
    [
        (True, {}, "with which it takes"),
        (False, {"training__objective": "dpo"}, "computed once"),
        (False, {"training__objective": "kto"}, "computed once"),
    ],
    ids=str,
)
def test_every_reason_of_the_search_holds_and_tells_of_the_plan(liger: bool, by_hand: Any, moved: str) -> None:
    told = 0
    for proposal in proposals(60, liger, **by_hand):
        total, room = proposal.memory.total_bytes, proposal.budget.bytes
        for key in SEARCHED:
            reason = proposal.recommendations.get(key)
            if reason is None or proposal.instead(key) is not None:
                continue
            assert not [words for claim in reason.claims for words in refutations(proposal, claim)], (key, reason.why)
            own = [claim for claim in reason.claims if claim.kind == "memory" and is_shown(proposal, claim.changes)]
            if any(two_sizes(claim.left, claim.right) in reason.why for claim in own):
                assert two_sizes(total, room) in reason.why or f"it takes {amount(total)}" in reason.why, reason.why
            told += moved in reason.why
    assert told


def is_shown(proposal: Proposal, changes: Any) -> bool:
    """Whether a point of the search is that of the plan, but for what was decided after it."""
    return all(proposal.plan.get(key) == value for key, value in changes.items() if key not in DECIDED_LATER)


def test_the_reference_of_a_whole_model_is_computed_once_before_the_memory_is_searched() -> None:
    """What fits was searched with a second copy of the model, which the plan does not have."""
    spec, device = find_model("Qwen/Qwen3-1.7B", online=False).spec, find_gpu("RTX A6000").device()
    asked = {"method.kind": "full", "training.objective": "dpo"}
    proposal = propose(Situation(spec, None, device), AUTO, asked)
    assert proposal.plan.preference.reference == "precomputed"
    fixed = propose(Situation(spec, None, device), AUTO, {**asked, "preference.reference": "precomputed"})
    assert proposal.plan == fixed.plan
    assert needed(proposal, {"preference.reference": "each-step"}).total_bytes > proposal.memory.total_bytes
