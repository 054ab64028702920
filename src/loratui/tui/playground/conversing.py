"""The keys of a conversation: again, edit, anew, its system prompt, what was sent, and what may be looked at beside it."""

from __future__ import annotations

from textual import work

from loratui.format import one_line
from loratui.tui.playground.difference import DifferenceScreen
from loratui.tui.playground.part import PlaygroundPart
from loratui.tui.playground.prompt_area import PromptArea
from loratui.tui.playground.sent import SentScreen
from loratui.tui.screens.ask_line import AskLineScreen
from loratui.tui.screens.samples import SamplesScreen


class Conversing(PlaygroundPart):
    """What single keys do while the prompt is left."""

    def _may(self, action: str) -> bool:
        """Whether there is something for a single key to do."""
        match action:
            case "again" | "edit" | "new":
                return bool(self.talk.turns)
            case "sent":
                return bool(self._sent_prompts)
            case "difference":
                return self._question is not None and bool(self._question.expected) and any(view.text for view in self.views)
            case "blind":
                return len(self.views) > 1 and self.target is not None
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
        self.app.push_screen(DifferenceScreen(self._question.expected, {view.side: view.text for view in self.views}))

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
