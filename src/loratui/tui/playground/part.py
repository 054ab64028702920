"""What the parts of the playground share: what is asked, of whom, and how an answer is had."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence

from textual.content import Content
from textual.widgets import Static

from loratui.core.generation import GenerationSettings
from loratui.format import harmless, one_line
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.talk import Talk
from loratui.tui.screens.step import StepScreen
from loratui.worker.client import PlaygroundClient
from loratui.worker.protocol import ADAPTER, BASE, Rendered
from loratui.worker.questions import Question
from loratui.worker.target import Target

NOTES = {
    BASE: "Here the base model will answer, as it was before the training.",
    ADAPTER: "Here the adapter will answer, on the same base.",
}
"""What stands in a pane before the first question."""


class PlaygroundPart(StepScreen):
    """State of the playground, and what every part may use of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = GenerationSettings()
        self.target: Target | None = None
        self.client: PlaygroundClient | None = None
        self.talk = Talk()
        self._asking = False
        self._question: Question | None = None
        """The held-out row that stands in the prompt or was asked last."""
        self._question_text = ""
        self._rows: list[Question] | None = None
        self._row = -1
        self._sent_prompts: list[Rendered] = []
        self._blind: list[str] | None = None
        """Sides in the order in which a blind comparison shows them; None where names are shown."""
        self._settled = asyncio.Event()
        """Set once it is known what is asked, and it is loaded or cannot be."""

    @property
    def views(self) -> list[AnswerView]:
        """The panes, in order."""
        return list(self.query(AnswerView))

    def _names(self) -> list[str]:
        """Everyone who can answer: the base, the result, and the run's checkpoints."""
        return [*self.target.sides, *(name for name in self.target.checkpoints if name not in self.target.sides)] if self.target else []

    async def _put_sides(self, sides: Sequence[str], titles: Mapping[str, str]) -> None:
        """One pane for each side, in order."""
        holder = self.query_one("#answers")
        await holder.remove_children()
        await holder.mount(*(AnswerView(side, titles.get(side, ""), NOTES.get(side, f"Here {side} will answer.")) for side in sides))
        self._show_tabs()

    def _show_question(self, text: str, question: Question | None) -> None:
        self._question_text = text
        turn = f"{len(self.talk.turns) + 1} " if self.talk.turns and question is None else ""
        self.query_one("#question", Static).update(
            Content.assemble((f"{turn}❯ ", "bold $accent"), (clipped(text, 3 * max(20, self.size.width - 6)), "$foreground"))
        )
        expected = self.query_one("#expected", Static)
        expected.display = question is not None and bool(question.expected)
        if question is not None:
            expected.update(Content.assemble(("expected  ", "$text-muted"), (clipped(question.expected, 3 * max(20, self.size.width - 14)), "$success")))

    @abstractmethod
    def _show_tabs(self) -> None:
        """Lay the panes out anew."""

    @abstractmethod
    def _show_settings(self) -> None:
        """Say how answers are generated."""

    @abstractmethod
    def _ask(self, text: str) -> object:
        """Ask all sides."""

    @abstractmethod
    async def _stream(self, text: str, question: Question | None) -> bool:
        """Ask all sides and paint what they answer; whether at least one answered."""


def prompt_of(question: Question) -> str:
    """The last thing that a row says before its answer."""
    if question.conversation is None:
        return ""
    messages = question.conversation.messages
    return harmless(messages[-1].content if messages else question.conversation.text, 100_000)


def clipped(text: str, longest: int) -> str:
    """On one line, cut."""
    return one_line(text, longest)
