"""Held-out rows: asked one by one beside the answer that was written for them, and scored by number."""

from __future__ import annotations

import asyncio

from textual import work

from loratui.core.errors import LoratuiError
from loratui.tui.playground.part import PlaygroundPart, prompt_of
from loratui.tui.playground.prompt_area import PromptArea
from loratui.tui.playground.score import Score, told
from loratui.tui.screens.ask_line import AskLineScreen
from loratui.worker.questions import Question, held_out_questions

SCORED_ROWS = 50
"""How many rows are proposed to be scored."""


class HeldOut(PlaygroundPart):
    """Rows that the training never saw."""

    async def _held_out(self) -> list[Question]:
        """The held-out rows, read once; none where they cannot be read, which is told."""
        plan = self.target.plan if self.target else None
        if self._rows is None and plan is not None:
            self.say("Reading the held-out rows …")
            try:
                self._rows = await asyncio.to_thread(held_out_questions, plan)
            except LoratuiError as error:
                self.say(error.sentence, "error")
                return []
            self.say("")
        if not self._rows:
            self.say("The plan held no rows out.", "warning")
        return self._rows or []

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_score(self) -> None:
        """Ask held-out rows, one after the other; count the answers that equal the written ones, and tell their ROUGE-L."""
        rows = [one for one in await self._held_out() if one.expected]
        if not rows or self._asking:
            return
        asked = await self.app.push_screen_wait(AskLineScreen(f"How many of {len(rows)} held-out rows?", "a number", str(min(SCORED_ROWS, len(rows)))))
        if not asked.isdecimal() or not int(asked):
            return
        rows = rows[: int(asked)]
        await self._settled.wait()
        self._asking = True
        self.refresh_bindings()
        scores = {view.side: Score() for view in self.views}
        try:
            for row in rows:
                self._show_question(prompt_of(row), row)
                await self._stream(prompt_of(row), row)
                if any(view.matches is None for view in self.views):
                    break  # stopped, or a side failed: its pane says why
                for view in self.views:
                    await asyncio.to_thread(scores[view.side].add, view.text, row.expected)
                done = next(iter(scores.values())).rows
                self.say(f"{done} of {len(rows)} held-out rows: {told(scores)} … esc stops.")
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        finally:
            self._asking = False
            self.refresh_bindings()
        done = next(iter(scores.values())).rows
        if done:
            self.say(f"{done} held-out rows: {told(scores)}.", "done" if done == len(rows) else "warning")

    @work(exclusive=True, group="row", exit_on_error=False)
    async def action_row(self) -> None:
        """The next held-out row as the prompt, with its written answer."""
        if not await self._held_out():
            return
        assert self._rows
        self._row = (self._row + 1) % len(self._rows)
        self._question = self._rows[self._row]
        prompt = self.query_one(PromptArea)
        prompt.put(prompt_of(self._question))
        prompt.focus()
        self.say(f"Held-out row {self._row + 1} of {len(self._rows)}. enter asks it.")
