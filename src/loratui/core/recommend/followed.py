"""What was decided after the search for what fits, and moves the memory: the search's reasons tell both figures.

The search counts without it on purpose: kernels are tried before the first step, and may be dropped there.
"""

from __future__ import annotations

from collections.abc import Callable

from loratui.core.memory import Estimate, verdict
from loratui.core.plan import Plan
from loratui.core.recommend.context import Context
from loratui.core.recommend.search import Search
from loratui.core.recommendation import Claim, Recommendation, amount

FOLLOWS = {
    "training.liger": "Counted without Liger's kernels, with which it takes {}.",
    "training.compile": "Counted without compiled blocks, with which it takes {}.",
    "preference.reference": "Counted with the reference at each step; computed once, it takes {}.",
}
"""Keys that are decided after the search, no two of them otherwise than it supposed at once."""
OF_THE_RUN = ("shortest run", "longest run")
"""What is counted by the plan as it is decided at last."""


def followed(context: Context, plan: Plan, needed: Estimate) -> Callable[[Recommendation], Recommendation]:
    """Completes a reason of the search by what the decided plan takes, where that is another figure.

    needed: the memory of the plan.
    """
    search = context.searched
    if not isinstance(search, Search):
        return lambda reason: reason
    supposed = {key: search.before.get(key) for key in FOLLOWS if search.before.get(key) != plan.get(key)}
    if not supposed:
        return lambda reason: reason
    room, takes = search.room, amount(needed.total_bytes)
    moved, words = takes != amount(search.found.total_bytes), FOLLOWS[next(iter(supposed))].format(takes)
    own = Claim("memory", needed.total_bytes, verdict(needed, room), room.bytes)

    def completed(reason: Recommendation) -> Recommendation:
        tells = moved and any(claim.kind == "memory" for claim in reason.claims)
        claims = (
            claim
            if claim.kind.startswith(OF_THE_RUN)
            else Claim(claim.kind, claim.left, claim.relation, claim.right, {**supposed, **claim.changes})
            for claim in reason.claims
        )
        why = f"{reason.why} {words}" if tells else reason.why
        return reason._replace(why=why, claims=(*claims, own) if tells else tuple(claims))

    return completed


def once_asked(
    make: Callable[[], Recommendation], completed: Callable[[Recommendation], Recommendation]
) -> Callable[[], Recommendation]:
    """Makes a reason that is told last, completed."""
    return lambda: completed(make())
