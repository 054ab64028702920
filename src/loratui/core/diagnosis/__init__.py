"""What a loss curve means, and which change to the plan would mend it.

Pure rules over a run's curves; each is one function in `training_loss`, `instability` or `generalising`, tested on
recorded runs, and a rule speaks only where a person should act. What it advises is followed to its end in
`benchmarks/advice.py`. The guides' tables of problems and fixes are the minimum; what only a person can check is a
fix without changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loratui.core.diagnosis.base import KIND as WORSE_THAN_BASE
from loratui.core.diagnosis.base import worse_than_base
from loratui.core.diagnosis.by_part import part_worsens
from loratui.core.diagnosis.curves import Curves, Finding, Fix, Severity
from loratui.core.diagnosis.fixes import after_divergence
from loratui.core.diagnosis.instability import after_not_finite, diverging, erratic, not_finite, spikes
from loratui.core.diagnosis.overfitting import memorising, overfitting
from loratui.core.diagnosis.preferences import (
    both_fall,
    kl_runs_away,
    margin_explodes,
    odds_stand_still,
    ordered_at_once,
)
from loratui.core.diagnosis.training_loss import no_gradient, not_falling, plateau, underfitting
from loratui.core.plan import Plan
from loratui.core.preferences import is_preference

RULES: tuple[Callable[[Curves, Plan], Iterator[Finding]], ...] = (
    not_finite,
    no_gradient,
    diverging,
    worse_than_base,
    overfitting,
    part_worsens,
    memorising,
    not_falling,
    spikes,
    erratic,
    plateau,
    underfitting,
)
PREFERENCE_RULES: tuple[Callable[[Curves, Plan], Iterator[Finding]], ...] = (
    not_finite,
    no_gradient,
    diverging,
    worse_than_base,
    overfitting,
    not_falling,
    both_fall,
    margin_explodes,
    kl_runs_away,
    odds_stand_still,
    ordered_at_once,
)
"""Where preferences are learnt. What else the loss says of answers it does not say of pairs: it comes near 0 where all
is well, and jumps from one step's pairs to the next one's.
"""
_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}
_BESIDE_THE_POINT = ("not-falling", "erratic", "plateau", "underfitting", "spikes", "part-worsens", WORSE_THAN_BASE)
"""Findings that say nothing once the run is spoilt."""


def diagnose(curves: Curves, plan: Plan) -> list[Finding]:
    """Every finding about a run, the gravest first; empty for a healthy one."""
    if not curves.steps:
        return []
    rules = PREFERENCE_RULES if is_preference(plan) else RULES
    found = [finding for rule in rules for finding in rule(curves, plan)]
    kinds = {finding.kind for finding in found}
    if kinds & {"not-finite", "diverging"}:
        found = [finding for finding in found if finding.kind not in _BESIDE_THE_POINT]
    if "not-finite" in kinds:
        found = [finding for finding in found if finding.kind != "diverging"]
    return sorted(found, key=lambda finding: _ORDER[finding.severity])


__all__ = [
    "RULES",
    "WORSE_THAN_BASE",
    "Curves",
    "Finding",
    "Fix",
    "Severity",
    "after_divergence",
    "after_not_finite",
    "diagnose",
]
