"""The field of a dataset's path: what is typed where there are no rows goes into it."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input

from loratui.format import one_line
from loratui.paths import is_there
from loratui.tui.wizard.mixing import dataset_named

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp

PATH_BEGINS = "/~."
LONGEST_PATH = 400
"""Characters of a path that are shown."""


def by_its_name(problem: str, path: str) -> str:
    """What is wrong with a path, which stands whole in the field above: by its last name alone."""
    name = PurePath(path).name
    return problem.replace(path, name) if len(path) > len(name) > 0 else problem


class PathField(Input):
    """Shows which dataset is chosen, and takes another path."""

    app: LoratuiApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Take it", key_display="enter", tooltip="Take what is written as the dataset"),
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="a file, a folder, or the id of a hub dataset", id="path", select_on_focus=False)
        self.border_title = Content("dataset")
        self._slipped = ""
        """The letter that took the demo where there were no rows, until the next key."""

    def on_mount(self) -> None:
        self.cursor_blink = False

    @property
    def written_in(self) -> bool:
        """Whether keys go into it."""
        return self.screen.focused is self

    @property
    def stands(self) -> str:
        """The dataset that is chosen."""
        return one_line(dataset_named(self.app.state.draft), LONGEST_PATH)

    def show(self) -> None:
        """Show what is chosen, unless somebody writes."""
        if not self.written_in:
            with self.prevent(Input.Changed):
                self.value = self.stands

    def forget(self) -> None:
        """No letter before now belongs to a path."""
        self._slipped = ""

    def put_back(self) -> bool:
        """Show what is chosen in place of what was written; False where that is the same."""
        other = self.value != self.stands
        self.value = self.stands
        return other

    def write(self, begun: str) -> None:
        """Have a path written that begins so."""
        self.value = begun
        self.cursor_position = len(begun)
        self.screen.set_focus(self)

    def write_over(self) -> None:
        """Have a path written: the first letter takes the place of the one that stands, an arrow goes on in it."""
        if not self.written_in:  # else a path was begun between the key and now
            self.focus()
            self.select_all()

    def is_rest_of_path(self, words: str) -> bool:
        """Whether words that followed a `/` are the rest of a path that exists."""
        return "/" in words.strip("/") and is_there(f"/{words}")

    def begins_with(self, event: events.Key) -> bool:
        """Whether a path begins with this key, which then goes into the field with all that follows.

        With rows, `~` and `.` do, and `/` where it searches nothing. Where there are none, every letter and sign does
        that is no key of the screen. Of `data/x.jsonl` the first letter takes the demo; where the second one is no key
        either, it was a path: nothing of it is lost.
        """
        state, character = self.app.state, event.character or ""
        slipped, self._slipped = self._slipped, ""
        if self.written_in or not character.isprintable() or not character.strip():
            return False
        empty = not state.draft.dataset or bool(state.dataset.problem)
        if not (slipped or empty or character in PATH_BEGINS):
            return False
        if (key := self.screen.active_bindings.get(event.key)) is not None:
            self._slipped = character if empty and key.binding.action == "demo" else ""
            return False
        self.write(slipped)
        return True
