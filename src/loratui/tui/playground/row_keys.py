"""What the playground does with held-out rows: one by one, from the list beneath the answers, or many for a score."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

from textual import on, work
from textual.content import Content

from loratui.core.errors import LoratuiError
from loratui.core.generation import GenerationSettings
from loratui.evaluation.report import score_words
from loratui.tui.playground.answers import Answers, ExpectedLine, RoomChanged
from loratui.tui.playground.ballot import Ballot
from loratui.tui.playground.beneath import Asked, Beneath, Rows
from loratui.tui.playground.conversation import prompt_of
from loratui.tui.playground.evaluation import EvaluationScreen, evaluate, how_many
from loratui.tui.playground.held_out import HeldOut
from loratui.tui.playground.run_behind import RunBehindScreen
from loratui.tui.playground.session import Session
from loratui.tui.playground.who import who_answers
from loratui.workers.target import Target

SPARE_ROWS = 4
"""Rows that growing answers get beside those that they need."""


class RowsScreen(RunBehindScreen):
    """The rows, the panel beneath the answers that lists them, and what the panes tell before the first question."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = Answers()
        """The panes."""
        self.settings = GenerationSettings()
        self.held_out = HeldOut()
        self.ballot = Ballot()
        self.beneath = Beneath()
        self.expected = ExpectedLine()
        self._asking = False
        self._score_said = Content()
        """What was last said of a score."""

    @property
    def session(self) -> Session:
        """What is asked, and its worker."""
        raise NotImplementedError

    def _asks(self) -> AbstractContextManager[None]:
        """While answers grow."""
        raise NotImplementedError

    async def _is_ready(self, then: str) -> bool:
        """Wait until the model can be asked; whether it can."""
        raise NotImplementedError

    # One by one

    def action_row(self) -> None:
        """The next held-out row as the prompt, with its written answer; or why there is none now."""
        if self.held_out.there and not self._asking:
            self._next_row()
        else:
            self.say(self.session.why_not(self._asking) or "There is no run whose rows were held out.", "warning")

    @work(exclusive=True, group="row", exit_on_error=False)
    async def _next_row(self) -> None:
        if await self.held_out.told(self.say):
            await self._propose(self.held_out.number)

    @on(Rows.Taken)
    def _row_taken(self, event: Rows.Taken) -> None:
        self._take_row(event.place)

    @work(exclusive=True, group="row", exit_on_error=False)
    async def _take_row(self, place: int) -> None:
        await self._propose(place)

    async def _propose(self, place: int) -> None:
        """The row of this place, after the last the first again, as the prompt."""
        rows = await self.held_out.rows()
        self.prompt.put(prompt_of(self.held_out.take(place % len(rows))))
        self.prompt.focus()
        self.beneath.rows.show(rows)
        self.say(f"Held-out row {self.held_out.number} of {len(rows)}. enter asks it.")

    @on(Asked.Again)
    def _again_wanted(self, event: Asked.Again) -> None:
        self.prompt.put(event.question)
        self.prompt.focus()

    # Many of them

    def action_score(self) -> None:
        """Ask a number of held-out rows, and show what `loratui evaluate` would; or say why that cannot be now."""
        if self._asking:
            self.say(self.session.why_not(True), "warning")
        elif self.ballot.blind:
            key = "esc, then b" if self.prompt.has_focus else "b"
            self.say(f"A score tells whose answers are whose: {key} ends the blind comparison first.", "warning")
        else:
            self._score()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def _score(self) -> None:
        document = None
        with self._asks():
            if await self._is_ready("you say how many held-out rows are asked"):
                rows = await self.held_out.told(self.say)
                if rows and (count := await how_many(self.app, len(rows))):
                    document = await evaluate(self.session, self.answers.sides, count, self.settings, self._tell_score)
        if document is not None:
            self.say("")
            words = score_words(document)
            self.beneath.rows.scored(words)
            await self.app.push_screen_wait(EvaluationScreen(document))
            if words and not self.beneath.has_class("-shown"):
                self.say(f"{words[0].upper()}{words[1:]}.")

    def _tell_score(self, sentence: str, *, again: bool = False) -> None:
        """How far the score is; the passing time leaves a notice alone that came meanwhile."""
        if not again or self._said == self._score_said:
            self.say(sentence)
            self._score_said = self._said

    # What stands there before a question, and beneath the answers

    @on(RoomChanged)
    def _room_changed(self) -> None:
        self.share_with_beneath()

    def share_with_beneath(self, *, grown: bool = False) -> None:
        """Show the panel where the answers leave room for it. What was asked before may tell whose answers wait for a
        vote.

        grown: answers grow; they take more only once they need it, and then some rows at a time.
        """
        answered = self._asking or self.answers.answered
        closed = answered and self.ballot.open
        if grown and not closed and not (self.beneath.has_class("-shown") and self.answers.overflows):
            return
        free = self.prompt.region.y - self.answers.region.y - self.expected.rows
        rows = self.beneath.leaves(free, self.answers.needed + SPARE_ROWS * self._asking) if not closed else None
        shown = rows is not None
        focused = self.focused
        if not shown and focused is not None and self.beneath in focused.ancestors:
            self.answers.focus_shown()
        target = self.session.target
        if shown and not self.beneath.has_class("-shown") and self.session.settled and target is not None:
            self.tell_about(target)  # its list was not filled while nobody saw it
        self.beneath.choose()
        self.beneath.set_class(shown, "-shown")
        self.answers.take_rows(rows)

    @work(exclusive=True, group="about", exit_on_error=False)
    async def tell_about(self, target: Target) -> None:
        """Tell who answers, and list the rows where that costs next to nothing."""
        try:
            self.answers.introduce(await asyncio.to_thread(who_answers, target))
            self.share_with_beneath()
            if not self.held_out.there:
                self.beneath.rows.say("What is asked was not trained here: no rows were held out.")
            elif not self.beneath.has_class("-shown"):
                return
            elif not await self.held_out.costs_little():
                self.beneath.rows.leave_unread()
            elif rows := await self.held_out.rows():
                self.beneath.rows.show(rows)
            else:
                self.beneath.rows.say("The plan held no rows out.")
        except LoratuiError as error:
            self.beneath.rows.say(error.sentence)
