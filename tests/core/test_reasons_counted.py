"""The figures of reasons that carry no claims, read out of their words and counted anew, in hundreds of situations."""

from __future__ import annotations

import re
from collections import Counter

from counted_words import COUNTED
from drawn_situations import Case, cases
from held_reasons import without

from loratui.core.architecture import ModelSpec
from loratui.core.proposal import Proposal, propose

SITUATIONS = 200
FIGURE = r"(?<![\d.e-])(\d)(?=[\d,]*(?: of | rows| steps| tokens| parameters| looks))"
"""The first digit of a figure in a sentence."""


def owner_of(case: Case, proposal: Proposal, key: str) -> Proposal:
    """The proposal whose figures a key's reason speaks of: without that key where it is fixed."""
    return proposal if proposal.origins[key] == "proposed" else without(case, proposal, key)


def test_figures_in_words_are_those_of_the_proposal() -> None:
    looked: Counter[str] = Counter()
    refuted: list[str] = []
    for case in cases(SITUATIONS, 23):
        proposal = propose(case.situation, case.preset, case.by_hand)
        for key, count in COUNTED.items():
            reason = proposal.recommendations.get(key)
            if reason is None or case.preset.calculation == "rules-of-thumb":
                continue
            held = count(owner_of(case, proposal, key), reason.why, reason.formula)
            looked[key] += len(held)
            if not all(held):
                refuted.append(f"{case}\n  {key}: {reason.why} [{reason.formula}] {held}")
    assert not refuted, f"{len(refuted)} refuted of {sum(looked.values())}:\n" + "\n".join(refuted[:8])
    assert all(looked[key] > 15 for key in COUNTED), looked


def test_the_counters_find_lies() -> None:
    """A sentence with another figure is refuted: the counters can fail."""
    lies = 0
    for case in cases(30, 3):
        proposal = propose(case.situation, case.preset, case.by_hand)
        for key, count in COUNTED.items():
            reason = proposal.recommendations.get(key)
            if reason is None:
                continue
            lie = re.sub(FIGURE, _other, reason.why)
            told = count(owner_of(case, proposal, key), reason.why, reason.formula)
            if lie != reason.why and told and all(told):
                lies += not all(count(owner_of(case, proposal, key), lie, reason.formula))
    assert lies > 40


def _other(match: re.Match[str]) -> str:
    return str((int(match[1]) + 4) % 9 + 1)


def test_exponents_are_the_published_ones() -> None:
    from loratui.core.recommend.learning_rate import exponent

    def spec(family: str) -> ModelSpec:
        return next(case.situation.spec for case in cases(200, 1) if case.situation.spec.family.startswith(family))

    assert (exponent(spec("llama")), exponent(spec("qwen"))) == (0.781, 0.0775)
