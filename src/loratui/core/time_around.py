"""How long a run takes beside its steps: its start, the answers that evaluations ask for, and its result.

The figures were taken from runs of the demo model on two cores, quiet and beside five other programs (November 2026);
a run's own `events.jsonl` has them too. `tests/core/test_time_around.py` holds them against such files.
"""

from __future__ import annotations

import math

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.measured_around import UNKNOWN, Around, Span
from loratui.core.plan import Plan

IMPORT_SECONDS: Span = (5.0, 25.0)
"""From the command to the first event: the libraries' imports, 7.5 s of a processor alone."""
PREPARE_SECONDS: Span = (0.5, 6.0)
"""The model's classes, the trainer, its optimizer."""
READ_BYTES_PER_SECOND = (4e9, 0.2e9)
"""How fast weights are read: from the page cache, and from a network's disk."""
STORED_BYTES_PER_PARAMETER = 2.0
"""In most models' files."""
TOKENISED_PER_SECOND = 1e5
"""Tokens a second, slowest. Rows that were inspected are tokenised already."""
SAVED_BYTES_PER_SECOND = (2e9, 0.2e9)
"""How fast a checkpoint is written and flushed: a local solid-state disk, and a network's."""
SEAL_SECONDS: Span = (0.03, 0.3)
"""Of a checkpoint however small it is: its many files, their hashes, the flush of the folder."""
RESULT_SECONDS: Span = (0.05, 3.0)
"""The best weights put back, the card and the manifest."""
ANSWERED_ROWS, LONGEST_ANSWER_TOKENS, LEAST_ANSWER_TOKENS = 8, 192, 16
"""Of the held-out rows that are answered at each evaluation, and of an answer; the worker goes by them."""
LONGEST_ANSWERING_SECONDS = 120.0
"""After so long a batch of answers is broken off: an evaluation must not eat the run's time."""
TOKEN_SECONDS: Span = (1e-3, 30e-3)
"""Of each token that is generated, whatever the model: what the library does around its pass."""


def written_seconds(size_bytes: float) -> Span:
    """Time to write and flush so many bytes."""
    return size_bytes / SAVED_BYTES_PER_SECOND[0], size_bytes / SAVED_BYTES_PER_SECOND[1]


def prepared_tokens(plan: Plan, data: DataFacts) -> float:
    """Tokens of all rows, those held out included."""
    return (data.examples + data.eval_examples) * data.mean * plan.sides


def starting(
    spec: ModelSpec, plan: Plan, data: DataFacts, learned: Around = UNKNOWN, *, rehearsed_seconds: float | None = None
) -> Span:
    """From the command to the first step: imports, weights, rows. learned: what runs here showed of it.
    rehearsed_seconds: longest time of the rehearsal's steps, which are made in a process of their own; None where there
    is none.
    """
    stored = spec.total_parameters * STORED_BYTES_PER_PARAMETER
    tokens = prepared_tokens(plan, data)
    imports = learned.importing or IMPORT_SECONDS
    low, high = learned.loading or (
        prepare + stored / speed for prepare, speed in zip(PREPARE_SECONDS, READ_BYTES_PER_SECOND, strict=True)
    )
    low, high = low + imports[0], high + imports[1]
    tokenising = 0.0 if learned.has_prepared(tokens) else tokens / TOKENISED_PER_SECOND
    if rehearsed_seconds is None:
        return low, high + tokenising
    rehearsing = learned.rehearsing or (0.0, high + rehearsed_seconds)
    return low + rehearsing[0], high + rehearsing[1] + tokenising


def ending(result_bytes: float, learned: Around = UNKNOWN) -> Span:
    """From the last step to the result."""
    if learned.ending is not None:
        return learned.ending
    low, high = written_seconds(result_bytes)
    return low + RESULT_SECONDS[0], high + RESULT_SECONDS[1]


def longest_answer(written_tokens: float) -> int:
    """Tokens after which an answer is cut off: a quarter more than the longest of those that were written."""
    return min(LONGEST_ANSWER_TOKENS, max(LEAST_ANSWER_TOKENS, math.floor(written_tokens * 1.25) + 4))


def answered_together(plan: Plan) -> int:
    """Rows that are answered in one batch."""
    return max(1, min(plan.evaluation.batch_size, ANSWERED_ROWS))


def answer_batches(plan: Plan, eval_examples: int) -> tuple[int, int]:
    """Batches of answers that one evaluation asks for: to held-out rows, and to the pinned prompts."""
    size = answered_together(plan)
    return math.ceil(min(ANSWERED_ROWS, eval_examples) / size), math.ceil(len(plan.evaluation.prompts) / size)


def answering_seconds(plan: Plan, data: DataFacts, token: Span) -> Span:
    """What one evaluation's answers take: to held-out rows, and to the pinned prompts. token: seconds in which a batch
    of answers grows by one token.

    An untrained model runs to the longest that is allowed; a trained one ends where the row does. At least: nothing
    where all of a row is learnt (plain text has no answers), or where it is not known how long the answers are.
    """
    batches, pinned = answer_batches(plan, data.eval_examples)
    known, written = data.trained_share < 1, data.mean * data.trained_share
    least = written / 2 if known else 0.0
    most = longest_answer(min(data.longest, 2 * written) if known else data.longest)
    low, high = (one + around for one, around in zip(token, TOKEN_SECONDS, strict=True))
    longest = LONGEST_ANSWERING_SECONDS
    return (
        min(longest, low * min(LONGEST_ANSWER_TOKENS, least)) * batches,
        min(longest, high * most) * batches + min(longest, high * LONGEST_ANSWER_TOKENS) * pinned,
    )
