"""A path that is typed or pasted on Dataset: taken by enter and by ^n, once there is a dataset of that name."""

from __future__ import annotations

from pathlib import Path

from textual import events, on
from textual.widgets import Input

from loratui.format import one_line
from loratui.tui.dataset.path_field import LONGEST_PATH, PathField, by_its_name
from loratui.tui.frame.step import StepScreen


class TypedPathScreen(StepScreen):
    """The field of the path, and what becomes of what is written in it."""

    def __init__(self) -> None:
        super().__init__()
        self._going_on = ""
        """The path with which a person goes on, once it was found."""

    @property
    def path_field(self) -> PathField:
        """The field of the path."""
        return self.query_one(PathField)

    def on_key(self, event: events.Key) -> None:
        """As the rows hand on what begins a path, where nothing has the focus."""
        if self.path_field.begins_with(event):
            event.prevent_default()
            event.stop()
            self.path_field.insert_text_at_cursor(event.character or "")

    def on_paste(self, event: events.Paste) -> None:
        """A pasted path goes into the path, wherever one stands."""
        if not self.path_field.written_in:
            event.stop()
            self.path_field.write(one_line(event.text.strip(), LONGEST_PATH))

    def action_write(self) -> None:
        """Write a path."""
        self.path_field.write_over()

    @on(Input.Submitted, "#path")
    def _typed(self, event: Input.Submitted) -> None:
        path = event.value.strip()
        if not path:
            self.say("Type a path first; o opens a browser.", "error")
        elif path == self.path_field.stands and self.app.state.dataset.view is not None:
            self.action_next()
        else:
            self._take_path(path)

    def action_next(self) -> None:
        """Go on; what stands in the field and was not entered is taken first."""
        path = self.path_field.value.strip()
        if path and self.path_field.written_in and path != self.path_field.stands:
            self._going_on = path
            self._take_path(path)
        else:
            super().action_next()

    def go_on_with_what_was_typed(self) -> None:
        """Go on where a person wanted to, now that the dataset was read."""
        state = self.app.state
        if self._going_on and self._going_on == state.draft.dataset:
            if state.dataset.view is not None:
                self._going_on = ""
                super().action_next()
            elif state.dataset.problem:
                self._going_on = ""

    def _take_path(self, path: str) -> None:
        """Take this dataset once it was found; until then, and where there is none, the chosen one stands."""
        if path == ".":
            self._going_on = ""
            self.say(f"Not taken: . is this whole folder, {one_line(Path.cwd().name, 40)}. Write ./ for that.", "error")
            return
        if self.app.state.dataset.view is not None:
            self.say(f"Looking for {one_line(path, 80)} …")
        self.app.try_dataset(path, self._path_taken, self._not_taken)

    def _path_taken(self) -> None:
        if self.is_mounted:
            self.set_focus(self.query_one("#row"))

    def _not_taken(self, problem: str) -> None:
        self._going_on = ""
        if self.is_mounted:
            stays, why = Path(self.path_field.stands).name, by_its_name(problem, self.path_field.value.strip())
            self.say(f"{one_line(stays, 40)} stays chosen. {why}", "error")
