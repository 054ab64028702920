"""The panes of the answers: beside each other where there is room, else below each other, and where that takes more
room than there is, one at a time; the question above them, and below them the answer that was expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from loratui.format import one_line
from loratui.tui.playground.answer_view import AnswerView
from loratui.workers.protocol import ADAPTER, BASE, Done, Failed, Piece
from loratui.workers.questions import Question

PAINT_SECONDS = 0.16
"""How often growing answers are painted."""
BESIDE_COLUMNS = 96
"""Columns from which answers stand beside each other."""
STACKED = 2
"""Answers that fit below each other; more are shown one at a time."""
LEAST_ROWS = 4
"""Rows of a pane at least; where there are fewer, one is shown at a time."""
BORDER_ROWS = 2
NOTES = {
    BASE: "Here the base model will answer, as it was before the training.",
    ADAPTER: "Here the adapter will answer, on the same base.",
}
"""What stands in a pane before the first question."""
BLIND_NOTE = "One of the sides will answer here."
QUESTION_ROWS = 3
"""Rows of the screen that a question or an expected answer may take."""


class RoomChanged(Message):
    """There are more or fewer rows than before to be shared."""


class Answers(Vertical):
    """One pane a side, in order."""

    DEFAULT_CSS = """
    Answers { height: 1fr; }
    Answers > #panes { height: 1fr; layout: vertical; }
    Answers.-beside > #panes { layout: horizontal; }
    Answers > #tabs { height: 1; display: none; }
    Answers.-tabbed > #tabs { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="answers")
        self._about: Mapping[str, str] = {}
        """What is known of each side."""

    def compose(self) -> ComposeResult:
        yield Static(id="tabs")
        with Container(id="panes"):
            for side in (BASE, ADAPTER):
                yield AnswerView(side, note=self._note(side))

    @property
    def views(self) -> list[AnswerView]:
        """The panes, in order."""
        return list(self.query(AnswerView))

    @property
    def sides(self) -> list[str]:
        """Who answers, in order."""
        return [view.side for view in self.views]

    @property
    def texts(self) -> dict[str, str]:
        """What each side has answered so far, harmless."""
        return {view.side: view.text for view in self.views}

    @property
    def answered(self) -> bool:
        """Whether any side has said something."""
        return any(self.texts.values())

    @property
    def tabbed(self) -> bool:
        """Whether one pane is shown at a time."""
        return self.has_class("-tabbed")

    async def show(self, sides: Sequence[str], titles: Mapping[str, str] | None = None) -> None:
        """Empty panes for these sides. titles: what is told of a side beside its name."""
        told = titles or {}
        panes = self.query_one("#panes")
        await panes.remove_children()
        await panes.mount(*(AnswerView(side, told.get(side, ""), self._note(side)) for side in sides))
        self._lay_out()

    def introduce(self, about: Mapping[str, str]) -> None:
        """Tell of each side what it is, in the panes that hold no answer."""
        before, self._about = [(view, self._note(view.side)) for view in self.views], about
        for view, note in before:
            if view.note == note:
                view.say(self._note(view.side))

    @property
    def overflows(self) -> bool:
        """Whether an answer has more rows than its pane."""
        return any(view.overflows for view in self.views)

    @property
    def needed(self) -> int:
        """Rows in which everything can be read that the panes hold now."""
        rows = [max(LEAST_ROWS, BORDER_ROWS + view.needed) for view in self.views if view.display]
        beside = self.has_class("-beside")
        return (max(rows, default=LEAST_ROWS) if beside else sum(rows)) + self.tabbed

    def take_rows(self, rows: int | None) -> None:
        """Take so many rows; None: all there are."""
        self.styles.height = "1fr" if rows is None else rows

    def _note(self, side: str) -> str:
        """What stands in a pane before the first question."""
        note, about = NOTES.get(side, f"Here {side} will answer."), self._about.get(side, "")
        return f"{note}\n{about}" if about else note

    async def keep(self, sides: Sequence[str]) -> bool:
        """Leave the panes of these sides as they are, and take the others away; whether there were none to take."""
        others = [view for view in self.views if view.side not in sides]
        for view in others:
            await view.remove()
        if others:
            left = self.sides
            self.show_names([side for side in sides if side in left])
        return not others

    def say(self, note: str) -> None:
        """A line of our own in the first pane."""
        self.views[0].say(note)

    # Blind comparisons

    def hide_names(self, order: Sequence[str]) -> None:
        """Empty panes in this order, which are numbers until `show_names`."""
        self._arrange(order)
        for number, view in enumerate(self.views, start=1):
            view.hide_name(number)
            view.clear(BLIND_NOTE)
        self._lay_out()

    def show_names(self, order: Sequence[str] = ()) -> None:
        """Say who answered what, each pane with its number.

        order: the panes' usual places, which they get back; they have no numbers then.
        """
        self._arrange(order)
        for number, view in enumerate(self.views, start=1):
            view.show_name(0 if order else number)
            if order and view.note == BLIND_NOTE:
                view.say(self._note(view.side))
        self._lay_out()

    def _arrange(self, order: Sequence[str]) -> None:
        panes = self.query_one("#panes")
        for place, side in enumerate(order):
            view = next(one for one in self.views if one.side == side)
            if self.views.index(view) != place:
                panes.move_child(view, before=place)

    # A question's way

    def begin(self) -> None:
        """Empty for a new question."""
        for view in self.views:
            view.begin()

    def take(self, event: Piece | Done | Failed, expected: str = "") -> None:
        """A piece of an answer, or its end. expected: the answer that was written for a held-out row."""
        for view in self.views:
            if event.side in ("", view.side):
                if isinstance(event, Piece):
                    view.feed(event.text)
                else:
                    view.end(event, expected)

    def flush(self) -> None:
        """Paint what came since the last time."""
        for view in self.views:
            view.flush()

    # Where only one fits

    @property
    def chosen(self) -> AnswerView:
        """The pane that has the focus; else the last one that is shown."""
        shown = [view for view in self.views if view.display]
        return next((view for view in shown if view.has_focus), shown[-1])

    def focus_shown(self) -> None:
        """Put the focus into the first pane that is shown."""
        next(view for view in self.views if view.display).focus()

    def next_tab(self) -> None:
        """Show the next side."""
        views = self.views
        if not self.tabbed:
            return
        place = next(index for index, view in enumerate(views) if view.display)
        for view in views:
            view.display = view is views[(place + 1) % len(views)]
        self._lay_out()
        self.focus_shown()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= BESIDE_COLUMNS, "-beside")
        self.call_after_refresh(self._lay_out)
        self.post_message(RoomChanged())

    def _lay_out(self) -> None:
        views = self.views
        low = 0 < self.size.height < LEAST_ROWS * len(views)
        tabbed = len(views) > 1 and (len(views) > STACKED or low) and not self.has_class("-beside")
        self.set_class(tabbed, "-tabbed")
        shown = next((view for view in views if view.display), views[-1]) if views else None
        if tabbed and sum(view.display for view in views) != 1:
            shown = views[-1]
        for view in views:
            view.display = not tabbed or view is shown
        words = [(f" {view.shown_name} ", "bold reverse $accent" if view is shown else "$text-muted") for view in views]
        self.query_one("#tabs", Static).update(Content.assemble(*words, ("   esc, then ← →", "$text-muted")))


class QuestionLine(Static):
    """The question that the answers belong to."""

    DEFAULT_CSS = """
    QuestionLine { height: auto; max-height: 3; margin: 0; }
    .-short QuestionLine { padding: 0 1; }
    .-tall QuestionLine { margin: 1 0 0 0; }
    """
    SCOPED_CSS = False

    def __init__(self) -> None:
        super().__init__(id="question")

    def put(self, text: str, turn: int) -> None:
        """Show this question. turn: its number in the conversation; 0: it stands alone."""
        room = QUESTION_ROWS * max(20, self.screen.size.width - 6)
        number = f"{turn} " if turn else ""
        self.update(Content.assemble((f"{number}❯ ", "bold $accent"), (one_line(text, room), "$foreground")))


class ExpectedLine(Static):
    """The answer that was written for a held-out row; nothing where a person asks."""

    DEFAULT_CSS = """
    ExpectedLine { height: auto; max-height: 3; display: none; }
    .-short ExpectedLine { padding: 0 1; }
    """
    SCOPED_CSS = False

    def __init__(self) -> None:
        super().__init__(id="expected")

    @property
    def rows(self) -> int:
        """Rows of the screen that it takes."""
        return self.outer_size.height if self.display else 0

    def put(self, row: Question | None) -> None:
        """Show what this row expects."""
        self.display = row is not None and bool(row.expected)
        if row is not None:
            room = QUESTION_ROWS * max(20, self.screen.size.width - 14)
            self.update(Content.assemble(("expected  ", "$text-muted"), (one_line(row.expected, room), "$success")))
