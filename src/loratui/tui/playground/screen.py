"""Ask base and adapter the same, and see both answers grow side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from loratui.core.errors import LoratuiError
from loratui.core.generation import GenerationSettings
from loratui.format import one_line
from loratui.runs.directory import Run
from loratui.tui.common.dialogs import AskLineScreen
from loratui.tui.playground.answers import PAINT_SECONDS, QuestionLine
from loratui.tui.playground.columns import ColumnsScreen
from loratui.tui.playground.conversation import Conversation
from loratui.tui.playground.corrected import correct
from loratui.tui.playground.held_out import DifferenceScreen, HeldOut
from loratui.tui.playground.keys import HELP, KEYS, SINGLE_KEYS
from loratui.tui.playground.loader import NOTHING, Loader, Wanted
from loratui.tui.playground.prompt_area import PromptArea
from loratui.tui.playground.rendered_prompt import RenderedPromptScreen
from loratui.tui.playground.row_keys import RowsScreen
from loratui.tui.playground.session import Session
from loratui.tui.playground.settings import SettingsScreen, summary
from loratui.workers.protocol import ADAPTER, BASE, Done, Failed, Load, Piece, Rendered
from loratui.workers.questions import Question
from loratui.workers.target import Target

NOTHING_OPEN = "Nothing is open here: i goes back to the prompt, ^p to the step before."
GOES_ON = 2
"""Questions of a conversation at which it is told that they are one."""


class PlaygroundScreen(RowsScreen):
    """The model is loaded once, in a worker of its own; each question goes to all sides."""

    STEP = "playground"
    HEADING = "Playground"
    EXPLANATION = "The same prompt for the base and for what was trained on it."
    MEMORY = False
    HELP_TEXT = HELP
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self) -> None:
        super().__init__()
        # Held, not looked up: keys are asked about before the screen stands and while it is taken down.
        self.loader = Loader(self._take, self._may_take, self._stop_words)
        self.prompt = PromptArea()
        """Where a question is written."""
        self.conversation = Conversation()
        self._taken: tuple[Run | None, Load] | None = None
        """Whose answers stand in the panes."""

    def body(self) -> ComposeResult:
        yield self.loader
        yield QuestionLine()
        yield self.answers
        yield self.expected
        yield self.beneath
        yield self.prompt

    def on_mount(self) -> None:
        self.set_interval(PAINT_SECONDS, self._paint)
        self._use(self.settings)
        self.prompt.put_system(self.conversation.system)
        self.prompt.focus()

    @property
    def session(self) -> Session:
        """What is asked, and its worker."""
        return self.loader.session

    # What is asked

    def shown(self) -> None:
        if self.focused is None:
            self.prompt.focus()
        run, draft = self.app.state.run, self.app.state.draft
        self.loader.open(Wanted(run.adapter, run.chosen, draft.run, draft.model))

    def on_screen_suspend(self) -> None:
        self.loader.leave()

    async def _take(self, target: Target) -> None:
        """This is asked from now on; of the same run the conversation goes on; the same keeps its answers."""
        same, self._taken = (target.run, target.load) == self._taken, (target.run, target.load)
        if same and self.answers.answered:  # the worker alone is another: one had stayed away for long
            if not await self.answers.keep(target.sides):
                self.ballot.end()
            return
        self.ballot.end()
        self.query_one(QuestionLine).update("")
        self.expected.put(None)
        if target.run is None or target.run != self._run:
            self.held_out = HeldOut(target.plan)
            self.beneath.forget()
            self.conversation = Conversation(system=self.conversation.system)
        self._run = target.run
        titles = {BASE: target.plan.model.id if target.plan else target.title, ADAPTER: target.result_title}
        await self.answers.show(target.sides, titles)
        self.share_with_beneath()

    def _may_take(self, asks: bool) -> bool:
        """Whether other sides may take the panes: nobody reads an answer, votes, or chose the sides."""
        target = self.session.target
        own = target is not None and self.answers.sides != target.sides
        return not (self.ballot.blind or own) and (asks or not (self._asking or self.answers.answered))

    @on(Loader.Settled)
    def _settled(self, event: Loader.Settled) -> None:
        if event.sentence:
            self.answers.say(NOTHING)
            self.beneath.rows.say("No rows to ask: nothing was trained yet.")
        if self.session.target is not None:
            self.tell_about(self.session.target)
        self.query_one("#heading", Static).update(self.heading())
        self.refresh_bindings()

    # Asking

    @contextmanager
    def _asks(self) -> Iterator[None]:
        """While answers grow: other keys work, and a sentence says what went wrong."""
        self._asking = True
        self.refresh_bindings()
        try:
            yield
        except LoratuiError as error:
            self.say(error.sentence, "error")
        finally:
            self._asking = False
            self.refresh_bindings()
            self.call_after_refresh(self.share_with_beneath)

    @on(PromptArea.Sent)
    def _sent(self, event: PromptArea.Sent) -> None:
        if self._asking:
            self.say(self.session.why_not(True), "warning")
        else:
            self._ask(event.text)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def _ask(self, text: str) -> None:
        answered = False
        try:
            with self._asks():
                self.prompt.put("")
                ready = await self._is_ready(f"“{one_line(text, 40)}” is asked")
                answered = ready and await self._put(text, self.held_out.row_of(text))
                if answered:
                    self.conversation.answered(self.answers.texts)
                    self.beneath.answered(text, self.answers.texts, hidden=self.ballot.blind)
        finally:
            if self.is_running and not answered and not self.prompt.text:
                self.prompt.put(text)
        if answered and len(self.conversation.turns) == GOES_ON and self.conversation.row is None:
            self.say("The second question goes on from the first: both were sent. esc, then n begins anew.")
        if answered and self.ballot.open:
            self.say(f"Which is better? {self.ballot.keys} i goes on writing.")
            if not self.prompt.text:
                self.answers.focus_shown()

    async def _is_ready(self, then: str) -> bool:
        self.say("" if self.session.ready else f"The model is being loaded; then {then}. esc takes it back.")
        sentence = await self.loader.until_ready()
        self.say(sentence, "error")
        return not sentence

    async def _put(self, text: str, row: Question | None) -> bool:
        """Put a question to all sides and show their answers as they grow; whether at least one answered."""
        if self.ballot.blind and not self.ballot.open:
            self.answers.hide_names(self.ballot.begin(self.ballot.order))
        answers, conversation = self.answers, self.conversation
        conversation.ask(text, row)
        self.query_one(QuestionLine).put(text, len(conversation.turns) + 1 if conversation.turns and row is None else 0)
        self.expected.put(row)
        answers.begin()
        self.share_with_beneath(grown=True)
        self.refresh_bindings()
        answered = False
        async for event in self.session.ask(answers.sides, conversation, self.settings):
            if isinstance(event, Rendered):
                conversation.sent.append(event)
            elif isinstance(event, (Piece, Done, Failed)):
                answered = answered or isinstance(event, Done)
                answers.take(event, row.expected if row else "")
        return answered

    def _paint(self) -> None:
        if self._asking:
            self.answers.flush()
            self.share_with_beneath(grown=True)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        writing, run = self.prompt.has_focus, self._run
        if action in SINGLE_KEYS and (writing or (self._asking and action != "write")):
            return False
        match action:  # what is not named here may always be done
            case "score":
                return self.held_out.there or self.session.target is None
            case "stop":
                return self._asking or (self.loader.at_work and not writing)
            case "interrupt":
                copies = self.prompt.selected_text or self.get_selected_text()
                return (self._asking or self.loader.at_work) and not copies
            case "halt":
                return (self._asking or self.loader.at_work) and not writing
            case "leave":
                return not self._asking and writing
            case "again" | "edit" | "new" | "fix":
                return bool(self.conversation.turns)
            case "sent":
                return bool(self.conversation.sent) and not self.ballot.open
            case "difference":
                row = self.conversation.row
                return row is not None and bool(row.expected) and self.answers.answered and not self.ballot.open
            case "blind":
                return len(self.answers.sides) > 1 and self.session.target is not None
            case "vote":
                return self.ballot.open and self.answers.answered and int(str(parameters[0])) <= len(self.ballot.order)
            case "samples" | "take_away":
                return run is not None
            case "continue":
                result = self.session.target.result if self.session.target else None
                return run is not None and result in (run.adapter_path, run.model_path)
        return super().check_action(action, parameters)

    def action_step_unless_voting(self, step: str) -> None:
        """Go to a step by its number; who waits to vote by it stays."""
        if self.ballot.open:
            self.say("A vote counts once all have answered." if self._asking else "Ask something: then it is voted on.")
        else:
            self.app.open_step(step)

    async def action_stop(self) -> None:
        """Stop the answers, or take back the question that waits for the model; where nothing is asked, the loading."""
        if not self._asking:
            await self.loader.stop()
            return
        if self.session.ready is None or not self.session.settled:
            self.workers.cancel_group(self, "ask")
            self.say("Taken back: nothing is asked. The question stands below: enter asks it.")
        await self.session.stop()

    action_interrupt = action_halt = action_stop

    def _stop_words(self) -> str:
        """How the loading is stopped: what is open is left first, and a question that waits is taken back first."""
        if self._asking:
            return ""
        return "esc twice stops it" if self.prompt.has_focus else "esc stops it"

    def action_leave(self) -> None:
        """Leave the prompt for the rows where they are shown, else for the answers, so that single keys work."""
        rows = self.beneath.rows
        if self.beneath.has_class("-shown") and rows.display and rows.can_focus:
            rows.focus()
        else:
            self.answers.focus_shown()

    def action_leave_step(self) -> None:
        """The prompt is left, and nothing is at work: say what leads on."""
        self.say(NOTHING_OPEN)

    def action_write(self) -> None:
        """Back to the prompt."""
        self.prompt.focus()
        if self._said.plain == NOTHING_OPEN:
            self.say("")

    def action_tab(self) -> None:
        """Show the next side."""
        self.answers.next_tab()

    # The conversation

    def action_again(self) -> None:
        """Ask the last question again."""
        if not self.settings.greedy:
            self._use(self.settings.model_copy(update={"seed": self.settings.seed + 1}))
        self._ask(self.conversation.take_back())

    def action_edit(self) -> None:
        """Take the last question back into the prompt."""
        self.prompt.put(self.conversation.take_back())
        self.prompt.focus()

    @work(group="settings", exit_on_error=False)
    async def action_fix(self) -> None:
        """Write an answer as it should have been, as a row to learn preferences from."""
        self.say(*await correct(self.app, self._run, self.conversation, self.answers.chosen))

    def action_new(self) -> None:
        """Begin a new conversation."""
        self.conversation.clear()
        self.say("A new conversation: nothing said before is sent.")
        self.refresh_bindings()

    @work(group="settings", exit_on_error=False)
    async def action_system(self) -> None:
        """Change the system prompt."""
        now = self.conversation.system
        asked = await self.app.push_screen_wait(AskLineScreen("System prompt", "empty: none; - takes it away", now))
        if asked:
            self.conversation.use_system("" if asked == "-" else asked)
            self.prompt.put_system(self.conversation.system)
            self.say("A new conversation begins with it." if self.conversation.system else "No system prompt.")

    def action_sent(self) -> None:
        """Show what was sent."""
        self.app.push_screen(RenderedPromptScreen(self.conversation.sent))

    def action_difference(self) -> None:
        """Show where answers differ from the expected one."""
        row = self.conversation.row
        assert row is not None
        self.app.push_screen(DifferenceScreen(row.expected, self.answers.texts))

    @work(group="settings", exit_on_error=False)
    async def action_settings(self) -> None:
        """Change how answers are generated."""
        settings = await self.app.push_screen_wait(SettingsScreen(self.settings))
        if settings is not None:
            self._use(settings)

    def _use(self, settings: GenerationSettings) -> None:
        self.settings = settings
        self.prompt.border_subtitle = summary(settings)
        self.beneath.how.show(settings)

    # Who answers

    def action_columns(self) -> None:
        """Choose who answers, the base is not read again; or say why that cannot be now."""
        alone = "" if len(self.session.names) > 1 else "Nobody else can answer here: there is no adapter."
        if why := self.session.why_not(self._asking) or alone:
            self.say(why, "warning")
        else:
            self._choose_columns()

    @work(exclusive=True, group="columns", exit_on_error=False)
    async def _choose_columns(self) -> None:
        now, others = self.answers.sides, await self.session.look_up_others()
        chosen = await self.app.push_screen_wait(ColumnsScreen(self.session.names, now, others.refused))
        if chosen is None or chosen == now:
            return
        try:
            await self.session.add(chosen, lambda name: self.say(f"Reading {name} …"))
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        self.ballot.end()
        await self.answers.show(chosen)
        self.say("")
        self.refresh_bindings()

    def action_blind(self) -> None:
        """Hide who answers, in random order; or show it again."""
        sides, asked = self.answers.sides, self.conversation.asked if self.answers.answered else ""
        self.conversation.clear()
        if self.ballot.blind:
            self.say("The names are back: nobody voted." if self.ballot.open and asked else "")
            self.ballot.end()
            self.answers.show_names([name for name in self.session.names if name in sides])
        else:
            self.answers.hide_names(self.ballot.begin(sides))
            if again := bool(asked) and not self.prompt.text:
                self.prompt.put(asked)
            self.say(self.ballot.words(known=bool(asked), again=again))
        self.share_with_beneath()
        self.refresh_bindings()

    @work(exclusive=True, group="columns", exit_on_error=False)
    async def action_vote(self, number: int) -> None:
        """Keep a vote, and tell whose answer it was; the next question is asked in another order."""
        if not self.ballot.open or self.session.target is None:
            return
        run = self.session.target.run
        try:
            words = await asyncio.to_thread(self.ballot.cast, number, self.conversation, self.answers.texts, run)
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        self.answers.show_names()
        self.share_with_beneath()
        self.say(words, "done")
        self.conversation.clear()
        self.prompt.focus()
        self.refresh_bindings()
