"""A conversation in the playground: each side goes on from its own answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from loratui.format import harmless
from loratui.workers.protocol import Rendered
from loratui.workers.questions import Question


@dataclass(frozen=True, slots=True)
class Turn:
    """One question, and what each side answered to it."""

    question: str
    answers: dict[str, str]


@dataclass(slots=True)
class Conversation:
    """What was said so far, and what was asked last."""

    system: str = ""
    """Comes first in every conversation; empty: none."""
    turns: list[Turn] = field(default_factory=list)
    asked: str = ""
    """The question that was asked last."""
    row: Question | None = None
    """The held-out row that was asked last; None where the last question was a person's own."""
    sent: list[Rendered] = field(default_factory=list)
    """What the sides were sent for it."""

    def ask(self, text: str, row: Question | None) -> None:
        """A question is put to all sides."""
        self.asked, self.row, self.sent = text, row, []

    def answered(self, answers: dict[str, str]) -> None:
        """The question that was asked last has these answers. A held-out row stands alone and is not gone on from."""
        if self.row is None:
            self.turns.append(Turn(self.asked, answers))

    def messages(self, side: str, question: str) -> list[dict[str, Any]]:
        """What a side is shown for its next answer. A side that came later is told another side's answers."""
        return [*self.told(side), {"role": "user", "content": question}]

    def told(self, side: str) -> list[dict[str, Any]]:
        """What a side was told and answered so far."""
        said: list[dict[str, Any]] = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            answer = turn.answers.get(side, next(iter(turn.answers.values()), ""))
            said += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": answer}]
        return said

    def histories(self, sides: Iterable[str], question: str) -> dict[str, list[dict[str, Any]]]:
        """The messages of every side; empty where all are shown the same."""
        return {side: self.messages(side, question) for side in sides} if self.turns else {}

    def shared(self, sides: Iterable[str]) -> list[dict[str, Any]]:
        """What all sides were asked last and have answered, as messages; empty where it was not the same for all."""
        if self.row is not None and self.row.conversation is not None:
            asked = self.row.conversation
            return [one.as_dict() for one in asked.messages] or [{"role": "user", "content": asked.text}]
        before = replace(self, turns=self.turns[:-1])
        told = [before.messages(side, self.asked) for side in sides]
        return told[0] if told and all(one == told[0] for one in told) else []

    def take_back(self) -> str:
        """Forget the last turn; its question, or an empty text where there is none."""
        return self.turns.pop().question if self.turns else ""

    def clear(self) -> None:
        """Begin anew; the system prompt stays."""
        self.turns.clear()

    def use_system(self, text: str) -> None:
        """Begin anew with another system prompt; empty: none."""
        self.system = text
        self.clear()


def prompt_of(row: Question) -> str:
    """The last thing that a row says before its answer."""
    if row.conversation is None:
        return ""
    messages = row.conversation.messages
    return harmless(messages[-1].content if messages else row.conversation.text, 100_000)
