"""Beneath the answers, where a terminal has room: held-out rows to ask, what was asked before, how answers are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.generation import GenerationSettings, preset_of
from loratui.format import number_text, one_line
from loratui.tui.common.text import wrap
from loratui.tui.playground.answers import RoomChanged
from loratui.tui.playground.conversation import prompt_of
from loratui.tui.playground.keys import KEYS, SINGLE_KEYS
from loratui.workers.questions import Question

LEAST_ROWS, MOST_ROWS = 5, 16
"""Rows that it takes at least and at most, borders and all."""
TWO_COLUMNS, THREE_COLUMNS = 100, 160
"""Columns of a terminal from which on two of the boxes stand beside each other, and all three."""
MOST_ASKED = 50
DRAWN = ("top_p", "top_k", "min_p", "seed")
"""Settings that count only where tokens are drawn at random."""


KEY_CELLS = 8
OTHER_KEYS = tuple(
    (f"esc {binding.key_display}" if binding.action in SINGLE_KEYS else str(binding.key_display), binding.tooltip)
    for action in ("score", "columns", "system", "blind", "fix", "samples", "continue", "take_away")
    for binding in Binding.make_bindings(KEYS)
    if binding.action == action
)
"""Keys that lead on from a first answer, with what they do."""


class Said(NamedTuple):
    """A question with what each side answered."""

    question: str
    answers: Mapping[str, str]


class Lines(OptionList):
    """Lines of which one is taken by enter, drawn anew where the width is another."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Take it", key_display="enter", tooltip="Take it into the prompt"),
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
    ]

    way_here, works_here = "", ""
    """What the frame says: how one gets here, and which keys work once one is here."""

    def on_resize(self) -> None:
        self.draw()

    def on_focus(self) -> None:
        self.border_subtitle = Content(self.works_here)

    def on_blur(self) -> None:
        self.border_subtitle = Content(self.way_here)

    def tell_keys(self) -> None:
        """Enter is named only while it works here: in the prompt it asks."""
        self.border_subtitle = Content(self.works_here if self.has_focus else self.way_here)

    def draw(self) -> None:
        """Fill in what is known."""
        raise NotImplementedError

    def fill(self, lines: Sequence[Content]) -> None:
        """Show these lines; the cursor stays where it was."""
        at = self.highlighted or 0
        self.set_options(Option(line) for line in lines)
        if lines:
            self.highlighted = min(at, len(lines) - 1)


class Rows(Lines):
    """The held-out rows, each with the answer that was written for it."""

    class Taken(Message):
        """A row is to be asked. place: its number among the rows, from 0."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self) -> None:
        super().__init__(id="held-out-rows", markup=False)
        self._rows: Sequence[Question] = ()
        self.why_none = ""
        """Why there is nothing to choose; empty: there is, or it is not known yet."""
        self._scored = ""
        self.say("")

    def say(self, why: str) -> None:
        """Why there are no rows to choose from; empty: they are not known yet."""
        self._rows, self.why_none = (), why
        self.can_focus = False  # enter would do nothing on it
        self.clear_options()
        self._entitle()
        self.way_here = self.works_here = "^l reads them"
        self.tell_keys()
        if why:
            self.add_option(Option(Content(one_line(why, 200)).stylize("$text-muted"), disabled=True))
            self.way_here = self.works_here = ""
            self.tell_keys()

    def leave_unread(self) -> None:
        """Say that reading them takes a while, and how they are read nevertheless."""
        self.say("Not read unasked: they lie in large files, or on the hub.")
        self.way_here = self.works_here = "^l reads them"
        self.tell_keys()

    def show(self, rows: Sequence[Question]) -> None:
        """These rows can be chosen."""
        if rows is not self._rows:
            self._rows, self.can_focus, self.why_none = rows, bool(rows), ""
            self._entitle()
            self.way_here = "esc leads from the prompt to them · ^l takes the next"
            self.works_here = "enter takes it into the prompt · ^l the next"
            self.tell_keys()
            self.draw()

    def scored(self, words: str) -> None:
        """Keep the newest score in the frame; empty: there is none of what is asked now."""
        self._scored = words
        self._entitle()

    def _entitle(self) -> None:
        rows = f"{len(self._rows):,} held-out rows" if self._rows else "held-out rows"
        answers = " and their written answers" if self._rows else ""
        self.border_title = Content(f"{rows} · {self._scored}" if self._scored else f"{rows}{answers}")

    def draw(self) -> None:
        width = self.scrollable_content_region.width - 2
        if not self._rows or width < 20:
            return
        digits = len(str(len(self._rows)))
        asked = max(8, (width - digits - 4) * 3 // 5)
        expected = max(8, width - digits - 4 - asked)
        self.fill(
            [
                Content.assemble(
                    (f"{number:>{digits}}  ", "$text-muted"),
                    f"{one_line(prompt_of(row), asked):<{asked}}  ",
                    (one_line(row.expected, expected), "$success"),
                )
                for number, row in enumerate(self._rows, start=1)
            ]
        )

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Taken(event.option_index))


class Asked(Lines):
    """What was asked before, the newest first."""

    class Again(Message):
        """A question is wanted in the prompt again."""

        def __init__(self, question: str) -> None:
            super().__init__()
            self.question = question

    def __init__(self) -> None:
        super().__init__(id="asked-before", markup=False)
        self._said: list[Said] = []
        self.border_title = Content("asked before, the newest first")
        self.way_here, self.works_here = "tab leads to them", "enter takes it into the prompt again"
        self.tell_keys()

    @property
    def many(self) -> int:
        """How many questions it holds."""
        return len(self._said)

    def add(self, question: str, answers: Mapping[str, str]) -> None:
        """This was asked, and answered so."""
        self._said = [Said(question, dict(answers)), *self._said][:MOST_ASKED]
        self.draw()

    def forget(self) -> None:
        """Another run is asked: what was asked before is not its."""
        self._said = []
        self.clear_options()

    def draw(self) -> None:
        width = self.scrollable_content_region.width - 2
        if not self._said or width < 20:
            return
        wide = max(len(side) for said in self._said for side in said.answers) if self._said[0].answers else 0
        lines = []
        for said in self._said:
            line = Content.assemble(("❯ ", "$accent"), one_line(said.question, width - 2))
            for side, answer in said.answers.items():
                told = one_line(answer, max(8, width - wide - 4))
                line += Content.assemble(("\n  " + f"{side:<{wide}}  ", "$text-muted"), told)
            lines.append(line)
        self.fill(lines)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Again(self._said[event.option_index].question))


class HowBox(Static):
    """The settings of generation, each with what it does."""

    def __init__(self) -> None:
        super().__init__(id="how", classes="box")
        self._settings = GenerationSettings()
        self.border_subtitle = Content("^e changes them")

    def show(self, settings: GenerationSettings) -> None:
        """These are in force."""
        self._settings = settings
        self.border_title = Content(f"how answers are made: {preset_of(settings)}")
        self.on_resize()

    def on_resize(self) -> None:
        room = self.content_size
        if room.width and room.height:
            self.update(how_lines(self._settings, room.width, room.height))


def _key_lines(key: str, words: str, width: int) -> list[Content]:
    first, *rest = wrap(words, max(16, width - KEY_CELLS))
    head = Content.assemble((f"{key:<{KEY_CELLS}}", "bold $footer-key-foreground"), (first, "$text-muted"))
    return [head, *(Content(f"{'':<{KEY_CELLS}}{line}").stylize("$text-muted") for line in rest)]


def how_lines(settings: GenerationSettings, width: int, height: int) -> Content:
    """The settings that count, each with a sentence; what does not count now in one; then other keys. What finds no
    room whole is left out.
    """
    fields = GenerationSettings.model_fields
    titles = {name: str(field.title) for name, field in fields.items()}
    idle = DRAWN if settings.greedy else ()
    entries = []
    for name in dict.fromkeys(("temperature", "max_tokens", *fields)):
        if name not in idle:
            value = number_text(float(getattr(settings, name)))
            head = Content.assemble((f"{titles[name]}  ", "$foreground"), (value, "bold $accent"))
            said = wrap(str(fields[name].description), max(16, width - 2))
            entries.append([head, *(Content(f"  {line}").stylize("$text-muted") for line in said)])
    if idle:
        *others, last = (titles[name].lower() for name in idle)
        words = f"Temperature 0 draws nothing at random: {', '.join(others)} and {last} do nothing then."
        entries.append([Content(line).stylize("$text-muted") for line in wrap(words, width)])
    entries += [_key_lines(key, words, width) for key, words in OTHER_KEYS]
    shown: list[Content] = []
    for entry in entries:
        if len(shown) + len(entry) > height:
            break
        shown += entry
    return Content("\n").join(shown)


class Beneath(Horizontal):
    """The three beside each other, or as many as have room; shown where the answers leave them some."""

    DEFAULT_CSS = """
    Beneath { height: 1fr; display: none; }
    Beneath.-shown { display: block; }
    Beneath OptionList { height: 100%; width: 3fr; text-wrap: nowrap; text-overflow: ellipsis; }
    Beneath OptionList { border-title-color: $text-muted; border-subtitle-color: $text-muted; }
    Beneath OptionList:focus { border-title-color: $accent; }
    Beneath > #how { height: 100%; width: 2fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="beneath")
        self.rows, self.asked, self.how = Rows(), Asked(), HowBox()

    def compose(self) -> ComposeResult:
        yield self.rows
        yield self.asked
        yield self.how

    def on_resize(self) -> None:
        self.post_message(RoomChanged())

    def choose(self) -> None:
        """Show those of the three that say most in the columns there are: what was asked before needs a second question
        where it takes another's place, since the last one stands above.
        """
        columns = self.app.size.width
        asked = self.asked.many > (0 if columns >= THREE_COLUMNS else 1)
        two = columns >= TWO_COLUMNS
        self.rows.display = two or not self.rows.why_none
        self.asked.display = asked and (two or not self.rows.display)
        self.how.display = columns >= THREE_COLUMNS or (not self.asked.display and (two or not self.rows.display))

    def answered(self, question: str, answers: Mapping[str, str], *, hidden: bool) -> None:
        """This was asked. hidden: whose answers they are must not be told yet."""
        self.asked.add(question, {} if hidden else answers)
        self.choose()

    def forget(self) -> None:
        """Another run is asked."""
        self.asked.forget()
        self.rows.scored("")
        self.rows.say("")
        self.choose()

    @staticmethod
    def leaves(free: int, needed: int) -> int | None:
        """Rows that the answers keep of those that are free, where it is shown; None where that leaves it too few.
        needed: of the answers.
        """
        return max(needed, free - MOST_ROWS) if free - needed >= LEAST_ROWS else None
