"""Ask base and adapter the same, and see both answers grow side by side."""

from __future__ import annotations

import contextlib
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Static

from loratui.core.errors import LoratuiError
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.columns import ColumnsScreen
from loratui.tui.playground.comparing import Comparing
from loratui.tui.playground.conversing import Conversing
from loratui.tui.playground.held_out import HeldOut
from loratui.tui.playground.loading import Loads
from loratui.tui.playground.part import NOTES, prompt_of
from loratui.tui.playground.prompt_area import PromptArea
from loratui.tui.playground.settings import SettingsScreen, summary
from loratui.tui.playground.tabs import Tabs
from loratui.tui.playground.talk import Turn
from loratui.worker.protocol import ADAPTER, BASE, Done, Failed, Piece, Rendered
from loratui.worker.questions import Question

PAINT_SECONDS = 0.16
IDLE_CLOSE_SECONDS = 180.0
"""A playground that one has left gives its memory back after so long: a training may need it."""
SINGLE_KEYS = frozenset({"write", "again", "edit", "new", "system", "sent", "difference", "blind", "samples", "continue", "tab"})
"""Actions of keys that are letters while the prompt is written in."""


class PlaygroundScreen(Conversing, Comparing, HeldOut, Loads, Tabs):
    """The model is loaded once, in a worker of its own; each question goes to all sides."""

    STEP = "playground"
    HEADING = "Playground"
    EXPLANATION = "The same prompt for the base and for what was trained on it."
    MEMORY = False
    HELP_TEXT = (
        "Both sides get the same prompt through the same chat template, and stop at the same tokens; the adapter is "
        "switched on and off on one loaded base. An answer's lower edge tells how it ended: at its stop token (good), cut "
        "at the limit, or stopped by you.\n\n"
        "^l takes the next held-out row as the prompt, with the answer that was written for it: rows the training never saw. "
        "^g asks a number of them, counts the answers that equal the written ones, letter by letter, and tells their ROUGE-L.\n\n"
        "Questions add up to a conversation, in which each side goes on from its own answers; a held-out row always stands alone. "
        "In a blind comparison the answers have no names and stand in random order until one has voted (1, 2, 3, or 0 for "
        "none); the votes are kept in the run."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", tooltip="Stop the answers that are growing", priority=True),
        Binding("escape", "leave", "More keys", key_display="esc", tooltip="Leave the prompt, so that the single keys work", priority=True),
        Binding("i", "write", "Write", tooltip="Back to the prompt"),
        Binding("r", "again", "Again", tooltip="Ask the last question again; where answers are drawn at random, with the next seed"),
        Binding("e", "edit", "Edit", tooltip="Take the last question back into the prompt, to change and send it again"),
        Binding("n", "new", "New", tooltip="Begin a new conversation; the system prompt stays"),
        Binding("y", "system", "System", tooltip="The system prompt of the conversation"),
        Binding("t", "sent", "Sent", tooltip="What the model was sent: the chat template's own rendering"),
        Binding("d", "difference", "Difference", tooltip="Where the answers differ from the expected one"),
        Binding("b", "blind", "Blind", tooltip="Answers without names in random order, to vote on; and back"),
        Binding("1", "vote(1)", "First is better", show=False),
        Binding("2", "vote(2)", "Second is better", show=False),
        Binding("3", "vote(3)", "Third is better", show=False),
        Binding("0", "vote(0)", "None is better", show=False),
        Binding("s", "samples", "Samples", tooltip="The pinned prompts' answers at each evaluation of the run"),
        Binding("c", "continue", "Train on", tooltip="Fill the wizard in to train this result further"),
        Binding("left,right", "tab", "Other answer", show=False, tooltip="Show another side, where only one fits"),
        Binding("ctrl+l", "row", "Held-out row", key_display="^l", tooltip="Take the next held-out row as the prompt", priority=True),
        Binding("ctrl+g", "score", "Score rows", key_display="^g", tooltip="Ask a number of held-out rows; count exact matches and ROUGE-L", priority=True),
        Binding("ctrl+y", "columns", "Who", key_display="^y", tooltip="Who answers: base, result and checkpoints, up to three side by side", priority=True),
        Binding("ctrl+s", "settings", "Settings", key_display="^s", tooltip="Temperature, top-p, top-k, length and more", priority=True),
        Binding("ctrl+q", "app.quit", "Quit", key_display="^q", priority=True, tooltip="Leave; runs go on"),
    ]
    DEFAULT_CSS = """
    PlaygroundScreen #target { height: 1; }
    PlaygroundScreen #question { height: auto; max-height: 3; margin: 0 0 0 0; }
    PlaygroundScreen #answers { height: 1fr; layout: vertical; }
    PlaygroundScreen.-wide #answers { layout: horizontal; }
    PlaygroundScreen #expected { height: auto; max-height: 3; display: none; }
    PlaygroundScreen.-tall #question { margin: 1 0 0 0; }
    PlaygroundScreen #tabs { height: 1; display: none; }
    PlaygroundScreen.-tabbed #tabs { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._wanted: tuple[str, str, str, str] | None = None
        self._idle: object = None

    def body(self) -> ComposeResult:
        yield Static(id="target")
        yield Static(id="question")
        yield Static(id="tabs")
        with Container(id="answers"):
            yield AnswerView(BASE, note=NOTES[BASE])
            yield AnswerView(ADAPTER, note=NOTES[ADAPTER])
        yield Static(id="expected")
        prompt = PromptArea()
        prompt.border_title = "prompt"
        yield prompt

    def on_mount(self) -> None:
        self.set_interval(PAINT_SECONDS, self._paint)
        self._show_settings()
        self.query_one("#prompt").focus()

    @on(events.Unmount)
    async def _unmounted(self) -> None:
        await self._close()

    # What is asked

    def state_changed(self, change: str) -> None:
        if change == "shown":
            self._idle = None
            if self.focused is None:
                self.query_one("#prompt").focus()
            draft = self.app.state.draft
            wanted = (self.app.adapter_path, self.app.run_path, draft.run, draft.model)
            if wanted != self._wanted or self.client is None or not self.client.alive:
                self._wanted = wanted
                self._settled.clear()
                self._open(*wanted)

    def on_screen_suspend(self) -> None:
        self._idle = mark = object()

        def close_if_still_away() -> None:
            if self._idle is mark:
                self._close_later()

        self.set_timer(IDLE_CLOSE_SECONDS, close_if_still_away)

    @work(group="close", exit_on_error=False)
    async def _close_later(self) -> None:
        await self._close()
        self._wanted = None

    async def _close(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            await client.close()

    @work(exclusive=True, group="open", exit_on_error=False)
    async def _open(self, adapter: str, run: str, draft_run: str, draft_model: str) -> None:
        wanted = (adapter, run, draft_run, draft_model)
        try:
            await self._find_and_load(*wanted)
        finally:
            if wanted == self._wanted:
                self._settled.set()
                self.refresh_bindings()

    # Asking

    @on(PromptArea.Sent)
    def _sent(self, event: PromptArea.Sent) -> None:
        if self._asking:
            self.say("The answers are still growing; esc stops them.", "warning")
            return
        self._ask(event.text)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def _ask(self, text: str) -> None:
        self._asking = True
        self.refresh_bindings()
        self.say("")
        prompt = self.query_one(PromptArea)
        question = self._question if self._question is not None and prompt_of(self._question) == text else None
        failed = True
        try:
            prompt.put("")
            self._show_question(text, question)
            if not self._settled.is_set():
                self.say("It is being loaded, and answers then.")
                await self._settled.wait()
                self.say("")
            if self.target is None:
                self.say("There is nothing to ask yet.", "error")
                return
            if (self.client is None or self.client.ready is None) and not await self._load(self.target):
                return
            failed = not await self._stream(text, question)
            if not failed and question is None:
                self.talk.turns.append(Turn(text, {view.side: view.text for view in self.views}))
        except LoratuiError as error:
            self.say(error.sentence, "error")
        finally:
            self._asking = False
            self.refresh_bindings()
            if failed and not prompt.text:
                prompt.put(text)

    async def _stream(self, text: str, question: Question | None) -> bool:
        """Ask all sides; whether at least one answered."""
        assert self.client is not None
        views = {view.side: view for view in self.views}
        for view in views.values():
            view.begin()
        self.refresh_bindings()
        answered = False
        messages, prompt = self.talk.messages(next(iter(views), BASE), text), ""
        histories = self.talk.histories(views, text)
        self._sent_prompts = []
        if question is not None and question.conversation is not None:
            messages = [one.as_dict() for one in question.conversation.messages]
            prompt, histories = question.conversation.text, {}
        async for event in self.client.ask(list(views), self.settings, messages=messages, prompt=prompt, histories=histories):
            if isinstance(event, Rendered):
                self._sent_prompts.append(event)
            elif isinstance(event, Piece) and event.side in views:
                views[event.side].feed(event.text)
            elif isinstance(event, (Done, Failed)):
                answered = answered or isinstance(event, Done)
                for side in [event.side] if event.side else list(views):
                    views[side].end(event, question.expected if question else "")
        return answered

    def _paint(self) -> None:
        if self._asking:
            for view in self.views:
                view.flush()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "columns":
            return self.target is not None and len(self._names()) > 1 and not self._asking
        if action in SINGLE_KEYS:
            return not self._asking and not self.query_one("#prompt").has_focus and self._may(action)
        if action == "vote":
            return self._blind is not None and not self._asking and not self.query_one("#prompt").has_focus
        if action in ("row", "score"):
            return self.target is not None and self.target.plan is not None and not self._asking
        if action == "stop":
            return self._asking
        if action == "leave":
            return not self._asking and self.query_one("#prompt").has_focus
        return super().check_action(action, parameters)

    async def action_stop(self) -> None:
        """Stop the answers."""
        if self.client is not None and self.client.alive:
            with contextlib.suppress(LoratuiError):
                await self.client.stop()

    def action_leave(self) -> None:
        """Leave the prompt for the answers, so that single keys work."""
        next(view for view in self.views if view.display).focus()

    def action_write(self) -> None:
        """Back to the prompt."""
        self.query_one("#prompt").focus()

    @work(exclusive=True, group="columns", exit_on_error=False)
    async def action_columns(self) -> None:
        """Choose who answers; the base is not read again."""
        await self._settled.wait()
        target, client = self.target, self.client
        if target is None or client is None or client.ready is None:
            return
        now = [view.side for view in self.views]
        chosen = await self.app.push_screen_wait(ColumnsScreen(self._names(), now))
        if chosen is None or chosen == now:
            return
        for name in chosen:
            if name not in client.ready.sides:
                self.say(f"Reading {name} …")
                try:
                    await client.add(name, target.checkpoints[name])
                except LoratuiError as error:
                    self.say(error.sentence, "error")
                    return
        self._blind = None
        await self._put_sides(chosen, {})
        self.say("")

    @work(group="settings", exit_on_error=False)
    async def action_settings(self) -> None:
        """Change how answers are generated."""
        settings = await self.app.push_screen_wait(SettingsScreen(self.settings))
        if settings is not None:
            self.settings = settings
            self._show_settings()

    def _show_settings(self) -> None:
        self.query_one("#prompt").border_subtitle = summary(self.settings)
