"""Why activations are computed again in the backward pass, or kept: what fits with either, and what it costs in time.

Told last, and only to whoever asks: the price is that of the whole run, counted as every other comparison of two plans
counts it, which takes as long as a third of all other answers.
"""

from __future__ import annotations

from collections.abc import Callable

from loratui.core.plan import Plan
from loratui.core.recommend.context import Context, changed
from loratui.core.recommend.reasons import Said, as_method, fit, joined, lost, memory_claim, need, rows, taken, weighed
from loratui.core.recommend.search import AS_FAST, Fit, Search
from loratui.core.recommendation import TIMES, Claim, Recommendation, amount, time_words
from loratui.core.schedule import make_schedule
from loratui.core.time import Prediction, on_one_footing, predict


def checkpointing(context: Context) -> Callable[[], Recommendation] | None:
    """Makes what the search found, with its reason by the plan as it is decided now; None where nothing was sought."""
    if not isinstance(search := context.searched, Search):
        return None
    plan = context.plan()
    return lambda: recommendation(search, why(search, plan))


def recommendation(search: Search, text: Said) -> Recommendation:
    """Whether activations are computed again. text: the reason."""
    return Recommendation(
        "training.checkpointing",
        search.found.checkpointing,
        text.sentence,
        (
            f"{weighed(search)}; of all batches that fit, with it and without, the fastest by the prediction (padding "
            f"and recomputing counted), and the largest of those within {100 * AS_FAST:.0f} %"
        ),
        "Chen et al. 2016 (1604.06174). trl 1.16 turns it on by itself, at a cost of about a third of the speed.",
        up="True: activations shrink to one layer's and the layers' inputs; about a third slower.",
        down="False: fastest.",
        disagreement=(
            "One guide lists checkpointing among the ways to train faster; it does the opposite, except where it "
            "allows a much larger batch."
        ),
        claims=text.claims,
    )


def why(search: Search, plan: Plan) -> Said:
    """Why activations are computed again, or kept, with what the other would cost by the decided plan."""
    found, method = search.found, as_method(search)
    if found.checkpointing:
        without = search.largest(found.rung, False)
        if not found.fits:
            bare = search.at(found.rung, found.batch, False)
            saved = Said(f"; without it {amount(bare.total_bytes)}", (memory_claim(bare),))
            return joined(f"even with it {rows(found.batch)}{method} ", lost(found, need(found.batch)), saved)
        if not without.comfortable:
            even = "even " if without.batch == 1 else ""
            return joined(f"without it {even}{rows(without.batch)}{method} ", lost(without, need(without.batch)))
        more = search.at(found.rung, 2 * without.batch, False)
        best = search.fastest(found.rung, without)
        return joined(
            f"without it {rows(without.batch)} a pass {'is' if without.batch == 1 else 'are'} all ",
            f"that {fit(without.batch)}{method}",
            joined(", and the run takes ", longer, " by the prediction")
            if (longer := _takes(search, plan, best))
            else "",
            f"; with it {found.batch:,} fit",
            _of_fixed_passes(search, best.batch),
            Said("", tuple(map(memory_claim, (without, more, found)))),
        )
    if found.verdict == "fits":
        return joined(
            f"{rows(found.batch)} a pass {fit(found.batch)} without it{method}: ", taken(found), _with_it(search, plan)
        )
    if found.fits:
        return joined(f"{rows(found.batch)} a pass just {fit(found.batch)} without it{method}: ", taken(found))
    with_it = search.at(found.rung, found.batch, True)
    peak = Said(amount(found.total_bytes), (memory_claim(found), memory_claim(with_it)))
    return joined("nothing fits, and it would not lower the peak of ", peak)


def _of_fixed_passes(search: Search, without: int) -> Said:
    """What a larger batch brings where the accumulation is fixed. without: the batch without checkpointing."""
    fixed, count = search.context.pinned.get("training.accumulation"), search.context.device.count
    if fixed is None:
        return Said("")
    one, claims = int(fixed) * count, []
    for batch in (search.found.batch, without):
        changes = {"training.batch_size": batch}
        claims.append(Claim("rows", batch * one, "=", batch * one, changes))
    many, few = search.found.batch * one, without * one
    claims.append(Claim("rows", many, ">", few, {"training.batch_size": search.found.batch}))
    return Said(f", so that a step has {rows(many)} instead of {few:,}", tuple(claims))


def _with_it(search: Search, plan: Plan) -> Said:
    """What checkpointing would cost in time: with the same rows a pass, and with those that would be found."""
    found = search.found
    same = _takes(search, plan, search.at(found.rung, found.batch, True))
    if same is None:
        return Said("")
    largest = search.largest(found.rung, True)
    best = search.fastest(found.rung, largest) if largest.comfortable else found
    other = _takes(search, plan, best) if best.batch != found.batch else None
    then = joined(", and ", other, f" at {best.batch:,}") if other else ""
    return joined("; with it the run takes ", same, f" at {rows(found.batch)} a pass", then, ", by the prediction")


def _takes(search: Search, plan: Plan, point: Fit) -> Said | None:
    """How long the run takes at another point of the search, in the words of all comparisons; None where that is not
    known.
    """
    context = search.context
    changes = {key: value for key, value in point.changes.items() if not key.endswith("every_steps")}
    other = changed(plan, changes)
    now, then = (_time(context, one, measured=True) for one in (plan, other))
    if now is None or then is None or not on_one_footing(plan, now, other, then):
        now, then = (_time(context, one, measured=False) for one in (plan, other))
    if now is None or then is None:
        return None
    factors = (then.low_seconds / now.low_seconds, then.high_seconds / now.high_seconds)
    times = min(factors) >= TIMES
    claims = []
    for kind, factor in zip(("shortest run", "longest run"), factors, strict=True):
        left, right = (factor, 1.0) if times else ((factor - 1) * 100, 0.0)
        name = f"{kind} as a factor" if times else kind
        claims.append(Claim(name, left, ">=" if left >= right else "<", right, changes))
    return Said(time_words(factors), tuple(claims))


def _time(context: Context, plan: Plan, *, measured: bool) -> Prediction | None:
    schedule = make_schedule(plan, context.data, context.device.count)
    runs = context.measurements if measured else ()
    return predict(context.spec, plan, context.data, context.device, schedule, runs)
