"""The runs as lines of a list, and the one under the cursor in more words."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from textual.content import Content

from loratui.core.plan import Plan
from loratui.format import age, loss_text, one_line
from loratui.paths import home_short
from loratui.runs.listing import RunSummary
from loratui.tui.common.run_names import shortened, told_apart
from loratui.tui.common.text import wrap
from loratui.tui.home.differences import KIN, differences, short_label
from loratui.tui.home.reading import BAD, GLIMPSE_POINTS, Line, held_against
from loratui.tui.training.history import sparkline
from loratui.tui.training.run_state import LOOKS

AGE_CELLS = 10
STATE_CELLS = 13
"""`● evaluating`, the longest, and a blank."""
FIGURE_CELLS = 9
LEAST_APART, HEAD_APART = 17, 11
"""Columns that what tells runs apart keeps where it has so much to say (`rate 1.25e-4 +7`, whole), and those of its
head.
"""
LEAST_NAME = 16
"""Columns that a name keeps."""
SHORT_CURVES = (10, 8)
"""Columns of a course beside long names."""
MORE_LOOKS = {word: ("✗", word, "$error") for word in ("diverged", "spoilt")}


def look_of(state: str) -> tuple[str, str, str]:
    """Glyph, word and colour of a state."""
    return LOOKS.get(state) or MORE_LOOKS.get(state) or ("?", state, "$foreground")


@dataclass(frozen=True)
class Cells:
    """Columns that each part of a line takes; 0: it is left out."""

    name: int
    done: int
    bar: int
    loss: int
    curve: int
    apart: int


def cells(width: int, longest: int = 0, apart: int = LEAST_APART) -> Cells:
    """How a line of this width is divided: what tells runs apart gets what the figures leave.

    longest: characters of the longest name, which is told whole where there is room for it and some differences; its
    course becomes shorter for it. apart: columns that the longest first difference wants, 0 where
    there is none.
    """
    bar = 10 if width >= 116 else 0
    loss = FIGURE_CELLS if width >= 90 else 0
    whole = GLIMPSE_POINTS + 2 if width >= 100 else 0
    done = bar + 6 if width >= 60 else 0
    left = width - STATE_CELLS - done - loss - FIGURE_CELLS - 2 - AGE_CELLS
    least = min(LEAST_APART, max(HEAD_APART, apart)) if apart else 0
    shorter = (curve for curve in (whole, *(SHORT_CURVES if whole else ())) if longest + 2 <= left - curve - least)
    curve = next(shorter, whole)
    left -= curve
    name = min(36, max(LEAST_NAME, left // 2 if width >= 100 else left * 3 // 5))
    name = min(name, max(LEAST_NAME, left - least))
    name = max(name, min(longest + 2, left - least))
    apart = left - name if left - name >= HEAD_APART else 0
    return Cells(left - apart, done, bar, loss, curve, apart)


def name_cells(width: int, longest: int, apart: int = LEAST_APART) -> int:
    """Columns of a name in a line."""
    return cells(width, longest, apart).name - 2


def heading(width: int, longest: int = 0, apart: int = LEAST_APART, *, alone: bool = False) -> str:
    """The columns' names over `row`; both as `cells` takes them. alone: one run differs from nothing."""
    part = cells(width, longest, apart)
    differs = ("made of" if alone else "differs in") if part.apart else ""
    loss = f"{'loss':>{part.loss}}" if part.loss else ""
    course = f"{'course':<{part.curve}}" if part.curve else ""
    done = f"{'done':<{part.done}}" if part.done else ""
    return (
        f"{'state':<{STATE_CELLS}}{'run':<{part.name}}{done}{loss}{'held-out':>{FIGURE_CELLS}}  "
        f"{course}{differs:<{part.apart}}"[: width - AGE_CELLS]
        + f"{'begun':>{AGE_CELLS}}"
    )


def row(
    line: Line,
    width: int,
    apart: Sequence[str] = (),
    *,
    marked: bool = False,
    now: float | None = None,
    longest: int = 0,
    room_apart: int = LEAST_APART,
    shorts: Mapping[str, str] | None = None,
) -> Content:
    """One run in one line: state, name, progress, last loss, best held-out loss, its course, what sets it apart (as
    much of it as there is room for), and when it was begun. room_apart: as `cells` takes it. shorts: the names as
    `told_apart` shortens them.
    """
    part = cells(width, longest, room_apart)
    short = shorts or told_apart([one_line(line.summary.name)], name_cells(width, longest, room_apart))
    summary, status = line.summary, line.summary.status
    glyph, word, color = look_of(line.state)
    share = min(1.0, status.step / status.total) if status.total else 0.0
    full = round(share * part.bar)
    loss = line.losses[-1] if line.losses else status.loss
    best = line.outcome.best
    passed = max(0.0, (time.time() if now is None else now) - summary.created) if summary.created else 0.0
    name = short[one_line(summary.name)]
    title = f"◆ {shortened(name, part.name - 4)}" if marked else name
    parts: list[tuple[str, str] | str] = [
        (f"{f'{glyph} {word}':<{STATE_CELLS}}", color),
        (f"{title:<{part.name}}", "bold"),
        ("█" * full, color),
        ("·" * (part.bar - full), "$border-blurred"),
        (f" {share:4.0%} " if part.done else "", "$text-muted"),
        (f"{loss_text(loss):>{part.loss}}" if part.loss else "", "$text-muted"),
        (f"{loss_text(best.loss if best else None):>{FIGURE_CELLS}}  ", "$foreground"),
        (f"{sparkline(_thinned(line.losses, part.curve - 2)):<{part.curve}}" if part.curve else "", "$accent"),
        (f"{_fitting(apart, part.apart - 2):<{part.apart}}" if part.apart else "", "$text-muted"),
    ]
    parts.append((f"{age_words(passed):>{AGE_CELLS}}", "$text-muted"))
    return Content.assemble(*parts)


def _thinned(losses: Sequence[float], most: int) -> Sequence[float]:
    """The losses, or of too many the means of two or three that follow each other."""
    step = max(1, math.ceil(len(losses) / most))
    parts = [losses[max(0, end - step) : end] for end in range(len(losses), 0, -step)]
    return [sum(part) / len(part) for part in reversed(parts)]


def _fitting(words: Sequence[str], width: int) -> str:
    """As many of the words as there is room for, from the first on, and how many are left out: `rate 5e-4 +3`; each
    whole, but for a first one that has no room.
    """
    for shown in range(len(words), 0, -1):
        if len(text := " · ".join(words[:shown]) + left_out(len(words) - shown)) <= width:
            return text
    rest = left_out(len(words) - 1)
    return one_line(words[0], max(1, width - len(rest))) + rest if words else ""


def left_out(words: int) -> str:
    """What stands behind some words where so many more found no room."""
    return f" +{words}" if words > 0 else ""


def age_words(seconds: float) -> str:
    """How long ago; the seconds are not counted: a list that stands still is not repainted."""
    return "just now" if seconds < 60 else f"{age(seconds)} ago"


def made_of(summary: RunSummary) -> str:
    """What was trained by what method from what, or why that cannot be said."""
    plan = summary.plan
    words = f"{plan.model.id} · {plan.method.kind} · {plan.dataset.named}" if plan else summary.problem
    return f"not made here · {words}" if summary.foreign else words


def where(line: Line, other: RunSummary | None, width: int) -> str:
    """The run in one line: what it is made of, and what a person should know of it, or what was set otherwise than in
    `other`.
    """
    summary = line.summary
    bad = line.state in BAD
    told = summary.words if bad or not summary.status.message else ""
    words = made_of(summary) + (f"  ·  {' and '.join(line.taken)}" if line.taken else "")
    if told and summary.plan:
        return f"{words}  {'✗' if bad else '▲'} {told}"
    if summary.plan is None or other is None or other.plan is None:
        return words
    head = f"{words}  ·  against {shortened(one_line(other.name), 32)}: "
    changes = [_change_words(*change) for change in differences(other.plan, summary.plan)]
    return head + _fitting(changes, width - len(head)) if changes and len(head) + len(changes[0]) <= width else words


def other_of(line: Line, lines: Sequence[Line], marked: RunSummary | None) -> RunSummary | None:
    """The run that this one is held against: the marked one, else an older one."""
    if marked is not None and marked.name != line.summary.name:
        return marked
    against = held_against(lines).get(line.summary.name)
    return against.summary if against is not None else None


def detail(line: Line, other: RunSummary | None, width: int, height: int) -> Content:
    """The run under the cursor: outcome, figures, what it was made of, and what was set otherwise than in `other`."""
    summary, status, plan = line.summary, line.summary.status, line.summary.plan
    glyph, word, color = look_of(line.state)
    best = line.outcome.best
    told = [f"step {status.step:,} of {status.total:,}"] if status.total else []
    if best is not None:
        many = f", best of {line.outcome.evaluations:,}" if line.outcome.evaluations > 1 else ""
        told.append(f"held-out {loss_text(best.loss)} at step {best.step:,}{many}")
    elif line.outcome.base is not None:
        told.append(f"held-out {loss_text(line.outcome.base.loss)} before it, not since")
    taken = f", {' and '.join(line.taken)}" if line.taken else ""
    head = [(f"{glyph} {word}", f"bold {color}"), (taken, "$foreground")]
    if told and len(f"{word}{taken}     {' · '.join(told)}") <= width:
        told = [" · ".join(told)]
    lines = [Content.assemble(*head, (f"   {told[0]}" if told else "", "$foreground"))]
    lines += [Content(one_line(words, max(20, width))) for words in told[1:]]
    made = wrap(one_line(home_short(made_of(summary)), 2 * width), max(20, width))
    lines += [Content(text).stylize("$text-muted") for text in made[:2]]
    words = summary.words if plan else ""
    if words:
        lines += [Content(text).stylize(color) for text in wrap(one_line(words, 400), width)[:3]]
    if plan is not None and other is not None and other.plan is not None:
        lines.append(Content(""))
        lines += _against(plan, other.name, other.plan, width, max(1, height - len(lines)))
    return Content("\n").join(lines[:height])


def _against(plan: Plan, name: str, other: Plan, width: int, height: int) -> list[Content]:
    """What was set otherwise than in another run, old → new, in as many lines as there are."""
    changes = differences(other, plan)
    other_name = shortened(one_line(name), max(10, width - 10))
    head = Content.assemble(("against ", "$text-muted"), (other_name, "bold $text-muted"))
    if not changes:
        return [head, Content("the same settings").stylize("$text-muted")][:height]
    if height >= len(changes) + 1:
        cells = max(len(_short(key)) for key, _, _ in changes) + 2
        room = max(8, (width - cells - 3) // 2)
        return [
            head,
            *(
                Content.assemble(
                    (f"{_short(key):<{cells}}", "$text-muted"),
                    (one_line(_last(key, old), room), "$foreground"),
                    (" → ", "$text-muted"),
                    (one_line(_last(key, new), room), "bold $foreground"),
                )
                for key, old, new in changes
            ),
        ]
    words = [_change_words(*change) for change in changes]
    lines: list[str] = [""]
    for number, word in enumerate(words):
        left = len(words) - number
        longer = f"{lines[-1]} · {word}" if lines[-1] else word
        if len(longer) <= width - (14 if len(lines) == max(1, height - 1) else 0):
            lines[-1] = longer
        elif len(lines) < max(1, height - 1):
            lines.append(one_line(word, width))
        else:
            lines[-1] += f" · {left} more (=)"
            break
    return [head, *(Content(line) for line in lines)][:height]


def _change_words(key: str, old: str, new: str) -> str:
    return f"{_short(key)} {_last(key, old)} → {_last(key, new)}"


def _short(key: str) -> str:
    if key in KIN:
        return key.partition(".")[0]
    return short_label(key)


def _last(key: str, text: str) -> str:
    return PurePath(text).name if key in KIN else text
