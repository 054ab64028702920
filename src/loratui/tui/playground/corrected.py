"""An answer written as it should have been: kept with the votes, as a row to learn preferences from."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from loratui.core.errors import LoratuiError
from loratui.format import harmless
from loratui.runs.directory import Run
from loratui.runs.votes import EDITED, Vote, add_vote
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.conversation import Conversation
from loratui.tui.playground.prompt_area import PromptArea


class CorrectScreen(ModalScreen[str]):
    """Returns the answer as a person wrote it; an empty text where it was left with esc."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc", priority=True)]
    DEFAULT_CSS = """
    CorrectScreen #panel { width: 90%; }
    CorrectScreen PromptArea, CorrectScreen PromptArea:focus { max-height: 16; }
    """

    def __init__(self, side: str, answer: str) -> None:
        super().__init__(classes="panel-over")
        self._side, self._answer = side, answer

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content(f"as {harmless(self._side)} should have answered")
            panel.border_subtitle = Content("enter keeps it · ^j a new line · esc closes")
            yield PromptArea()

    def on_mount(self) -> None:
        area = self.query_one(PromptArea)
        area.put(self._answer)
        area.focus()

    @on(PromptArea.Sent)
    def _kept(self, event: PromptArea.Sent) -> None:
        event.stop()
        self.dismiss(event.text)

    def action_leave(self) -> None:
        """Close; nothing is kept."""
        self.dismiss("")


async def correct(app: App[Any], run: Run | None, asked: Conversation, view: AnswerView) -> tuple[str, str]:
    """Have this answer written anew and kept in the run; what to say of it, and how."""
    messages = asked.shared([view.side])
    if run is None:
        return "There is no run to keep it in.", "warning"
    if not messages or not view.text:
        return "There is no answer to correct yet.", "warning"
    written = await app.push_screen_wait(CorrectScreen(view.side, view.text))
    if not written or written == view.text:
        return "", ""
    answers = {view.side: view.text, EDITED: written}
    try:
        await asyncio.to_thread(add_vote, run, Vote(asked.asked, (view.side, EDITED), EDITED, messages, answers))
    except LoratuiError as error:
        return error.sentence, "error"
    return "Kept: `loratui export RUN --preferences` writes it as chosen over the model's answer.", "done"
