"""Comparing blind: answers without names, votes, and the tally that is kept in the run."""

from __future__ import annotations

import asyncio
import random

from textual import work

from loratui.core.errors import LoratuiError
from loratui.runs.votes import TIE, add_vote, tally
from loratui.tui.playground.part import PlaygroundPart


class Comparing(PlaygroundPart):
    """Names come back with the vote."""

    @work(exclusive=True, group="columns", exit_on_error=False)
    async def action_blind(self) -> None:
        """Hide who answers, in random order; or show it again."""
        sides = [view.side for view in self.views]
        if self._blind is None:
            random.shuffle(sides)
            self._blind = sides
            await self._put_sides(sides, {})
            self._hide_names()
            self.say("Blind: ask something, then vote with 1, 2 or 3 for the better answer, 0 for none (esc leaves the prompt).")
        else:
            self._blind = None
            await self._put_sides([name for name in self._names() if name in sides], {})
            self.say("")
        self.talk.clear()
        self.refresh_bindings()

    def _hide_names(self) -> None:
        for number, view in enumerate(self.views, start=1):
            view.hide_name(str(number))

    @work(exclusive=True, group="columns", exit_on_error=False)
    async def action_vote(self, number: int) -> None:
        """Keep a vote, tell whose answer it was, and shuffle for the next question."""
        views = self.views
        if self._blind is None or number > len(views) or not any(view.text for view in views) or self.target is None:
            return
        winner = views[number - 1].side if number else TIE
        prompt = self._question_text
        words = "No answer was better." if not number else f"{number} was {winner}."
        if self.target.run is not None:
            try:
                await asyncio.to_thread(add_vote, self.target.run, prompt, [view.side for view in views], winner)
            except LoratuiError as error:
                self.say(error.sentence, "error")
                return
            counts = await asyncio.to_thread(tally, self.target.run)
            words += " Votes: " + ", ".join(f"{side or 'none'} {count}" for side, count in counts.items()) + "."
        who = ", ".join(f"{place} {view.side}" for place, view in enumerate(views, start=1))
        self.say(f"{words} ({who})", "done")
        random.shuffle(self._blind)
        await self._put_sides(self._blind, {})
        self._hide_names()
        self.talk.clear()
        self.query_one("#prompt").focus()
