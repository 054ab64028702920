"""Ask base and adapter the same, and see both answers grow side by side."""

from __future__ import annotations

import asyncio
import contextlib
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from loratui.core.errors import LoratuiError
from loratui.core.generation import GenerationSettings
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.prompt_area import PromptArea
from loratui.tui.playground.settings import SettingsScreen, summary
from loratui.tui.screens.step import StepScreen
from loratui.tui.text import harmless, one_line, size
from loratui.worker.client import PlaygroundClient
from loratui.worker.protocol import ADAPTER, BASE, Done, Failed, Piece
from loratui.worker.questions import Question, held_out_questions
from loratui.worker.target import Target

PAINT_SECONDS = 0.16
SCORED_ROWS = 50
IDLE_CLOSE_SECONDS = 180.0
"""A playground that one has left gives its memory back after so long: a training may need it."""
NOTES = {
    BASE: "Here the base model will answer, as it was before the training.",
    ADAPTER: "Here the adapter will answer, on the same base.",
}
"""What stands in a pane before the first question."""


class PlaygroundScreen(StepScreen):
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
        "^g asks all of them and counts the answers that equal the written ones, letter by letter."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", tooltip="Stop the answers that are growing", priority=True),
        Binding("escape", "leave", "Leave prompt", show=False, tooltip="Leave the prompt, so that single keys work", priority=True),
        Binding("ctrl+l", "row", "Held-out row", key_display="^l", tooltip="Take the next held-out row as the prompt", priority=True),
        Binding("ctrl+g", "score", "Score rows", key_display="^g", tooltip="Ask all held-out rows (at most 50) and count exact matches", priority=True),
        Binding("ctrl+y", "checkpoint", "Checkpoint", key_display="^y", tooltip="Let the next checkpoint of the run answer instead; then the result again", priority=True),
        Binding("ctrl+s", "settings", "Settings", key_display="^s", tooltip="Temperature, top-p, top-k, length and more", priority=True),
        Binding("i", "write", "Write", show=False, tooltip="Back to the prompt"),
        Binding("ctrl+q", "app.quit", "Quit", key_display="^q", priority=True, tooltip="Leave; runs go on"),
    ]
    DEFAULT_CSS = """
    PlaygroundScreen #target { height: 1; }
    PlaygroundScreen #question { height: auto; max-height: 3; margin: 0 0 0 0; }
    PlaygroundScreen #answers { height: 1fr; layout: vertical; }
    PlaygroundScreen.-wide #answers { layout: horizontal; }
    PlaygroundScreen #expected { height: auto; max-height: 3; display: none; }
    PlaygroundScreen.-tall #question { margin: 1 0 0 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.settings = GenerationSettings()
        self.target: Target | None = None
        self.client: PlaygroundClient | None = None
        self._wanted: tuple[str, str, str, str] | None = None
        self._asking = False
        self._question: Question | None = None
        self._rows: list[Question] | None = None
        self._row = -1
        self._idle: object = None
        self._settled = asyncio.Event()
        """Set once it is known what is asked, and it is loaded or cannot be."""

    def body(self) -> ComposeResult:
        yield Static(id="target")
        yield Static(id="question")
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
        holder = self.query_one("#answers")
        titles = {BASE: target.plan.model.id if target.plan else target.title, ADAPTER: target.result.name if target.result and target.result.name != ADAPTER else ""}
        await holder.remove_children()
        await holder.mount(*(AnswerView(side, titles.get(side, ""), NOTES.get(side, "")) for side in target.sides))

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
        question = self._question if self._question is not None and _prompt_of(self._question) == text else None
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
        views = {view.side: view for view in self.query(AnswerView)}
        for view in views.values():
            view.begin()
        self.refresh_bindings()
        answered = False
        messages = [{"role": "user", "content": text}]
        prompt = ""
        if question is not None and question.conversation is not None:
            messages = [one.as_dict() for one in question.conversation.messages]
            prompt = question.conversation.text
        async for event in self.client.ask(list(views), self.settings, messages=messages, prompt=prompt):
            if isinstance(event, Piece) and event.side in views:
                views[event.side].feed(event.text)
            elif isinstance(event, (Done, Failed)):
                answered = answered or isinstance(event, Done)
                for side in [event.side] if event.side else list(views):
                    views[side].end(event, question.expected if question else "")
        return answered

    def _paint(self) -> None:
        if self._asking:
            for view in self.query(AnswerView):
                view.flush()

    def _show_question(self, text: str, question: Question | None) -> None:
        self.query_one("#question", Static).update(
            Content.assemble(("❯ ", "bold $accent"), (_clipped(text, 3 * max(20, self.size.width - 6)), "$foreground"))
        )
        expected = self.query_one("#expected", Static)
        expected.display = question is not None and bool(question.expected)
        if question is not None:
            expected.update(Content.assemble(("expected  ", "$text-muted"), (_clipped(question.expected, 3 * max(20, self.size.width - 14)), "$success")))

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "checkpoint":
            return self.target is not None and bool(self.target.checkpoints) and ADAPTER in self.target.sides and not self._asking
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
        self.query(AnswerView).first().focus()

    def action_write(self) -> None:
        """Back to the prompt."""
        self.query_one("#prompt").focus()

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
        """Ask held-out rows, one after the other, and count the answers that equal the written ones."""
        rows = [one for one in await self._held_out() if one.expected][:SCORED_ROWS]
        if not rows or self._asking:
            return
        await self._settled.wait()
        self._asking = True
        self.refresh_bindings()
        tally = {view.side: 0 for view in self.query(AnswerView)}
        done = 0
        try:
            for row in rows:
                self._show_question(_prompt_of(row), row)
                await self._stream(_prompt_of(row), row)
                ends = [view.matches for view in self.query(AnswerView)]
                if any(end is None for end in ends):
                    break  # stopped, or a side failed: its pane says why
                done += 1
                for view in self.query(AnswerView):
                    tally[view.side] += bool(view.matches)
                self.say(f"{done} of {len(rows)} held-out rows, exact match: {_tally(tally, done)} …")
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        finally:
            self._asking = False
            self.refresh_bindings()
        if done:
            self.say(f"Exact match on {done} held-out rows: {_tally(tally, done)}.", "done" if done == len(rows) else "warning")

    @work(exclusive=True, group="row", exit_on_error=False)
    async def action_row(self) -> None:
        """The next held-out row as the prompt, with its written answer."""
        if not await self._held_out():
            return
        assert self._rows
        self._row = (self._row + 1) % len(self._rows)
        self._question = self._rows[self._row]
        prompt = self.query_one(PromptArea)
        prompt.put(_prompt_of(self._question))
        prompt.focus()
        self.say(f"Held-out row {self._row + 1} of {len(self._rows)}. enter asks it.")

    @work(exclusive=True, group="checkpoint", exit_on_error=False)
    async def action_checkpoint(self) -> None:
        """Another checkpoint answers in the adapter's pane; the base is not read again."""
        await self._settled.wait()
        target, client = self.target, self.client
        if target is None or client is None or client.ready is None:
            return
        now = self.query(AnswerView).last().side
        names = [ADAPTER, *target.checkpoints]
        name = names[(names.index(now) + 1) % len(names)] if now in names else ADAPTER
        if name not in client.ready.sides:
            try:
                await client.add(name, target.checkpoints[name])
            except LoratuiError as error:
                self.say(error.sentence, "error")
                return
        await self.query(AnswerView).last().remove()
        note = f"Here {name} will answer." if name != ADAPTER else NOTES[ADAPTER]
        await self.query_one("#answers").mount(AnswerView(name, "", note))
        self.say(f"Now {name} answers: {names.index(name) + 1} of {len(names)}.")

    @work(group="settings", exit_on_error=False)
    async def action_settings(self) -> None:
        """Change how answers are generated."""
        settings = await self.app.push_screen_wait(SettingsScreen(self.settings))
        if settings is not None:
            self.settings = settings
            self._show_settings()

    def _show_settings(self) -> None:
        self.query_one("#prompt").border_subtitle = summary(self.settings)


def _prompt_of(question: Question) -> str:
    """The last thing that a row says before its answer."""
    if question.conversation is None:
        return ""
    messages = question.conversation.messages
    return harmless(messages[-1].content if messages else question.conversation.text, 100_000)


def _tally(tally: dict[str, int], done: int) -> str:
    """`base 0 %, adapter 96 %`."""
    return ", ".join(f"{side} {count / done:.0%}" for side, count in tally.items())


def _clipped(text: str, longest: int) -> str:
    return one_line(text, longest)
