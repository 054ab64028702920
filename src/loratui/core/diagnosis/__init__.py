"""What a loss curve means, and which change to the plan would mend it.

Pure rules over a run's curves; each is one function in `training_loss` or `generalising`, tested on recorded runs.
The guides' tables of problems and fixes are the minimum; what only a person can check is a fix without changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loratui.core.diagnosis.curves import Curves, Finding, Fix, Severity
from loratui.core.diagnosis.generalising import memorising, overfitting
from loratui.core.diagnosis.training_loss import (
    always_clipped,
    diverging,
    erratic,
    no_gradient,
    not_falling,
    not_finite,
    plateau,
    spikes,
    underfitting,
)
from loratui.core.plan import Plan

RULES: tuple[Callable[[Curves, Plan], Iterator[Finding]], ...] = (
    not_finite, no_gradient, diverging, overfitting, memorising, not_falling, spikes, erratic, plateau, underfitting, always_clipped,
)
_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}
_BESIDE_THE_POINT = ("not-falling", "erratic", "plateau", "underfitting", "spikes", "always-clipped")
"""Findings that say nothing once the run is spoilt."""


def diagnose(curves: Curves, plan: Plan) -> list[Finding]:
    """Every finding about a run, the gravest first; empty for a healthy one."""
    if not curves.steps:
        return []
    found = [finding for rule in RULES for finding in rule(curves, plan)]
    kinds = {finding.kind for finding in found}
    if kinds & {"not-finite", "diverging"}:
        found = [finding for finding in found if finding.kind not in _BESIDE_THE_POINT]
    if "not-finite" in kinds:
        found = [finding for finding in found if finding.kind != "diverging"]
    return sorted(found, key=lambda finding: _ORDER[finding.severity])


__all__ = ["RULES", "Curves", "Finding", "Fix", "Severity", "diagnose"]
