"""What the evaluations of a mix show of its parts."""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core.diagnosis.curves import Curves, Finding, Fix
from loratui.core.diagnosis.overfitting import RISE_NATS, RISE_SHARE
from loratui.core.early_stopping import interval_words
from loratui.core.plan import Plan


def part_worsens(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The held-out loss of a part has risen from its own lowest by more than its rows leave to chance, while that of
    the whole has fallen since then.
    """
    if not curves.part_changes or not curves.evaluations:
        return
    begun = [(0, curves.base_loss)] if curves.base_loss == curves.base_loss else []
    losses = dict([*begun, *curves.evaluations])
    newest = curves.evaluations[-1][1]
    for name, since in curves.part_changes.items():
        then = losses.get(since.step)
        least = max(RISE_SHARE * since.before, RISE_NATS)
        if since.told != "worse" or since.difference <= least or then is None or newest >= then:
            continue
        when = f"at step {since.step:,}" if since.step else "before the first step"
        yield Finding(
            "part-worsens",
            "warning",
            f"{name} gets worse while the whole gets better: its held-out loss was lowest {when} ({since.before:.3g}) "
            f"and is {since.before + since.difference:.3g} now ({interval_words(since)}).",
            since.step,
            (
                Fix(f"Start anew and draw {name} more often, by its weight."),
                Fix(f"Look at the rows of {name}: those of other parts may contradict them."),
            ),
        )
