"""Held-out rows: asked one by one beside the written answer, scored by number, and where they differ."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.core.plan import Plan
from loratui.format import harmless
from loratui.tui.playground.conversation import prompt_of
from loratui.workers.questions import Question, held_out_questions

if TYPE_CHECKING:
    from loratui.tui.playground.answers import Answers

SCORED_ROWS = 50
"""How many rows are proposed to be scored."""


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
    def unread(self) -> bool:
        """Whether the next look at the rows has to read files."""
        return self._rows is None

    @property
    def number(self) -> int:
        """Number of the row that was taken last, from 1; 0: none."""
        return self._place + 1

    async def rows(self) -> list[Question]:
        """The rows. Raises LoratuiError where they cannot be read."""
        if self._rows is None:
            self._rows = [] if self._plan is None else await asyncio.to_thread(held_out_questions, self._plan)
        return self._rows

    async def next_row(self) -> Question:
        """The next row; after the last the first again. Ask only where there are rows. Raises LoratuiError."""
        rows = await self.rows()
        self._place = (self._place + 1) % len(rows)
        return rows[self._place]

    def row_of(self, text: str) -> Question | None:
        """The row that was taken last, where `text` is still what it asks."""
        row = self._rows[self._place] if self._rows and self._place >= 0 else None
        return row if row is not None and prompt_of(row) == text else None


LONGEST = 20_000
"""Characters of each text that are compared; the rest is cut with a word."""


def pieces(expected: str, answer: str) -> list[tuple[str, str]]:
    """The two texts as one: ("same" | "missing" | "extra", text), in order. Nothing of either is lost."""
    wanted, given = _words(expected), _words(answer)
    found: list[tuple[str, str]] = []
    for kind, a, b, c, d in SequenceMatcher(None, wanted, given, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(("same", "".join(wanted[a:b])))
            continue
        if b > a:
            found.append(("missing", "".join(wanted[a:b])))
        if d > c:
            found.append(("extra", "".join(given[c:d])))
    return found


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


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)


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


@dataclass(slots=True)
class Score:
    """Counts of one side. ROUGE-L is Google's rouge_score, as the training's evaluation uses it; a share, 0 to 1."""

    rows: int = 0
    equal: int = 0
    rouge_sum: float = 0.0
    _scorer: Any = None

    def add(self, answer: str, expected: str) -> None:
        """Count one answer. Slow the first time (the library is loaded): for a thread."""
        if self._scorer is None:
            from rouge_score.rouge_scorer import RougeScorer

            self._scorer = RougeScorer(["rougeL"], use_stemmer=False)
        self.rows += 1
        self.equal += answer.strip() == expected.strip()
        self.rouge_sum += float(self._scorer.score(expected, answer)["rougeL"].fmeasure)

    @property
    def exact_match(self) -> float:
        """Share of the answers that equal the written ones."""
        return self.equal / self.rows if self.rows else 0.0

    @property
    def rouge_l(self) -> float:
        """Mean ROUGE-L F-measure."""
        return self.rouge_sum / self.rows if self.rows else 0.0


def told(scores: Mapping[str, Score]) -> str:
    """`base exact match 0 %, ROUGE-L 0.21; adapter exact match 96 %, ROUGE-L 0.99`."""
    return "; ".join(
        f"{side} exact match {score.exact_match:.0%}, ROUGE-L {score.rouge_l:.2f}" for side, score in scores.items()
    )


async def score_rows(
    rows: Sequence[Question],
    answers: Answers,
    ask: Callable[[Question], Awaitable[object]],
    tell: Callable[[str], None],
) -> dict[str, Score]:
    """Ask rows one after the other until one is stopped or a side fails (its pane says why); the counts of each side.

    ask: puts a row to all sides and returns when they have answered. tell: told how far it is after each row.
    """
    scores = {side: Score() for side in answers.sides}
    for done, row in enumerate(rows, start=1):
        await ask(row)
        if any(view.matches is None for view in answers.views):
            break
        for view in answers.views:
            await asyncio.to_thread(scores[view.side].add, view.text, row.expected)
        tell(f"{done} of {len(rows)} held-out rows: {told(scores)} … esc stops.")
    return scores
