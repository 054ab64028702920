"""A blind comparison: sides in random order, one vote a question, and the tally that is kept in the run."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from loratui.runs.directory import Run
from loratui.runs.votes import TIE, Vote, add_vote, tally
from loratui.tui.playground.conversation import Conversation


class Ballot:
    """Off, open (nobody knows who answers), or closed by a vote until the next question opens it again."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._open = False

    @property
    def blind(self) -> bool:
        """Whether answers are compared blind."""
        return bool(self._order)

    @property
    def open(self) -> bool:
        """Whether a vote is still to come: names are hidden."""
        return self._open

    @property
    def order(self) -> tuple[str, ...]:
        """The sides as they are shown: the first is number 1."""
        return tuple(self._order)

    @property
    def keys(self) -> str:
        """How one votes, in words."""
        numbers = [str(number) for number in range(1, len(self._order) + 1)]
        return f"{', '.join(numbers[:-1])} or {numbers[-1]}, 0 for none."

    def words(self, *, known: bool, again: bool) -> str:
        """What one does now. known: answers stood here under names. again: their question is in the field."""
        away = "the answers with names are put away; " if known else ""
        first = "i, then enter, asks their question anew" if again else "i writes a question"
        return f"Blind: {away}{first}; then you vote for the better answer: {self.keys}"

    def begin(self, sides: Sequence[str]) -> tuple[str, ...]:
        """Hide these sides in random order."""
        self._order = random.sample(list(sides), len(sides))
        self._open = True
        return self.order

    def end(self) -> None:
        """Names are shown from now on."""
        self._order, self._open = [], False

    def cast(self, number: int, asked: Conversation, answers: Mapping[str, str], run: Run | None) -> str:
        """Vote for this number (0: none is better) and keep it in the run; whose answer it was, and the votes so far.

        Writes a file: for a thread. RunError where the vote cannot be kept; the ballot is open then.
        """
        winner = self._order[number - 1] if number else TIE
        words = f"{number} was {winner}." if number else "No answer was better."
        if run is not None:
            add_vote(run, Vote(asked.asked, self.order, winner, asked.shared(self._order), dict(answers)))
            counts = tally(run)
            words += " Votes: " + ", ".join(f"{side or 'none'} {count}" for side, count in counts.items()) + "."
        self._open = False
        return words
