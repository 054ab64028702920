"""Ask base and adapter the same, and see both answers grow side by side."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from loratui.core.errors import LoratuiError
from loratui.core.generation import GenerationSettings
from loratui.runs.votes import TIE, add_vote, tally
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.columns import ColumnsScreen
from loratui.tui.playground.difference import DifferenceScreen
from loratui.tui.playground.prompt_area import PromptArea
from loratui.tui.playground.score import Score, told
from loratui.tui.playground.sent import SentScreen
from loratui.tui.playground.settings import SettingsScreen, summary
from loratui.tui.playground.talk import Talk, Turn
from loratui.tui.screens.ask_line import AskLineScreen
from loratui.tui.screens.samples import SamplesScreen
from loratui.tui.screens.step import StepScreen
from loratui.tui.text import harmless, one_line, size
from loratui.worker.client import PlaygroundClient
from loratui.worker.protocol import ADAPTER, BASE, Done, Failed, Piece, Rendered
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
        self.settings = GenerationSettings()
        self.target: Target | None = None
        self.client: PlaygroundClient | None = None
        self._wanted: tuple[str, str, str, str] | None = None
        self._asking = False
        self._question: Question | None = None
        self._rows: list[Question] | None = None
        self._row = -1
        self._idle: object = None
        self.talk = Talk()
        self._sent_prompts: list[Rendered] = []
        self._blind: list[str] | None = None
        """Sides in the order in which a blind comparison shows them; None where names are shown."""
        self._question_text = ""
        self._settled = asyncio.Event()
        """Set once it is known what is asked, and it is loaded or cannot be."""

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

    async def _put_sides(self, sides: Sequence[str], titles: Mapping[str, str]) -> None:
        holder = self.query_one("#answers")
        await holder.remove_children()
        await holder.mount(*(AnswerView(side, titles.get(side, ""), NOTES.get(side, f"Here {side} will answer.")) for side in sides))
        self._show_tabs()

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
            if not failed and question is None:
                self.talk.turns.append(Turn(text, {view.side: view.text for view in self.query(AnswerView)}))
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
            for view in self.query(AnswerView):
                view.flush()

    def _show_question(self, text: str, question: Question | None) -> None:
        self._question_text = text
        turn = f"{len(self.talk.turns) + 1} " if self.talk.turns and question is None else ""
        self.query_one("#question", Static).update(
            Content.assemble((f"{turn}❯ ", "bold $accent"), (_clipped(text, 3 * max(20, self.size.width - 6)), "$foreground"))
        )
        expected = self.query_one("#expected", Static)
        expected.display = question is not None and bool(question.expected)
        if question is not None:
            expected.update(Content.assemble(("expected  ", "$text-muted"), (_clipped(question.expected, 3 * max(20, self.size.width - 14)), "$success")))

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "columns":
            return self.target is not None and len(self._names()) > 1 and not self._asking
        if action in ("write", "again", "edit", "new", "system", "sent", "difference", "blind", "samples", "continue", "tab"):
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
        scores = {view.side: Score() for view in self.query(AnswerView)}
        try:
            for row in rows:
                self._show_question(_prompt_of(row), row)
                await self._stream(_prompt_of(row), row)
                if any(view.matches is None for view in self.query(AnswerView)):
                    break  # stopped, or a side failed: its pane says why
                for view in self.query(AnswerView):
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
        prompt.put(_prompt_of(self._question))
        prompt.focus()
        self.say(f"Held-out row {self._row + 1} of {len(self._rows)}. enter asks it.")

    def _names(self) -> list[str]:
        """Everyone who can answer: the base, the result, and the run's checkpoints."""
        return [*self.target.sides, *(name for name in self.target.checkpoints if name not in self.target.sides)] if self.target else []

    @work(exclusive=True, group="columns", exit_on_error=False)
    async def action_columns(self) -> None:
        """Choose who answers; the base is not read again."""
        await self._settled.wait()
        target, client = self.target, self.client
        if target is None or client is None or client.ready is None:
            return
        now = [view.side for view in self.query(AnswerView)]
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

    # The conversation

    def _may(self, action: str) -> bool:
        """Whether there is something for a single key to do."""
        match action:
            case "again" | "edit" | "new":
                return bool(self.talk.turns)
            case "sent":
                return bool(self._sent_prompts)
            case "difference":
                return self._question is not None and bool(self._question.expected) and any(view.text for view in self.query(AnswerView))
            case "blind":
                return len(self.query(AnswerView)) > 1 and self.target is not None
            case "samples":
                return self.target is not None and self.target.run is not None
            case "continue":
                return self.target is not None and self.target.run is not None and self.target.result in (self.target.run.adapter_path, self.target.run.model_path)
            case _:
                return True

    def action_again(self) -> None:
        """Ask the last question again."""
        if not self.settings.greedy:
            self.settings = self.settings.model_copy(update={"seed": self.settings.seed + 1})
            self._show_settings()
        self._ask(self.talk.take_back())

    def action_edit(self) -> None:
        """Take the last question back into the prompt."""
        prompt = self.query_one(PromptArea)
        prompt.put(self.talk.take_back())
        prompt.focus()

    def action_new(self) -> None:
        """Begin a new conversation."""
        self.talk.clear()
        self.say("A new conversation: nothing said before is sent.")
        self.refresh_bindings()

    @work(group="settings", exit_on_error=False)
    async def action_system(self) -> None:
        """Change the system prompt."""
        asked = await self.app.push_screen_wait(AskLineScreen("System prompt", "empty: none; - takes it away", self.talk.system))
        if asked:
            self.talk.system = "" if asked == "-" else asked
            self.talk.clear()
            self.say(f"System prompt: {one_line(self.talk.system, 200)}" if self.talk.system else "No system prompt.")

    def action_sent(self) -> None:
        """Show what was sent."""
        self.app.push_screen(SentScreen(self._sent_prompts))

    def action_difference(self) -> None:
        """Show where answers differ from the expected one."""
        assert self._question is not None
        self.app.push_screen(DifferenceScreen(self._question.expected, {view.side: view.text for view in self.query(AnswerView)}))

    def action_samples(self) -> None:
        """Show the run's answers through time."""
        assert self.target is not None and self.target.run is not None
        self.app.push_screen(SamplesScreen(self.target.run))

    @work(group="further", exit_on_error=False)
    async def action_continue(self) -> None:
        """A wizard filled in to train this run's result further."""
        from loratui.tui.take_away.further import fill_in

        assert self.target is not None and self.target.run is not None
        await fill_in(self.app, self.target.run)

    # Blind comparison

    @work(exclusive=True, group="columns", exit_on_error=False)
    async def action_blind(self) -> None:
        """Hide who answers, in random order; or show it again."""
        sides = [view.side for view in self.query(AnswerView)]
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
        for number, view in enumerate(self.query(AnswerView), start=1):
            view.hide_name(str(number))

    @work(exclusive=True, group="columns", exit_on_error=False)
    async def action_vote(self, number: int) -> None:
        """Keep a vote, tell whose answer it was, and shuffle for the next question."""
        views = list(self.query(AnswerView))
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

    # Where only one answer fits

    def _show_tabs(self) -> None:
        views = list(self.query(AnswerView))
        tabbed = len(views) > 2 and not self.has_class("-wide")
        self.set_class(tabbed, "-tabbed")
        shown = next((view for view in views if view.display), views[-1]) if views else None
        if tabbed and sum(view.display for view in views) != 1:
            shown = views[-1]
        for view in views:
            view.display = not tabbed or view is shown
        words = [(f" {view.border_name} ", "bold reverse $accent" if view is shown else "$text-muted") for view in views]
        self.query_one("#tabs", Static).update(Content.assemble(*words, ("   esc, then ← →", "$text-muted")))

    def action_tab(self) -> None:
        """Show the next side."""
        views = list(self.query(AnswerView))
        if not self.has_class("-tabbed"):
            return
        place = next(index for index, view in enumerate(views) if view.display)
        for view in views:
            view.display = view is views[(place + 1) % len(views)]
        self._show_tabs()
        next(view for view in views if view.display).focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_tabs)

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


def _clipped(text: str, longest: int) -> str:
    return one_line(text, longest)
