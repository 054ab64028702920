"""Held-out rows: asked one by one beside the written answer, and where the two differ."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.core.errors import LoratuiError
from loratui.core.mix import sections_of
from loratui.core.plan import Plan
from loratui.data.find import find_planned, lies_here
from loratui.format import harmless
from loratui.tui.playground.conversation import prompt_of
from loratui.workers.questions import Question, held_out_questions

READ_UNASKED_BYTES = 4 << 20
"""Rows in files of so many bytes are read before anybody asks for one: that takes a moment."""


class HeldOut:
    """Rows that the training never saw."""

    def __init__(self, plan: Plan | None = None) -> None:
        self._plan = plan
        self._rows: list[Question] | None = None
        self._place = -1

    @property
    def there(self) -> bool:
        """Whether there is a plan that may have held rows out."""
        return self._plan is not None

    @property
    def number(self) -> int:
        """Number of the row that was taken last, from 1; 0: none."""
        return self._place + 1

    async def rows(self) -> list[Question]:
        """The rows. Raises LoratuiError where they cannot be read."""
        if self._rows is None:
            self._rows = [] if self._plan is None else await asyncio.to_thread(held_out_questions, self._plan)
        return self._rows

    async def told(self, say: Callable[..., None]) -> list[Question]:
        """The rows; none where there are none or they cannot be read, which is told."""
        if self._rows is None:
            say("Reading the held-out rows …")
        try:
            rows = await self.rows()
        except LoratuiError as error:
            say(error.sentence, "error")
            return []
        say("" if rows else "The plan held no rows out.", "warning")
        return rows

    async def costs_little(self) -> bool:
        """Whether the rows are known, or lie in files on this disk that are read in a moment. Raises LoratuiError."""
        return self._rows is not None or (self._plan is not None and await asyncio.to_thread(_is_small, self._plan))

    def take(self, place: int) -> Question:
        """The row of this place, from 0. Ask only where the rows are known."""
        assert self._rows is not None
        self._place = place
        return self._rows[place]

    def row_of(self, text: str) -> Question | None:
        """The row that was taken last, where `text` is still what it asks."""
        row = self._rows[self._place] if self._rows and self._place >= 0 else None
        return row if row is not None and prompt_of(row) == text else None


def _is_small(plan: Plan) -> bool:
    """Whether a plan's rows lie on this disk and are few. Raises LoratuiError."""
    sections = sections_of(plan.dataset)
    here = all(lies_here(section.path) for section in sections)
    return here and sum(find_planned(section).size_bytes for section in sections) <= READ_UNASKED_BYTES


LONGEST = 20_000
"""Characters of each text that are compared; the rest is cut with a word."""


CUTS = (re.compile(r"\w+|\s+|[^\w\s]"), re.compile(r"\S+\s*|\s+"), re.compile(r"[^\n]*\n|[^\n]+"))
"""What texts are cut into to be compared: words, words with the space behind them, lines."""
MOST_PAIRS = 200_000
"""Pairs of equal pieces up to which two texts are compared: a tenth of a second. Beyond them coarser pieces are."""


def pieces(expected: str, answer: str) -> list[tuple[str, str]]:
    """The two texts as one: ("same" | "missing" | "extra", text), in order. Nothing of either is lost. Where long texts
    differ far, they are compared by coarser pieces.
    """
    head, wanted, given, tail = _cut(expected, answer)
    found: list[tuple[str, str]] = [("same", head)] if head else []
    for kind, a, b, c, d in SequenceMatcher(None, wanted, given, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(("same", "".join(wanted[a:b])))
            continue
        if b > a:
            found.append(("missing", "".join(wanted[a:b])))
        if d > c:
            found.append(("extra", "".join(given[c:d])))
    return [*found, ("same", tail)] if tail else found


def _cut(expected: str, answer: str) -> tuple[str, list[str], list[str], str]:
    """How both begin, the pieces of each from where they differ, and how both end."""
    for cut in CUTS:
        wanted, given = cut.findall(expected), cut.findall(answer)
        before = _alike(wanted, given)
        head, wanted, given = "".join(wanted[:before]), wanted[before:], given[before:]
        after = _alike(wanted[::-1], given[::-1])
        tail = "".join(wanted[len(wanted) - after :])
        wanted, given = wanted[: len(wanted) - after], given[: len(given) - after]
        counts = Counter(given)
        if sum(number * counts[text] for text, number in Counter(wanted).items()) <= MOST_PAIRS:
            return head, wanted, given, tail
    return "", [expected], [answer], ""


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many pieces both begin with."""
    differ = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))


def difference(expected: str, answer: str) -> Content:
    """`same [-missing-]{+too much+}`, coloured; harmless."""
    shown: list[tuple[str, str]] = []
    for kind, text in pieces(harmless(expected, LONGEST), harmless(answer, LONGEST)):
        if kind == "same":
            shown.append((text, "$foreground"))
        elif kind == "missing":
            shown.append((f"[-{text}-]", "$success"))
        else:
            shown.append((f"{{+{text}+}}", "$error"))
    return Content.assemble(*shown)


class DifferenceScreen(ModalScreen[None]):
    """Every side's answer against the expected one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,d,q", "leave", "Close", key_display="esc")]
    DEFAULT_CSS = """
    DifferenceScreen #panel { width: 90%; max-height: 90%; }
    DifferenceScreen VerticalScroll { height: auto; max-height: 100%; }
    DifferenceScreen .side { margin: 0 0 1 0; }
    """

    def __init__(self, expected: str, answers: Mapping[str, str]) -> None:
        super().__init__(classes="panel-over")
        self._expected, self._answers = expected, answers

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("expected and given")
            panel.border_subtitle = Content("[-only expected-] {+only given+} · esc closes")
            with VerticalScroll():
                yield Static(
                    Content.assemble(("expected\n", "bold $text-muted"), harmless(self._expected, LONGEST)),
                    classes="side",
                )
                for side, answer in self._answers.items():
                    same = answer.strip() == self._expected.strip()
                    words = ("  ✓ the same\n", "$success") if same else ("\n", "")
                    yield Static(
                        Content.assemble((harmless(side), "bold $accent"), words, difference(self._expected, answer)),
                        classes="side",
                    )

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)
