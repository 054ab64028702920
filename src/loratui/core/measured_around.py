"""What earlier runs on this machine took beside their steps, and what that says of the next one: its start, its
evaluations, its checkpoints, its end.

Runs of the same model speak. Those of the same method decide alone where there are any; another method loads and saves
other things, so that what the others took is widened. The libraries' imports are the same for every model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from loratui.core.measured import RUNS_REMEMBERED, SIZE_RATIO, Measurement

Span = tuple[float, float]
"""Seconds, lowest and highest."""
SAME_METHOD_SHARES: Span = (0.7, 2.0)
"""What is taken at least and at most, as shares of the least and the most that was measured: whether files are in the
page cache, and what else the machine does, is not known before."""
OTHER_METHOD_SHARES: Span = (0.4, 3.0)
"""The same, from runs of other methods."""
SAME_DATA = 1.25
"""By how much more tokens a dataset has at most that is prepared in the measured time."""


class Around(NamedTuple):
    """Seconds, lowest and highest, of what surrounds a run's steps; None where no run here shows it."""

    importing: Span | None = None
    """From the worker's start to its libraries' being there."""
    loading: Span | None = None
    """From there to the first step: weights, rows, the trainer."""
    prepared_tokens: float = 0.0
    """Tokens of the largest dataset that was prepared in that time."""
    rehearsing: Span | None = None
    evaluating: Span | None = None
    """Of one evaluation, with the answers that it asks for."""
    saving: Span | None = None
    """Of one checkpoint."""
    ending: Span | None = None
    """From the last step to the result and its card."""

    def has_prepared(self, tokens: float) -> bool:
        """Whether preparing so many tokens is in the measured time."""
        return self.loading is not None and tokens <= SAME_DATA * self.prepared_tokens


UNKNOWN = Around()
"""Of a machine on which nothing was measured."""


def learned_around(
    measurements: Sequence[Measurement],
    *,
    device: str,
    devices: int,
    method: str,
    model: str,
    evaluated_rows: int,
    answer_batches: int,
    checkpoint_bytes: float,
) -> Around:
    """What the latest runs of this model on this device say. evaluated_rows, answer_batches: of each evaluation of the
    plan; other numbers of batches say nothing, other numbers of rows in proportion. checkpoint_bytes: of one of its.
    """
    importing: list[float] = []
    same: list[Measurement] = []
    for one in reversed(measurements):
        if one.device != device or one.devices != devices:
            continue
        if one.importing_seconds > 0 and len(importing) < RUNS_REMEMBERED:
            importing.append(one.importing_seconds)
        if one.model == model and one.loading_seconds > 0:
            same.append(one)
            if len(same) == RUNS_REMEMBERED:
                break
    own = [one for one in same if one.method == method]
    near, shares = (own, SAME_METHOD_SHARES) if own else (same, OTHER_METHOD_SHARES)

    def span(found: Iterable[float]) -> Span | None:
        return _within(((each, 1.0) for each in found if each > 0), shares)

    return Around(
        importing=_within(((each, 1.0) for each in importing), SAME_METHOD_SHARES),
        loading=span(one.loading_seconds for one in near),
        prepared_tokens=max((one.prepared_tokens for one in near), default=0.0),
        rehearsing=span(one.rehearsing_seconds for one in near),
        evaluating=_within(
            (
                (one.evaluating_seconds, evaluated_rows / one.evaluated_rows)
                for one in near
                if one.evaluating_seconds > 0 and one.evaluated_rows and one.answer_batches == answer_batches
            ),
            shares,
        ),
        saving=_within(
            (
                (one.saving_seconds, checkpoint_bytes / one.checkpoint_bytes)
                for one in near
                if one.saving_seconds > 0 and one.checkpoint_bytes
            ),
            shares,
        ),
        ending=span(one.ending_seconds for one in near),
    )


def _within(measured: Iterable[tuple[float, float]], shares: Span) -> Span | None:
    """Least and most of what was measured, as (seconds, how often as much there is to do now). Of what is done some
    part is there however much there is, so that the one end counts in proportion and the other one not.
    """
    comparable = [(each, ratio) for each, ratio in measured if 1 / SIZE_RATIO <= ratio <= SIZE_RATIO]
    if not comparable:
        return None
    low = min(each * min(1.0, ratio) for each, ratio in comparable)
    high = max(each * max(1.0, ratio) for each, ratio in comparable)
    return low * shares[0], high * shares[1]
