"""Finding what there is to ask, and having it loaded once."""

from __future__ import annotations

import asyncio
import contextlib

from textual.content import Content
from textual.widgets import Static

from loratui.core.errors import LoratuiError
from loratui.format import one_line, size
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.part import PlaygroundPart
from loratui.worker.client import PlaygroundClient
from loratui.worker.protocol import ADAPTER, BASE
from loratui.worker.target import Target


class Loads(PlaygroundPart):
    """The base once, adapters on it."""

    async def _find_and_load(self, *wanted: str) -> None:
        from loratui.tui.playground.choose import choose_target

        self._say_target(Content("Looking for something to ask …").stylize("$text-muted"))
        try:
            target = await asyncio.to_thread(choose_target, *wanted)
        except LoratuiError as error:
            self.target = None
            self._say_target(Content(f"✗ {one_line(error.sentence, 300)}").stylize("$error"))
            self.query_one(f"#answer-{BASE}", AnswerView).say("There is nothing to ask yet. Train something first (step 6), or choose a model (step 2).")
            return
        self.target, self._rows, self._row, self._question = target, None, -1, None
        await self._show_sides(target)
        await self._load(target)

    async def _show_sides(self, target: Target) -> None:
        """One pane for each side, in order."""
        titles = {BASE: target.plan.model.id if target.plan else target.title, ADAPTER: target.result.name if target.result and target.result.name != ADAPTER else ""}
        self._blind = None
        self.talk.clear()
        await self._put_sides(target.sides, titles)

    async def _load(self, target: Target) -> bool:
        """Have the models loaded; False where that failed, which is told."""
        if self.client is None:
            from loratui.home import state_home

            log = state_home() / "playground.log"
            with contextlib.suppress(OSError):
                log.parent.mkdir(parents=True, exist_ok=True)
            self.client = PlaygroundClient(log if log.parent.is_dir() else None)
        client = self.client
        try:
            ready = await client.start(target.load, self._progress)
        except LoratuiError as error:
            self._say_target(Content(f"✗ {one_line(error.sentence, 400)}").stylize("$error"))
            return False
        held = f" · {size(ready.memory_bytes)} held" if ready.memory_bytes else ""
        note = f"  ▲ {target.note}" if target.note else ""
        template = "" if ready.chat_template else " · no chat template"
        self._say_target(Content.assemble(
            ("● ", "$success"), (one_line(target.title, 60), "bold $foreground"), (f"  {ready.device} {ready.dtype}{held}{template}", "$text-muted"), (one_line(note), "$warning"),
        ))
        return True

    def _progress(self, what: str) -> None:
        title = self.target.title if self.target else ""
        self._say_target(Content.assemble(("◌ ", "$accent"), (one_line(title, 60), "bold $foreground"), (f"  {one_line(what, 120)} …", "$text-muted")))

    def _say_target(self, content: Content) -> None:
        self.query_one("#target", Static).update(content)
