"""How many bytes a training needs, part by part, and whether they fit."""

from loratui.core.memory.budget import Budget, Verdict, budget, verdict
from loratui.core.memory.estimate import PARTS, Estimate, estimate

__all__ = [
    "PARTS",
    "Budget",
    "Estimate",
    "Verdict",
    "budget",
    "estimate",
    "verdict",
]
