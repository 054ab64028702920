"""One proposed value with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Origin = Literal["proposed", "preset", "mine"]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The best available value of one plan key, and everything a person may ask about it."""

    key: str
    """Dotted plan key, e.g. `training.learning_rate`."""
    value: Any
    why: str
    """One line: the reason in words."""
    formula: str = ""
    """The formula with this situation's inputs filled in."""
    source: str = ""
    """Paper, page, or file with version."""
    rule_of_thumb: Any = None
    """What the folk rule (the first seed) says; None where it says nothing."""
    up: str = ""
    """What moving the value up does."""
    down: str = ""
    """What moving the value down does."""
    disagreement: str = ""
    """What the sources disagree about; empty where they agree."""
