"""The lines around the answers: the question above them, and below them the answer that was expected."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from loratui.format import one_line
from loratui.workers.questions import Question

ROWS = 3
"""Rows of the screen that a question or an expected answer may take."""


class QuestionLine(Static):
    """The question that the answers belong to."""

    DEFAULT_CSS = """
    QuestionLine { height: auto; max-height: 3; margin: 0; }
    .-tall QuestionLine { margin: 1 0 0 0; }
    """
    SCOPED_CSS = False

    def __init__(self) -> None:
        super().__init__(id="question")

    def put(self, text: str, turn: int) -> None:
        """Show this question. turn: its number in the conversation; 0: it stands alone."""
        room = ROWS * max(20, self.screen.size.width - 6)
        number = f"{turn} " if turn else ""
        self.update(Content.assemble((f"{number}❯ ", "bold $accent"), (one_line(text, room), "$foreground")))


class ExpectedLine(Static):
    """The answer that was written for a held-out row; nothing where a person asks."""

    DEFAULT_CSS = "ExpectedLine { height: auto; max-height: 3; display: none; }"

    def __init__(self) -> None:
        super().__init__(id="expected")

    def put(self, row: Question | None) -> None:
        """Show what this row expects."""
        self.display = row is not None and bool(row.expected)
        if row is not None:
            room = ROWS * max(20, self.screen.size.width - 14)
            self.update(Content.assemble(("expected  ", "$text-muted"), (one_line(row.expected, room), "$success")))
