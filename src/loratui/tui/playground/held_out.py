"""The rows that a plan held out: read once, and taken one after the other."""

from __future__ import annotations

import asyncio

from loratui.core.plan import Plan
from loratui.tui.playground.conversation import prompt_of
from loratui.worker.questions import Question, held_out_questions


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
