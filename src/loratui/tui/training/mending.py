"""What would mend a run, as the run itself and its curves say, and how it would go on with each: for the panel that
offers it and for `loratui runs findings`. Needs no screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.core.plan_change import start_after
from loratui.core.plan_text import with_values
from loratui.format import size, value_text
from loratui.runs.continuation import Continuation, continuation, may_begin
from loratui.runs.course import Course, read_course
from loratui.runs.directory import Run
from loratui.runs.extension import lengthens
from loratui.runs.failure import still_standing, was_tried
from loratui.tui.training.follow import Followed


@dataclass(frozen=True, slots=True)
class Fix:
    """A change of the plan. note: what it needs, costs or mends. restart: from the base, whatever a checkpoint could
    take.

    reason: the kind of what it mends. at_step: where that is. sound: the last step whose weights are sound, where the
    finding knows it. sure: whether it takes away what was found; it may help where it does not.
    """

    change: dict[str, Any]
    note: str
    restart: bool = False
    reason: str = ""
    at_step: int = 0
    sound: int | None = None
    sure: bool = True


LESS_SURE = "May help: "


def fixes_of(followed: Followed) -> list[Fix]:
    """The fixes that can be applied now, those first that take away what was found, and last what puts back values
    that did not help. Keys that already have the value are no fix, and what was tried in vain is none.

    A finished run can only become longer, or begin otherwise than from its end: anew, or from its weights alone.
    """
    plan, record = followed.plan, followed.record
    if plan is None:
        return []
    found: list[Fix] = []
    if record.oom is not None and followed.status.over:
        for one in record.oom.fixes:
            fits = "" if one.get("fits", True) else ", does not fit by the estimate"
            needs = f"{size(int(one['memory_total']))} by the estimate{fits}; " if one.get("memory_total") else ""
            note, sure = f"{needs}{one.get('cost', '')}", bool(one.get("fits", True))
            found.append(Fix(dict(one.get("change", {})), note, reason="oom", at_step=record.oom.step, sure=sure))
    for told in reversed(record.findings):
        ways = told.fixes or [{"change": told.fix, "advice": told.message}]
        found += [
            Fix(
                dict(way.get("change", {})),
                str(way.get("advice", "")),
                bool(way.get("restart")),
                told.finding,
                told.step,
                sure=bool(way.get("sure", True)),
            )
            for way in ways
        ]
    now = record.step.step if record.step else 0
    for seen in followed.to_the_point:
        found += [
            Fix(dict(fix.changes), fix.advice, fix.restart, seen.kind, now, seen.sound, fix.sure) for fix in seen.fixes
        ]
    kept: list[Fix] = []
    found = [fix for fix in found if not was_tried(record.failed_fixes, fix.change, fix.restart)]
    for fix in [*sorted(found, key=lambda fix: not fix.sure), *_put_back(followed, plan)]:
        known = [(one.change, one.restart) for one in kept]
        if not fix.change or (fix.change, fix.restart) in known or not _changes(plan, fix.change):
            continue
        pairs = {key: (plan.get(key), value) for key, value in fix.change.items()}
        longer = lengthens(pairs, with_values(plan, fix.change))
        start = "anew" if fix.restart else start_after(plan, fix.change)
        if may_begin(followed.status.state, start, longer=longer):
            kept.append(fix)
    return kept


def _put_back(followed: Followed, plan: Plan) -> list[Fix]:
    """What fixes that did not help have left in the plan, as it was before them."""
    standing = [one for one in still_standing(plan, followed.record.failed_fixes) if one.may_go_back]
    if not standing:
        return []
    note = "Puts back what was changed and did not help; it mends nothing by itself."
    restart = followed.status.state == "finished"
    return [Fix({one.key: one.before for one in standing}, note, restart, sure=False)]


def _changes(plan: Plan, change: Mapping[str, Any]) -> bool:
    try:
        return any(plan.get(key) != value for key, value in change.items())
    except PlanError:
        return False


def words(plan: Plan, change: Mapping[str, Any]) -> str:
    """`training.batch_size 8 → 4, training.accumulation 1 → 2`."""
    return ", ".join(f"{key} {value_text(plan.get(key))} → {value_text(value)}" for key, value in change.items())


def ways_of(run: Run, fixes: Sequence[Fix]) -> list[Continuation | None]:
    """How the run would go on with each; None where a value does not fit into the plan. Slow: for a thread."""
    course = read_course(run)
    return [_way(run, fix, course) for fix in fixes]


def _way(run: Run, fix: Fix, course: Course) -> Continuation | None:
    try:
        return continuation(run, fix.change, restart=fix.restart, sound=fix.sound, course=course)
    except PlanError:
        return None


def start_words(way: Continuation | None, running: bool) -> str:
    """`goes on from step 40`: beside a fix in the list."""
    if way is None or way.start == "anew":
        return "starts anew"
    if running and not way.spoilt:
        return "goes on" if way.start == "checkpoint" else "from its weights"
    return f"goes on from step {way.from_step}" if way.start == "checkpoint" else f"from step {way.from_step}'s weights"


def applicable(followed: Followed) -> list[tuple[Fix, Continuation | None]]:
    """The fixes that can be applied in the run's present state, each with how it would go on. Slow: for a thread."""
    fixes, state = fixes_of(followed), followed.status.state
    return [
        (fix, way)
        for fix, way in zip(fixes, ways_of(followed.run, fixes), strict=True)
        if way is None or may_begin(state, way.start, longer=way.longer)
    ]
