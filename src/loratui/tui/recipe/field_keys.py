"""The keys of the recipe's fields: as the footer and the help name them, and as the list answers them, in order."""

from __future__ import annotations

from textual.binding import Binding

FIELD_KEYS = (
    Binding("up,k", "cursor(-1)", "Up", show=False, tooltip="Field above"),
    Binding("down,j", "cursor(1)", "Down", show=False, tooltip="Field below"),
    Binding("left", "nudge(-1)", "Less", show=False, tooltip="Less, or the choice before"),
    Binding("right,space", "nudge(1)", "Change", key_display="← →", tooltip="More, or the next choice"),
    Binding("enter", "edit('type')", "Edit", key_display="enter", tooltip="Type a value; a digit begins at once"),
    Binding("enter", "edit('choose')", "Choices", key_display="enter", tooltip="Show the choices, to take one"),
    Binding("enter", "edit('take')", "Take this", key_display="enter", tooltip="Take what stands here"),
    Binding("escape", "leave", "Leave as it was", key_display="esc", tooltip="Leave the value as it was"),
    Binding("pageup", "page(-1)", "Page up", show=False, tooltip="A screenful of fields up"),
    Binding("pagedown", "page(1)", "Page down", show=False, tooltip="A screenful of fields down"),
    Binding("home", "jump(-1)", "First", show=False, tooltip="First field"),
    Binding("end", "jump(1)", "Last", show=False, tooltip="Last field"),
)

MOVES: dict[str, tuple[str, int]] = {
    "up": ("cursor", -1),
    "k": ("cursor", -1),
    "down": ("cursor", 1),
    "j": ("cursor", 1),
    "left": ("nudge", -1),
    "right": ("nudge", 1),
    "space": ("nudge", 1),
    "pageup": ("page", -1),
    "home": ("jump", -1),
    "pagedown": ("page", 1),
    "end": ("jump", 1),
    "enter": ("edit", 0),
}
"""What moves the cursor or edits, by key: the action, and which way."""
