"""What a rehearsal's timing of a batch's rows, padded and end to end, speaks for.

It is told with the change that takes the faster way, and nobody's plan is moved by it: of a plan as proposed little is
to be gained (rows end to end where the attention keeps them apart by itself, else batches of rows of like length, of
which a few percent are padding), and who chose another way had a reason that no timing of a few passes knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from loratui.core.plan import Plan

LEAST_GAIN = 0.10
"""Share (0..1) of the content tokens a second by which the other way must be faster to be spoken of: a few passes are
timed, and a machine that others use gives a few percent more or less.
"""
WORDS = {False: "padded to the longest", True: "end to end, without padding"}


def faster_way(plan: Plan, ways: Mapping[str, float]) -> tuple[str, dict[str, bool]] | None:
    """A sentence with what was measured, and the plan's key and value that take the faster way; None where the plan's
    own is as fast, or only one was measured.

    ways: content tokens a second by `padded` and `end_to_end`. The change leaves what is learnt as it is.
    """
    free = plan.training.padding_free
    now, other = ("end_to_end", "padded") if free else ("padded", "end_to_end")
    if not {now, other} <= ways.keys() or ways[other] < ways[now] * (1 + LEAST_GAIN):
        return None
    message = (
        f"Measured on batches of this run: rows that lie {WORDS[not free]} make {ways[other]:,.0f} tokens a second, as "
        f"planned ({WORDS[free]}) {ways[now]:,.0f}. The same is learnt either way."
    )
    return message, {"training.padding_free": not free}
