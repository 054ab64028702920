"""A list with a filter above it: type to narrow, the arrows move in the list, enter chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from loratui.format import one_line
from loratui.paths import is_there

FIT_GLYPHS = {"fits": ("✓", "$success"), "tight": ("▲", "$warning"), "too big": ("✗", "$error")}
"""How a verdict on memory is marked in a list, with its colour."""
ENTER = "Take the line under the cursor; on the chosen one: go on"
MOVES = {"down": "cursor_down", "up": "cursor_up", "pagedown": "page_down", "pageup": "page_up"}
"""Keys that move in the list while the filter has the focus, and the list's action for each."""


class Item(NamedTuple):
    """One line of the list. words: what the filter looks in. group: heading above the first of its kind."""

    key: str
    words: str
    group: str = ""
    disabled: bool = False


ENTERS = {"choose": "Choose", "next": "Next", "look": "Look for it"}
"""What enter does now, as the footer names it."""
ENTER_KEYS: list[BindingType] = [
    Binding("enter", f"enter('{does}')", label, key_display="enter", tooltip=ENTER) for does, label in ENTERS.items()
]


class Field(Input):
    """The filter; enter takes the line under the cursor. While the list has the keys it says which one leads here."""

    BINDINGS: ClassVar[list[BindingType]] = ENTER_KEYS
    does = "choose"

    def __init__(self, asks: str) -> None:
        super().__init__(placeholder=asks, classes="filter", select_on_focus=False)
        self._asks = asks
        self.cursor_blink = False

    def on_focus(self) -> None:
        self.placeholder = self._asks

    def on_blur(self) -> None:
        self.placeholder = "/ to write here"

    async def action_enter(self, does: str) -> None:
        """As the footer names it."""
        await self.action_submit()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "enter" or parameters == (self.does,)


class Options(OptionList):
    """The lines."""

    BINDINGS: ClassVar[list[BindingType]] = ENTER_KEYS
    does = "choose"

    def action_enter(self, does: str) -> None:
        """As the footer names it."""
        self.action_select()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "enter" or parameters == (self.does,)


class FilterList(Vertical):
    """`items` drawn by `draw(item, width)`; posts Chosen on enter and Highlighted as one moves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", tooltip="Narrow the list by typing"),
    ]

    class Chosen(Message):
        """Enter on a line."""

        def __init__(self, list_: FilterList, key: str) -> None:
            super().__init__()
            self.list = list_
            self.key = key

        @property
        def control(self) -> FilterList:
            return self.list

    class Highlighted(Message):
        """The cursor came to a line; the key is empty where nothing matches what is typed."""

        def __init__(self, list_: FilterList, key: str) -> None:
            super().__init__()
            self.list = list_
            self.key = key

    class Typed(Message):
        """Enter in the filter on a text that is no line of the list, or a path."""

        def __init__(self, list_: FilterList, text: str) -> None:
            super().__init__()
            self.list = list_
            self.text = text

    def __init__(
        self,
        draw: Callable[[Item, int], Content],
        *,
        placeholder: str,
        id: str,
        empty: str = "Nothing matches.",
        head: Callable[[int], Content] | None = None,
        unlisted: Callable[[str], str] = lambda typed: "",
        goes_on: Callable[[str], bool] = lambda key: False,
        looks: bool = False,
    ) -> None:
        """unlisted: what enter does with a text that no line has, in words; `empty` stands where that is nothing.
        goes_on: whether enter on this line, or typed text, leads on, as that is chosen already.
        looks: whether enter looks elsewhere for a text that no line has.
        """
        super().__init__(id=id, classes="filter-list")
        self.draw = draw
        self.placeholder = placeholder
        self.empty = empty
        self.head = head
        self.unlisted = unlisted
        self.goes_on = goes_on
        self.looks = looks
        self.items: list[Item] = []
        self._width = 0

    def compose(self) -> ComposeResult:
        yield Field(self.placeholder)
        if self.head is not None:
            yield Static(classes="list-head")
        yield Options(markup=False, classes="filter-options")

    @property
    def options(self) -> OptionList:
        """The list itself."""
        return self.query_one(OptionList)

    @property
    def filter_field(self) -> Input:
        """The field above it."""
        return self.query_one(Input)

    @property
    def highlighted_key(self) -> str:
        """Key of the line under the cursor; empty where there is none."""
        place = self.options.highlighted
        return (self.options.get_option_at_index(place).id or "") if place is not None else ""

    @property
    def typed(self) -> str:
        """What stands in the filter, where it is no line of the list, or a path; else an empty text."""
        text = self.filter_field.value.strip()
        path = bool(text) and text[0] in "/~." and is_there(text)
        return text if path or not self.highlighted_key else ""

    def set_items(self, items: Sequence[Item], *, highlight: str = "") -> None:
        """Show these items; the cursor goes to `highlight`, or stays on its line."""
        keep = highlight or self.highlighted_key
        self.items = list(items)
        self._fill(keep)

    def go_to(self, key: str) -> None:
        """Put the cursor on this line; what is typed in the filter goes where it would hide the line."""
        item = next((item for item in self.items if item.key == key), None)
        if item is not None and not self._matches(item):
            with self.prevent(Input.Changed):
                self.filter_field.value = ""
        self._fill(key)

    def _matches(self, item: Item) -> bool:
        return all(word in item.words.lower() for word in filter_words(self.filter_field.value))

    def redraw(self) -> None:
        """Draw the same items again."""
        self._fill(self.highlighted_key)

    def _fill(self, keep: str) -> None:
        options = self.options
        width = self.room()
        shown: list[Option] = []
        group = ""
        for item in self.items:
            if not self._matches(item):
                continue
            if item.group != group:
                group = item.group
                if group:
                    shown.append(Option(Content(group.upper()).stylize("$text-muted"), disabled=True))
            shown.append(Option(self.draw(item, width), id=item.key, disabled=item.disabled))
        options.clear_options()
        if not shown:
            words = self.unlisted(self.filter_field.value.strip()) or self.empty
            shown = [Option(Content(one_line(words)).stylize("$text-muted"), disabled=True)]
        options.add_options(shown)
        if self.head is not None:
            self.query_one(".list-head", Static).update(self.head(width).stylize("$text-muted"))
        keys = [option.id for option in shown]
        place = (
            keys.index(keep)
            if keep in keys
            else next((n for n, option in enumerate(shown) if not option.disabled), None)
        )
        options.highlighted = place
        self._name_enter()

    def _name_enter(self) -> None:
        """Have the footer name what enter does now, in the filter and in the list."""
        key, typed = self.highlighted_key, self.typed
        listed = "next" if key and self.goes_on(key) else "choose"
        field, options = self.query_one(Field), self.query_one(Options)
        written = listed if not typed else "next" if self.goes_on(typed) else "look" if self.looks else "choose"
        if (field.does, options.does) != (written, listed):
            field.does, options.does = written, listed
            self.refresh_bindings()

    def room(self) -> int:
        """Columns of one line."""
        options = self.options
        return max(30, (options.scrollable_content_region.width or self.size.width - 6) - 1)

    def on_resize(self) -> None:
        if self.size.width != self._width:
            self._width = self.size.width
            self.call_after_refresh(self.redraw)

    def focus_list(self) -> None:
        """Put the focus into the list: letters are the screen's keys there."""
        self.screen.set_focus(self.options)

    def focus_filter(self) -> None:
        """Put the focus into the filter: letters narrow the list, the arrows move in it all the same."""
        self.screen.set_focus(self.filter_field)

    def action_filter(self) -> None:
        """Put the focus into the filter."""
        self.focus_filter()

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._fill(self.highlighted_key)
        if not self.highlighted_key:
            self.post_message(self.Highlighted(self, ""))

    def clear(self) -> None:
        """Show every line again."""
        if self.filter_field.value:
            with self.prevent(Input.Changed):
                self.filter_field.value = ""
            self.redraw()

    @on(Input.Submitted)
    def _filter_entered(self, event: Input.Submitted) -> None:
        event.stop()
        if typed := self.typed:
            self.post_message(self.Typed(self, typed))
        elif key := self.highlighted_key:
            self.post_message(self.Chosen(self, key))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "filter" or not self.filter_field.has_focus

    def on_key(self, event: events.Key) -> None:
        # Letters that came in one burst with the `/` were sent to the list before the filter had the focus.
        if event.key == "slash" and self.screen.focused is self.options:
            self.action_filter()
        elif self.screen.focused is self.filter_field and event.key in MOVES:
            getattr(self.options, f"action_{MOVES[event.key]}")()
        elif self.screen.focused is self.filter_field and event.character is not None and event.is_printable:
            self.filter_field.insert_text_at_cursor(event.character)
        else:
            return
        event.stop()
        event.prevent_default()

    def key_escape(self, event: events.Key) -> None:
        if not self.filter_field.has_focus:
            return
        if not isinstance(self.screen, ModalScreen):  # a panel is left with its filter, a step is not
            event.stop()
        if self.filter_field.value:  # what is typed next is typed: the list has keys of its own
            self.filter_field.value = ""
        else:
            self.screen.set_focus(self.options)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id:
            self.post_message(self.Chosen(self, event.option.id))

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._name_enter()
        if event.option.id:
            self.post_message(self.Highlighted(self, event.option.id))


def filter_words(text: str) -> list[str]:
    """What each line shown must hold. A `/` in front is the habit of other programs, not a word to look for."""
    text = text.strip().lower()
    return (text[1:] if text.startswith("/") and "/" not in text[1:] else text).split()


def columns(width: int, left: Content | str, *right: tuple[Content | str, int]) -> Content:
    """One line: `left` cut to what is left over, then columns of fixed widths, right-aligned."""
    left = Content(left) if isinstance(left, str) else left
    room = max(4, width - sum(size + 2 for _, size in right))
    if len(left) > room:
        left = Content.assemble(left[: room - 1], "…")
    line = Content.assemble(left, " " * (room - len(left)))
    for cell, size in right:
        cell = Content(cell) if isinstance(cell, str) else cell
        cell = cell[:size] if len(cell) > size else cell
        line = Content.assemble(line, "  ", " " * (size - len(cell)), cell)
    return line
