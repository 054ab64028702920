"""What is to be tried: the marked fields with their values, what the whole takes, and its start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.errors import LoratuiError
from loratui.core.plan_text import allowed, fields
from loratui.experiments.words import MEMORY, outlook_lines, outlook_rows, trials_words
from loratui.format import one_line
from loratui.tui.common.dialogs import AskLineScreen
from loratui.tui.experiment import work as slow
from loratui.tui.experiment.lines import labelled_lines, laid_out

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.core.situation import Situation
    from loratui.experiments.outlook import Outlook
    from loratui.experiments.question import Question
    from loratui.tui.app import LoratuiApp

START, SEEDS, STEPS, TRIALS = "start", "seeds", "steps", "trials"
LABEL = 20
VALUES_NEEDED = "Values are needed here; esc leaves them as they were."
KEYS_TOLD = "enter changes a line, or starts"
WAITING = "Working out what it takes …"


def said(error: LoratuiError) -> str:
    """What is wrong and what to do, without the name of an option."""
    return f"{error.message} {error.hint}".strip()


class TryScreen(ModalScreen[str]):
    """Returns the name of the experiment that was begun; empty where none was. What is changed here stays in the draft,
    whether or not it is begun.
    """

    CSS_PATH = "experiment.tcss"
    app: LoratuiApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back to the recipe", key_display="esc"),
        Binding("x,delete", "remove", "Leave out", tooltip="Vary the field under the cursor no more"),
        Binding("pagedown", "page(1)", "More", show=False, priority=True, tooltip="The next lines of what it takes"),
        Binding("pageup", "page(-1)", "Before", show=False, priority=True, tooltip="The lines before"),
    ]

    def __init__(self, plan: Plan, situation: Situation, vary: Callable[[str, str], None], at: str) -> None:
        """vary: takes a key and its values as they are typed; none: it varies no more. at: the key to begin at."""
        super().__init__(classes="panel-over")
        self._plan, self._situation, self._vary, self._at = plan, situation, vary, at
        self._seeds, self._steps = 1, 0
        self._most: int | None = None
        self._seen: tuple[Question, Outlook] | None = None
        """What the present question takes; None until it is known."""
        self._question: Question | None = None
        self._starting = False

    @property
    def varied(self) -> Mapping[str, str]:
        """The marked fields with their values."""
        return self.app.state.draft.varied

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("Values tried against each other")
            panel.border_subtitle = Content(KEYS_TOLD)
            yield OptionList(markup=False, id="asked")
            yield Static(id="try-said")
            with VerticalScroll(id="takes", can_focus=False):
                yield Static(id="outlook")

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()
        self.watch(self.query_one("#takes"), "show_vertical_scrollbar", self._tell_keys)
        self.call_after_refresh(self._renew, self._at)

    def _tell_keys(self, scrolls: bool) -> None:
        """That there is more below stands in the border, where esc does not need to."""
        self.query_one("#panel").border_subtitle = Content(KEYS_TOLD + (" · pgdn shows more" if scrolls else ""))

    def on_resize(self) -> None:
        self.call_after_refresh(self._paint_outlook)

    # What is asked

    def _asked(self) -> slow.Asked:
        return slow.Asked(self._plan, dict(self.varied), self._seeds, self._steps, self._most)

    def _renew(self, at: str = "") -> None:
        """The question as it is now: counted at once, worked out in a thread."""
        self._seen = self._question = None
        self._say("")
        try:
            self._question = self._asked().question()
        except LoratuiError as error:
            self._say(said(error))
        self._paint_lines(at)
        self._paint_outlook()
        if self._question is not None:
            self._work_out()

    @work(exclusive=True, group="outlook", exit_on_error=False)
    async def _work_out(self) -> None:
        try:
            seen = await asyncio.to_thread(slow.outlook_of, self._asked(), self._situation)
        except LoratuiError as error:
            self._say(said(error))
            seen, self._question = None, None  # there is nothing to start, nor to be worked out
        self._seen = seen
        self._paint_lines()
        self._paint_outlook()

    # Painting

    def _say(self, sentence: str) -> None:
        self.query_one("#try-said", Static).update(Content(one_line(f"✗ {sentence}", 400)) if sentence else Content(""))

    def _paint_lines(self, at: str = "") -> None:
        listed = self.query_one(OptionList)
        kept = at or self._key_at(listed.highlighted)
        lines = [(key, str(fields()[key].title), text) for key, text in self.varied.items()]
        drawn = [Option(self._line("◆ ", name, text), id=key) for key, name, text in lines]
        steps = f"{self._steps:,}" if self._steps else "the usual share of the plan's"
        if self._seen is not None:
            total = self._seen[1].total_steps
            usual = ", the usual share" if not self._steps else ""
            steps = f"{max(max(one.steps) for one in self._seen[1].trials):,} of the plan's {total:,}{usual}"
        drawn += [
            Option(self._line("  ", "Seeds of each", f"{self._seeds}", "2 show how much chance does"), id=SEEDS),
            Option(self._line("  ", "Steps of each", steps), id=STEPS),
            Option(self._line("  ", "Combinations", "all" if self._most is None else f"{self._most} drawn"), id=TRIALS),
            Option(self._start_line(), id=START),
        ]
        listed.clear_options()
        listed.add_options(drawn)
        ids = [one.id for one in drawn]
        listed.highlighted = ids.index(kept) if kept in ids else len(drawn) - 1

    @staticmethod
    def _line(mark: str, name: str, value: str, more: str = "") -> Content:
        return Content.assemble(
            (mark, "bold $accent"),
            (f"{name:<{LABEL}}"[:LABEL], "$foreground"),
            (one_line(value, 200), "bold"),
            (f"   {more}" if more else "", "$text-muted"),
        )

    def _start_line(self) -> Content:
        if self._starting:
            return Content("starting …").stylize("$text-muted")
        if self._question is None:
            return Content.assemble(("▸ Start", "$text-muted"), ("  not yet: see below", "$text-muted"))
        count = len(self._question.settings)
        if self._seen is not None:
            count = sum(one.state == "open" for one in self._seen[1].trials)
        return Content.assemble(("▸ Start", "bold"), f"  {trials_words(count, self._seeds)}")

    def _paint_outlook(self) -> None:
        widget = self.query_one("#outlook", Static)
        if self._seen is None:
            widget.update(Content(WAITING if self._question is not None else "").stylize("$text-muted"))
            return
        question, seen = self._seen
        width = max(40, self.query_one("#takes").content_size.width - 2)
        rows = outlook_rows(question, seen)
        right = frozenset({rows[0].index(MEMORY, len(question.varied) + 1)})
        lines = [line for row in laid_out(rows, width, loose=1, right=right) for line in row]
        widget.update(Content("\n").join([*lines, Content(""), *labelled_lines(outlook_lines(question, seen), width)]))

    def action_page(self, direction: int) -> None:
        """Scroll what it takes."""
        box = self.query_one("#takes")
        box.scroll_relative(y=direction * max(1, box.size.height - 1), animate=False)

    # Changing

    def _key_at(self, place: int | None) -> str:
        listed = self.query_one(OptionList)
        return (
            str(listed.get_option_at_index(place).id or "") if place is not None and place < listed.option_count else ""
        )

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        key = str(event.option.id)
        if self._starting:
            return
        if key == START:
            self._start()
        elif key in (SEEDS, STEPS, TRIALS):
            self._change_number(key)
        else:
            self._change_values(key)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "remove" and self.is_mounted:
            return self._key_at(self.query_one(OptionList).highlighted) in self.varied
        return super().check_action(action, parameters)

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        self.refresh_bindings()

    def action_remove(self) -> None:
        """Vary the field under the cursor no more."""
        key = self._key_at(self.query_one(OptionList).highlighted)
        if key in self.varied and not self._starting:
            self._vary(key, "")
            if self.varied:
                self._renew(START)
            else:
                self.dismiss("")

    @work
    async def _change_values(self, key: str) -> None:
        title = f"Values of {fields()[key].title}, with commas between"
        needed = f"{VALUES_NEEDED} x on its line varies the field no more."
        asked = AskLineScreen(title, f"each {allowed(key)}", self.varied[key], needed=needed)
        typed = await self.app.push_screen_wait(asked)
        if typed:
            self._vary(key, typed)
            self._renew(key)

    @work
    async def _change_number(self, what: str) -> None:
        title, words, now, least = {
            SEEDS: ("Runs of each trial, with other seeds", "a number from 1 to 20", str(self._seeds), 1),
            STEPS: ("Steps of a trial", "a number; 0 for the usual share of the plan's", str(self._steps or ""), 0),
            TRIALS: ("How many of the combinations are drawn", "a number; 0 for all", str(self._most or ""), 0),
        }[what]
        typed = await self.app.push_screen_wait(AskLineScreen(title, words, now))
        if not typed:
            return
        most = 20 if what == SEEDS else 10_000_000
        if not typed.isdecimal() or not least <= int(typed) <= most or (what != SEEDS and int(typed) == 1):
            self._say(f"{one_line(typed, 30)!r} is no such number. {title}: {words}.")
            return
        number = int(typed)
        if what == SEEDS:
            self._seeds = number
        elif what == STEPS:
            self._steps = number
        else:
            self._most = number or None
        self._renew(what)

    # The start

    def _start(self) -> None:
        if self._question is None or self._seen is None:
            if self._question is not None and not self.query_one("#try-said", Static).content:
                self._say("What it takes is still being worked out.")
            return
        self._starting = True
        self._paint_lines()
        self._begin(*self._seen)

    @work(exclusive=True, group="start", exit_on_error=False)
    async def _begin(self, question: Question, seen: Outlook) -> None:
        from loratui.tui.common.trust import may_run_code

        try:
            if await may_run_code(self.app, question.plan):
                experiment = await asyncio.to_thread(slow.begin, question, seen)
                self.dismiss(experiment.name)
                return
            self._say("Not started: nobody agreed to run the code that the model brings.")
        except LoratuiError as error:
            self._say(said(error))
        self._starting = False
        self._paint_lines()

    def action_leave(self) -> None:
        """Back; what is marked stays marked."""
        if not self._starting:
            self.dismiss("")
