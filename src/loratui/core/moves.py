"""What a change of the choices moved in the plan that is proposed: old and new, key by key, and what it does to memory
and time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loratui.core.plan_text import fields
from loratui.core.recommendation import time_words

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.core.proposal import Proposal

FIRST = (
    "method.kind",
    "training.batch_size",
    "training.accumulation",
    "training.checkpointing",
    "training.learning_rate",
    "training.max_length",
    "lora.r",
    "training.epochs",
    "training.optimizer",
    "training.precision",
    "training.warmup_steps",
)
"""What a person wants to know first; the rest follows in the order of the plan."""
IMPLIED = ("method.quantization", "method.double_quantization", "method.compute_dtype")
"""Follow from the method: told only where it stays."""


@dataclass(frozen=True, slots=True)
class Move:
    """One key of the plan, its value before and now."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Moves:
    """Everything that one change moved.

    asked: what was changed. also: what followed from it. memory_bytes: change of the predicted peak. time: in words,
    empty where it is not known.
    """

    asked: tuple[Move, ...]
    also: tuple[Move, ...]
    memory_bytes: int
    time: str = ""

    @property
    def keys(self) -> dict[str, Move]:
        """Every moved key of the plan."""
        return {move.key: move for move in (*self.asked, *self.also)}


def moves(before: Proposal, after: Proposal, asked: Iterable[str] = ()) -> Moves:
    """What moved between two proposals. asked: the keys that were changed; everything else followed."""
    wanted = set(asked)
    found = list(_moved(before.plan, after.plan))
    factors = before.time_factors(after)
    time = time_words(factors) if factors else ""
    return Moves(
        tuple(move for move in found if move.key in wanted),
        tuple(move for move in found if move.key not in wanted and _matters(move.key, found, after.plan)),
        after.memory.total_bytes - before.memory.total_bytes,
        "" if time == "the same time" else time,
    )


def _moved(before: Plan, after: Plan) -> Iterator[Move]:
    rank = {key: place for place, key in enumerate(FIRST)}
    for key in sorted(fields(), key=lambda key: rank.get(key, len(rank))):
        old, new = before.get(key), after.get(key)
        if old != new:
            yield Move(key, old, new)


def _matters(key: str, found: list[Move], after: Plan) -> bool:
    """Whether a key that followed says something of its own."""
    if key in IMPLIED and any(move.key == "method.kind" for move in found):
        return False
    return not (key.startswith("lora.") and after.method.kind == "full")
