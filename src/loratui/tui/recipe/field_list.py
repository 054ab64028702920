"""The recipe's fields as one widget: a cursor, values edited in place, errors beside the field, origins in words.

One widget instead of a hundred: the screen opens at once, and a key costs one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from loratui.format import one_line, value_text
from loratui.tui.frame.step import StepScreen
from loratui.tui.recipe.choices_line import choices_line
from loratui.tui.recipe.field_keys import FIELD_KEYS, MOVES
from loratui.tui.recipe.field_row import ORIGIN_COLORS, FieldRow

LABEL, VALUE, ORIGIN = 20, 22, 9
NOT_TAKEN = "Not taken: the red line says what is. Another value, or esc leaves it as it was."
"""What is said of a refused value where somebody wants to go on with it."""
ROOM_FOR_REASONS = 32
"""Columns from which a reason says something; in fewer only what else is proposed."""


class FieldList(Widget, can_focus=True):
    """Rows with a cursor. Posts Moved, Nudged, Typed (each keystroke), Finished, and Chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [*FIELD_KEYS]

    class Moved(Message):
        """The cursor came to another field."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Nudged(Message):
        """One step up or down."""

        def __init__(self, key: str, direction: int) -> None:
            super().__init__()
            self.key, self.direction = key, direction

    class Typed(Message):
        """A keystroke in a value; first: the edit's first one."""

        def __init__(self, key: str, text: str, first: bool) -> None:
            super().__init__()
            self.key, self.text, self.first = key, text, first

    class Finished(Message):
        """An edit in which something was typed ended: with enter or by moving on (kept), or with escape (not kept)."""

        def __init__(self, key: str, kept: bool) -> None:
            super().__init__()
            self.key, self.kept = key, kept

    class Chosen(Message):
        """One of the shown choices was taken."""

        def __init__(self, key: str, value: Any) -> None:
            super().__init__()
            self.key, self.value = key, value

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.rows: list[FieldRow] = []
        self.place = 0
        self.text: str | None = None
        """What is being typed; None while nothing is edited."""
        self.choice: int | None = None
        """Which of the field's choices is pointed at; None while they are not shown."""
        self._fresh = False
        self._first = False
        self.error = ""
        """Why the typed value cannot be taken."""

    def set_rows(self, rows: Sequence[FieldRow]) -> None:
        """Show these rows; the cursor stays on its field, and only lines that changed are painted."""
        before, key = self.rows, self.key
        self.rows = list(rows)
        if [row.key for row in before] != [row.key for row in self.rows]:
            self._show_choice(None)
            places = {row.key: place for place, row in enumerate(self.rows) if row.key}
            self.place = places.get(key, next(iter(places.values()), 0))
            self.refresh(layout=True)
            return
        for place, (old, new) in enumerate(zip(before, self.rows, strict=True)):
            if old != new:
                self._refresh_line(place)

    @property
    def key(self) -> str:
        """The field under the cursor."""
        return self.rows[self.place].key if self.place < len(self.rows) else ""

    @property
    def editing(self) -> bool:
        """Whether a value is being typed."""
        return self.text is not None

    def say_error(self, sentence: str) -> None:
        """Show, or with an empty sentence clear, what is wrong with the value that is being typed."""
        if sentence != self.error:
            self.error = sentence
            self._refresh_line(self.place)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self.rows))

    def _refresh_line(self, place: int) -> None:
        self.refresh(Region(0, place, max(1, self.size.width), 1))

    def render(self) -> Content:
        width = max(40, self.content_size.width)
        return Content("\n").join(self._line(place, row, width) for place, row in enumerate(self.rows))

    def render_line(self, y: int) -> Strip:
        # Line by line: of fifty fields a key changes a few, and only those are drawn again.
        width = self.size.width
        if not 0 <= y < len(self.rows):
            return Strip.blank(width, self.rich_style)
        line = self._line(y, self.rows[y], max(40, width))
        return Visual.to_strips(self, line, width, 1, self.visual_style)[0]

    def _line(self, place: int, row: FieldRow, width: int) -> Content:
        if not row.key:
            return Content(f"  {row.label.upper()}").stylize("$text-muted")
        here = place == self.place
        focused = here and self.has_focus
        mark = ("▌" if here else " ") + ("◆" if row.tries else " "), "bold $accent"
        label = (f"{row.label:<{LABEL}}"[:LABEL], "bold $foreground" if here else "$foreground")
        if here and self.text is not None:
            taken = VALUE if not self.error else max(8, min(VALUE, len(self.text) + 2))
            shown = self.text[-(taken - 2) :]
            value = Content.assemble((shown, "bold $foreground"), (" ", "reverse"), " " * (taken - 1 - len(shown)))
            value = value.stylize("on $surface")
        elif here and self.choice is not None:
            value = Content(f"{one_line(row.choices[self.choice][1], VALUE - 1):<{VALUE}}").stylize("bold on $surface")
        else:
            text = one_line(row.shown or value_text(row.value), VALUE - 1 - (len(row.unit) + 1 if row.unit else 0))
            value = Content.assemble(
                (text, "bold $foreground" if row.origin == "mine" else "$foreground"),
                (f" {row.unit}" if row.unit else "", "$text-muted"),
            )
            value = Content.assemble(value, " " * (VALUE - len(value)))
        room = width - 2 - LABEL - VALUE - ORIGIN - 4
        if here and self.error:
            tail = Content(one_line(f"✗ {self.error}", max(10, width - 4 - LABEL - len(value)))).stylize("bold $error")
            line = Content.assemble(mark, label, value, "  ", tail)
        elif here and self.choice is not None:
            words = [words for _, words in row.choices]
            line = Content.assemble(mark, label, value, "  ", choices_line(words, self.choice, width - len(value) - 24))
        else:
            beside = row.why if room >= ROOM_FOR_REASONS else f"proposed: {row.proposed}" if row.proposed else ""
            beside = row.tried_words(room) if row.tries else beside
            was = one_line(f"was {row.was}", max(1, room)) if row.was else ""
            if row.was and row.was == row.proposed and not row.tries:  # the same value, by the word that stays
                was, beside = ("", beside) if room >= ROOM_FOR_REASONS else (one_line(beside, max(1, room)), "")
            left = room - len(was) - 3 if was else room
            why = one_line(beside, left) if left > 0 else ""
            if beside != why and room < ROOM_FOR_REASONS and not row.tries:  # "proposed: …" says nothing
                why = ""
            between = " · " if was and why else ""
            line = Content.assemble(
                mark,
                label,
                value,
                "  ",
                (f"{row.origin:<{ORIGIN}}", ORIGIN_COLORS.get(row.origin, "")),
                "  ",
                (was, "bold $accent"),
                (between + why, "$accent" if row.tries else "$text-muted"),
            )
        line = Content.assemble(line, " " * max(0, width - len(line)))
        return line.stylize("on $block-cursor-blurred-background") if focused else line

    def action_cursor(self, by: int) -> None:
        """Go to the next field up or down."""
        if self.choice is not None:
            self._point(self.choice + by)
            return
        self._finish(kept=True)
        place = self.place + by
        while 0 <= place < len(self.rows) and not self.rows[place].key:
            place += by
        if 0 <= place < len(self.rows):
            self._go(place)

    def action_jump(self, to: int) -> None:
        """Go to the first or the last field."""
        self._finish(kept=True)
        keyed = [place for place, row in enumerate(self.rows) if row.key]
        if keyed:
            self._go(keyed[0] if to < 0 else keyed[-1])

    def action_page(self, to: int) -> None:
        """Go up or down by as many lines as are in sight."""
        self._finish(kept=True)
        lines = max(1, (self.parent.size.height if isinstance(self.parent, Widget) else self.size.height) - 1)
        keyed = [place for place, row in enumerate(self.rows) if row.key]
        within = [place for place in keyed if (place - self.place) * to > 0 and abs(place - self.place) <= lines]
        if within:
            self._go(max(within) if to > 0 else min(within))

    def go_to(self, key: str) -> None:
        """Put the cursor on a field."""
        for place, row in enumerate(self.rows):
            if row.key == key:
                self._go(place)

    def _go(self, place: int) -> None:
        self._show_choice(None)
        does, before, self.place = self._enter_does, self.place, place
        if self._enter_does != does:
            self.call_after_refresh(self.refresh_bindings)  # the cursor is painted first, then what enter does there
        self._refresh_line(before)
        self._refresh_line(place)
        self.scroll_visible_line(place)
        self.post_message(self.Moved(self.key))
        if isinstance(self.screen, StepScreen):
            self.screen.meet(self.key)

    def scroll_visible_line(self, place: int) -> None:
        """Bring a line, and a heading above it, into view."""
        top = place - 1 if place and not self.rows[place - 1].key else place
        if self.parent is not None and isinstance(self.parent, Widget):
            self.parent.scroll_to_region(Region(0, top, self.size.width, place - top + 1), animate=False, force=True)

    def action_nudge(self, direction: int) -> None:
        """One step up or down, or another choice."""
        if self.choice is not None:
            self._point(self.choice + direction)
        elif self.key and not self.editing:
            self.post_message(self.Nudged(self.key, direction))

    @property
    def _enter_does(self) -> str:
        if self.editing or self.choice is not None:
            return "take"
        return "choose" if self.place < len(self.rows) and self.rows[self.place].choices else "type"

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """While a value is typed, a letter is typed: what it does elsewhere is no key here."""
        return self.editing and character is not None and character.isprintable()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "leave":
            return self._enter_does == "take"
        if action == "nudge":
            return not self.editing
        return action != "edit" or parameters == (self._enter_does,)

    def action_edit(self, what: str = "") -> None:
        """Begin typing, or show the choices; then take what stands there."""
        if self.editing:
            if not self.error:
                self._finish(kept=True)
            elif isinstance(self.screen, StepScreen):  # a refused text stays, to be corrected
                self.screen.say(NOT_TAKEN, "error")
            return
        row = self.rows[self.place] if self.rows else None
        if row is None or not row.key:
            return
        if self.choice is not None:
            value, _ = row.choices[self.choice]
            self._show_choice(None)
            if value != row.value:
                self.post_message(self.Chosen(row.key, value))
            return
        if row.choices:
            values = [value for value, _ in row.choices]
            self._show_choice(values.index(row.value) if row.value in values else 0)
            return
        self._begin("" if row.value in ("", None, [], {}) else value_text(row.value), fresh=True)

    def action_leave(self) -> None:
        """Leave the value as it was."""
        self._show_choice(None)
        self._finish(kept=False)

    def end_edit(self) -> None:
        """The screen is left: what can be taken is kept."""
        self._finish(kept=not self.error)

    def _show_choice(self, place: int | None) -> None:
        if self.choice != place:
            self.choice = place
            self._refresh_line(self.place)
            self.refresh_bindings()

    def _point(self, place: int) -> None:
        self._show_choice(max(0, min(place, len(self.rows[self.place].choices) - 1)))

    def _begin(self, text: str, fresh: bool) -> None:
        self.text, self._fresh, self._first = text, fresh, True
        self.refresh_bindings()
        self._refresh_line(self.place)

    def _finish(self, kept: bool) -> None:
        if self.text is None:
            return
        key = self.key
        self.text, self.error = None, self.error if kept else ""
        if not self._first:  # else nothing was typed, and there is nothing to keep or to take back
            self.post_message(self.Finished(key, kept))
        self.refresh_bindings()
        self._refresh_line(self.place)

    def on_key(self, event: events.Key) -> None:
        # Bindings run only once the key has bubbled up to the app; keys that come in one burst, as over a slow line,
        # would then overtake each other. What moves or edits is therefore answered here, in order.
        if self.choice is not None and event.key not in MOVES:
            self._show_choice(None)  # whatever the key does, the choice is not taken
            if event.key == "escape":
                event.stop()
                event.prevent_default()
                return
        if event.key in MOVES and not (
            self.editing and event.key in ("left", "right", "k", "j", "space", "home", "end")
        ):
            action, step = MOVES[event.key]
            event.stop()
            event.prevent_default()
            if action == "edit":
                self.action_edit()
            else:
                getattr(self, f"action_{action}")(step)
            return
        if self.text is None:
            row = self.rows[self.place] if self.rows else None
            starts = event.character is not None and (event.character.isdigit() or event.character in ".-")
            if row is not None and row.kind == "number" and starts:
                event.stop()
                event.prevent_default()
                self._begin("", fresh=False)
                self._change(event.character or "")
            return
        if event.key == "escape":
            self._finish(kept=False)
        elif event.key == "backspace":
            self._change(self.text[:-1])
        elif event.key == "ctrl+u":
            self._change("")
        elif event.character is not None and event.is_printable:
            # The first letter replaces the old value of a number; text is added to.
            numeric = self.rows[self.place].kind == "number"
            self._change(event.character if self._fresh and numeric else self.text + event.character)
        elif event.key in ("left", "right"):
            pass
        else:
            return
        event.stop()
        event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        if self.text is not None:
            self._change(self.text + one_line(event.text, 400))
            event.stop()

    def _change(self, text: str) -> None:
        self.text, self._fresh = text, False
        self.post_message(self.Typed(self.key, text, self._first))
        self._first = False
        self._refresh_line(self.place)

    def on_blur(self) -> None:
        self._show_choice(None)
        self._finish(kept=True)
        self._refresh_line(self.place)

    def on_focus(self) -> None:
        self._refresh_line(self.place)

    def on_click(self, event: events.Click) -> None:
        if 0 <= event.y < len(self.rows) and self.rows[event.y].key:
            self._finish(kept=True)
            self._go(event.y)
