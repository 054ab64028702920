"""What the calculation would have proposed for a run, so that a fix can offer it."""

from __future__ import annotations

from typing import Any

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.plan import Plan
from loratui.core.plan_text import fields
from loratui.core.proposal import Situation, propose

KEYS = ("training.learning_rate",)
"""The keys that a fix offers as proposed."""


def proposed_values(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device) -> dict[str, Any]:
    """The proposed value of each such key, everything else being as the plan has it. PlanError where the plan contradicts itself."""
    mine = {key: plan.get(key) for key in fields()}
    recommendations = propose(Situation(spec, data, device), mine=mine).recommendations
    return {key: recommendations[key].value for key in KEYS if key in recommendations}
