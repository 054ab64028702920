"""A conversation in the playground: each side goes on from its own answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Turn:
    """One question, and what each side answered to it."""

    question: str
    answers: dict[str, str]


@dataclass(slots=True)
class Talk:
    """What was said so far. system: comes first in every conversation; empty: none."""

    system: str = ""
    turns: list[Turn] = field(default_factory=list)

    def messages(self, side: str, question: str) -> list[dict[str, Any]]:
        """Everything that a side is shown for its next answer. A side that came later is told another side's answers."""
        said: list[dict[str, Any]] = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            answer = turn.answers.get(side, next(iter(turn.answers.values()), ""))
            said += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": answer}]
        return [*said, {"role": "user", "content": question}]

    def histories(self, sides: Iterable[str], question: str) -> dict[str, list[dict[str, Any]]]:
        """The messages of every side; empty where all are shown the same."""
        return {side: self.messages(side, question) for side in sides} if self.turns else {}

    def take_back(self) -> str:
        """Forget the last turn; its question, or an empty text where there is none."""
        return self.turns.pop().question if self.turns else ""

    def clear(self) -> None:
        """Begin anew; the system prompt stays."""
        self.turns.clear()
