"""How many bytes a training needs, part by part; whether they fit; and the gentlest change that makes them fit."""

from loratui.core.memory.alternatives import Alternative, alternatives
from loratui.core.memory.budget import Budget, Verdict, budget, verdict
from loratui.core.memory.estimate import PARTS, Estimate, estimate
from loratui.core.memory.fit import highest_rank, largest_batch, longest_length, method_fits

__all__ = [
    "PARTS",
    "Alternative",
    "Budget",
    "Estimate",
    "Verdict",
    "alternatives",
    "budget",
    "estimate",
    "highest_rank",
    "largest_batch",
    "longest_length",
    "method_fits",
    "verdict",
]
