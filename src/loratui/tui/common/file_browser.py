"""A browser for files and folders in a panel: enter goes into a folder or takes a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.format import one_line, size
from loratui.paths import home_short, without_tilde
from loratui.tui.common.filter_list import FilterList, Item, columns

MOST_ENTRIES = 5000
"""Entries of one folder that are listed."""


@dataclass(frozen=True)
class Entry:
    """One line of the browser. size_bytes: None for a folder."""

    path: Path
    size_bytes: int | None
    usable: bool
    taken: bool = False
    """Whether this folder itself is what is looked for."""


def list_folder(
    folder: Path, wanted: Callable[[Path], bool], taken: Callable[[Path], bool] = lambda folder: False
) -> list[Entry]:
    """Folders first, those that are `taken` themselves in front, then files, hidden ones left out; an empty file is of
    no use. Raises OSError.
    """
    folders: list[Entry] = []
    files: list[Entry] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or len(folders) + len(files) >= MOST_ENTRIES:
                continue
            path = Path(entry.path)
            try:
                if entry.is_dir():
                    folders.append(Entry(path, None, True, taken(path)))
                else:
                    length = entry.stat().st_size
                    files.append(Entry(path, length, length > 0 and wanted(path)))
            except OSError:
                files.append(Entry(path, 0, False))
    folders.sort(key=lambda entry: (not entry.taken, _by_name(entry)))
    files.sort(key=lambda entry: (not entry.usable, _by_name(entry)))
    return [*folders, *files]


def _is_path(typed: str) -> bool:
    """Whether what is typed is no part of a name: `/data`, `~/data`, `data/rows.jsonl`, `..`."""
    return "/" in typed or typed in ("~", ".", "..")


def _by_name(entry: Entry) -> str:
    return entry.path.name.lower()


class BrowserScreen(ModalScreen[str]):
    """Returns the chosen path, or an empty text.

    wanted: which files may be taken. folders: whether a folder itself may be taken, by the first line.
    taken: which folders enter takes instead of opening them; `called` says what they are.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", key_display="esc"),
        Binding("left,backspace", "up", "Folder above", key_display="←"),
        Binding("right", "into", "Into the folder", key_display="→"),
    ]

    def __init__(
        self,
        title: str,
        start: Path,
        wanted: Callable[[Path], bool],
        *,
        folders: str = "",
        taken: Callable[[Path], bool] = lambda folder: False,
        called: str = "",
    ) -> None:
        super().__init__(classes="panel-over")
        self.heading = title
        self.folder = start if start.is_dir() else start.parent
        self.wanted = wanted
        self.folders = folders
        self.taken, self.called = taken, called
        self.entries: dict[str, Entry] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            panel.border_title = Content(self.heading)
            panel.border_subtitle = Content("enter opens · ← folder above · / filter · esc closes")
            yield Static(id="where")
            yield FilterList(
                self._draw,
                placeholder="filter by name, or a path",
                id="entries",
                empty="Nothing here.",
                unlisted=lambda typed: f"enter goes to {typed}" if _is_path(typed) else "",
            )

    def on_mount(self) -> None:
        self.query_one(FilterList).focus_list()
        self._open(self.folder, "")

    @work(thread=True, exclusive=True, exit_on_error=False)
    def _open(self, folder: Path, came_from: str) -> None:
        try:
            entries, problem = list_folder(folder, self.wanted, self.taken), ""
        except OSError as error:
            entries, problem = [], error.strerror or str(error)
        self.app.call_from_thread(self._show, folder, entries, problem, came_from, "")

    @work(thread=True, exclusive=True, exit_on_error=False)
    def _go(self, path: Path) -> None:
        """To what a typed path names: a folder is opened, or taken where it is what is looked for, a file is taken; of
        what is not there as much as is, with the rest as the filter.
        """
        folder, rest, problem = path, "", ""
        try:
            if path.is_dir():
                if self.taken(path):
                    self.app.call_from_thread(self.dismiss, str(path))
                    return
            elif path.is_file():
                folder = path.parent
                if path.stat().st_size and self.wanted(path):
                    self.app.call_from_thread(self.dismiss, str(path))
                    return
                problem = "It is empty." if not path.stat().st_size else "It is nothing that can be taken here."
            elif path.parent.is_dir():
                folder, rest = path.parent, path.name
            else:
                problem = "There is no such file or folder."
            entries = [] if problem else list_folder(folder, self.wanted, self.taken)
        except OSError as error:
            entries, problem = [], error.strerror or str(error)
        self.app.call_from_thread(self._show, path if problem else folder, entries, problem, "", rest)

    def _show(self, folder: Path, entries: list[Entry], problem: str, came_from: str, typed: str) -> None:
        if problem:
            self.query_one("#where", Static).update(
                Content(f"✗ {one_line(folder)}: {one_line(problem)}").stylize("$error")
            )
            return
        self.folder = folder
        self.query_one("#where", Static).update(Content(one_line(home_short(folder))).stylize("bold"))
        self.entries = {str(entry.path): entry for entry in entries}
        items = []
        if self.may_take(folder):
            items.append(Item(".", ""))  # no words: a filter leads to what lies in the folder
        if folder.parent != folder:
            items.append(Item("..", ""))
        items += [Item(key, entry.path.name, disabled=not entry.usable) for key, entry in self.entries.items()]
        chooser = self.query_one(FilterList)
        chooser.filter_field.value = typed
        usable = [key for key, entry in self.entries.items() if entry.usable]
        wanted = [key for key in usable if self.entries[key].taken or self.entries[key].size_bytes is not None]
        first = next(iter([*wanted, *usable]), "..")
        chooser.set_items(items, highlight=came_from or first)

    def may_take(self, folder: Path) -> bool:
        """Whether this folder itself may be taken: any, or only what is looked for."""
        return bool(self.folders) and (not self.called or self.taken(folder))

    def _draw(self, item: Item, width: int) -> Content:
        if item.key == ".":
            return Content(f"● {self.folders}").stylize("$accent")
        if item.key == "..":
            return Content("↑ folder above").stylize("$text-muted")
        entry = self.entries[item.key]
        name = one_line(entry.path.name, 120)
        if entry.size_bytes is None:
            if entry.taken:
                return columns(width, Content(f"● {name}/").stylize("bold $accent"), (self.called, len(self.called)))
            return Content(f"▸ {name}/").stylize("bold")
        return columns(width, Content(f"  {name}"), (size(entry.size_bytes), 10))

    @on(FilterList.Chosen)
    def _chosen(self, event: FilterList.Chosen) -> None:
        if event.key == ".":
            self.dismiss(str(self.folder))
        elif event.key == "..":
            self.action_up()
        elif self.entries[event.key].size_bytes is None and not self.entries[event.key].taken:
            self._open(self.entries[event.key].path, "")
        else:
            self.dismiss(event.key)

    @on(FilterList.Typed)
    def _typed(self, event: FilterList.Typed) -> None:
        if _is_path(event.text):
            self._go(Path(os.path.normpath(self.folder / without_tilde(event.text))))

    def action_up(self) -> None:
        """Go to the folder above."""
        self._open(self.folder.parent, str(self.folder))

    def action_into(self) -> None:
        """Open the folder under the cursor."""
        entry = self.entries.get(self.query_one(FilterList).highlighted_key)
        if entry is not None and entry.size_bytes is None:
            self._open(entry.path, "")

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss("")
