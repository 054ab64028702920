"""How many rows are held out for evaluation: as many as the figure needs, no more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from loratui.core.dataset import held_out_rows
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation

USUAL_SHARE = 0.05
ENOUGH_ROWS = 1_000
ROW_SPREAD_NATS = 0.6
"""Standard deviation of a row's mean loss, assumed: the rows of one dataset differ by about so much."""


def standard_error(rows: int) -> float:
    """By how much (in nats, one standard deviation) the mean loss over so many held-out rows may be off by chance."""
    return ROW_SPREAD_NATS / math.sqrt(max(1, rows))


def held_out(context: Context) -> Iterator[Recommendation]:
    """`dataset.eval_fraction`; afterwards the data's parts are those of the share that was decided."""
    data = context.data
    usable = data.examples + data.eval_examples if data.eval_taken else data.examples
    value = USUAL_SHARE if usable * USUAL_SHARE <= ENOUGH_ROWS else float(f"{ENOUGH_ROWS / usable:.2g}")
    rows = held_out_rows(usable, value)
    error = standard_error(rows)
    if data.eval_examples and not data.eval_taken:
        why = f"Counts for nothing here: {data.eval_examples:,} rows of their own are there to evaluate on."
    elif value < USUAL_SHARE:
        why = f"{rows:,} of {usable:,} rows: their loss is known to about ± {error:.2g}, and more would only make each evaluation longer."
    else:
        why = f"One row in twenty, {rows:,} of {usable:,}: their loss is known to about ± {error:.2g}{', so only large changes mean anything' if error > 0.1 else ''}."
    yield Recommendation(
        "dataset.eval_fraction", value, why,
        f"{ROW_SPREAD_NATS:g} nats / √{rows:,} rows = ± {error:.2g}; {USUAL_SHARE:.0%} of {usable:,} rows, at most {ENOUGH_ROWS:,} of them",
        f"Standard error of a mean, as in Miller 2024 (2411.00640). The spread of {ROW_SPREAD_NATS:g} nats between rows is assumed.",
        up="A surer loss; fewer rows to train on, and each evaluation takes longer.", down="More rows to train on; below some hundred rows the loss moves by chance.",
    )
    if data.eval_taken:
        held = held_out_rows(usable, float(context.get("dataset.eval_fraction")), int(context.get("dataset.eval_count")))
        context.data = replace(data, examples=max(1, usable - held), eval_examples=held)
