"""Which value for each field, and why: one module a question, in the order in which the answers depend on each
other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from loratui.core.recommend.adamw import adamw
from loratui.core.recommend.adapter import alpha, dropout, rank, targets
from loratui.core.recommend.checkpointing import checkpointing
from loratui.core.recommend.compiling import compiling
from loratui.core.recommend.context import Context
from loratui.core.recommend.data_shape import (
    epochs,
    group_by_length,
    grouped_batch,
    max_length,
    packing,
    padding_free,
)
from loratui.core.recommend.evaluation import held_out, keeping
from loratui.core.recommend.learning_rate import learning_rate
from loratui.core.recommend.liger import liger
from loratui.core.recommend.method_and_batch import fit
from loratui.core.recommend.precision import precision
from loratui.core.recommend.preference import (
    passes,
    preference_rate,
    reference,
    reference_of_a_whole_model,
    steady,
    unpadded,
)
from loratui.core.recommend.preference_loss import preferences
from loratui.core.recommend.schedule import scheduler, warmup
from loratui.core.recommend.time_limit import time_limit
from loratui.core.recommendation import Recommendation

QUESTIONS: tuple[Callable[[Context], Iterator[Recommendation]], ...] = (
    held_out,
    precision,
    max_length,
    packing,
    padding_free,
    group_by_length,
    unpadded,
    epochs,
    passes,
    targets,
    rank,
    alpha,
    dropout,
    steady,
    preferences,
    reference_of_a_whole_model,
    fit,
    grouped_batch,
    unpadded,
    reference,
    scheduler,
    learning_rate,
    warmup,
    preference_rate,
    adamw,
    keeping,
    compiling,
    liger,
    time_limit,
)
"""Asked in this order: each may use what those before it have decided."""
TOLD_LAST: Mapping[str, Callable[[Context], Callable[[], Recommendation] | None]] = {
    "training.checkpointing": checkpointing
}
"""Keys whose answer is among those, but whose reason is made when it is asked for: of a dozen proposals that one key
press takes, the reasons of one or two are read."""

__all__ = ["QUESTIONS", "TOLD_LAST", "Context"]
