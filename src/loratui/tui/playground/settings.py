"""The panel of generation settings: each with its range, and one line of advice on its present value."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from loratui.core.errors import InputError
from loratui.core.generation import PRESETS, GenerationSettings, advice, preset_of, range_of, set_value
from loratui.format import number_text
from loratui.tui.frame.step import TINY

STEPS: dict[str, tuple[float, ...]] = {
    "temperature": (0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0),
    "top_p": (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0),
    "top_k": (0, 1, 5, 10, 20, 50, 100, 200),
    "min_p": (0, 0.02, 0.05, 0.1, 0.2, 0.5),
    "repetition_penalty": (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5),
    "max_tokens": (16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
    "seed": (),
}
"""The usual values, which ctrl+right and ctrl+left step through; any other can be written."""


class SettingsScreen(ModalScreen[GenerationSettings | None]):
    """Returns the settings, or None where they were left as they were."""

    CSS_PATH = "panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take them", priority=True),
        Binding("escape", "cancel", "Leave as they were"),
        Binding("down", "move(1)", "Next", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", show=False, priority=True),
        Binding("ctrl+right,pageup", "change(1)", "More", show=False, priority=True),
        Binding("ctrl+left,pagedown", "change(-1)", "Less", show=False, priority=True),
        Binding("p", "preset", "Next preset", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    SettingsScreen #panel { width: 76; padding: 1 2 0 2; }
    SettingsScreen .setting { height: 1; }
    SettingsScreen .setting > .name { width: 20; color: $text-muted; }
    SettingsScreen .setting > Input { width: 12; }
    SettingsScreen .setting > .range { width: 1fr; padding: 0 0 0 2; color: $text-muted; }
    SettingsScreen .setting:focus-within > .name { color: $accent; text-style: bold; }
    SettingsScreen #preset { height: 1; margin: 0 0 1 0; }
    SettingsScreen #advice { height: 3; margin: 1 0; }
    SettingsScreen.-tiny #preset, SettingsScreen.-tiny #advice { margin: 0; }
    """

    def __init__(self, settings: GenerationSettings) -> None:
        super().__init__(classes="panel-over")
        self._settings = settings

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = "generation settings"
            panel.border_subtitle = "↑↓ field · pgup pgdn value · p preset"
            yield Static(id="preset")
            for name, field in GenerationSettings.model_fields.items():
                with Horizontal(classes="setting"):
                    yield Static(Content(str(field.title)), classes="name")
                    yield Input(
                        _written(self._settings, name),
                        id=f"set-{name}",
                        classes="plain",
                        compact=True,
                        select_on_focus=True,
                    )
                    yield Static(Content(_range_words(name)), classes="range")
            yield Static(id="advice")

    def on_resize(self) -> None:
        self.set_class(self.size.height < TINY, "-tiny")

    def on_mount(self) -> None:
        for field in self.query(Input):
            field.cursor_blink = False
        self.query_one("#set-temperature").focus()
        self._show()

    @property
    def _focused_name(self) -> str:
        focused = self.focused
        return str(focused.id).removeprefix("set-") if isinstance(focused, Input) else "temperature"

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._show()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        name = str(event.input.id).removeprefix("set-")
        try:
            self._settings = set_value(self._settings, name, event.value.strip().replace(",", "."))
            event.input.remove_class("-wrong")
        except InputError:
            event.input.add_class("-wrong")
        self._show()

    def _show(self) -> None:
        preset = preset_of(self._settings)
        words: list[tuple[str, str] | str] = [("preset  ", "$text-muted")]
        for name in (*PRESETS, "own"):
            chosen = name == preset
            words.append((f"● {name}  " if chosen else f"○ {name}  ", "bold $accent" if chosen else "$text-muted"))
        self.query_one("#preset", Static).update(Content.assemble(*words))
        name = self._focused_name
        field = GenerationSettings.model_fields[name]
        problem = self._problem(name)
        second = (f"✗ {problem}", "$error") if problem else (advice(self._settings, name), "$foreground")
        self.query_one("#advice", Static).update(
            Content.assemble((str(field.description), "$text-muted"), "\n", second)
        )

    def _problem(self, name: str) -> str:
        text = self.query_one(f"#set-{name}", Input).value.strip().replace(",", ".")
        try:
            set_value(self._settings, name, text)
        except InputError as error:
            return error.message
        return ""

    def action_move(self, by: int) -> None:
        """To the next or previous field."""
        fields = list(self.query(Input))
        place = fields.index(self.focused) if isinstance(self.focused, Input) else 0
        fields[(place + by) % len(fields)].focus()

    def action_change(self, by: int) -> None:
        """To the next usual value."""
        name = self._focused_name
        now = float(getattr(self._settings, name))
        usual = STEPS[name]
        if not usual:
            value = max(0.0, now + by)
        elif by > 0:
            value = next((one for one in usual if one > now), usual[-1])
        else:
            value = next((one for one in reversed(usual) if one < now), usual[0])
        field = GenerationSettings.model_fields[name]
        self.query_one(f"#set-{name}", Input).value = str(int(value)) if field.annotation is int else number_text(value)

    def action_preset(self) -> None:
        """Take the next preset's sampling values; length and seed stay."""
        names = list(PRESETS)
        now = preset_of(self._settings)
        name = names[(names.index(now) + 1) % len(names)] if now in names else names[0]
        self._settings = PRESETS[name].model_copy(
            update={"max_tokens": self._settings.max_tokens, "seed": self._settings.seed}
        )
        for field in GenerationSettings.model_fields:
            entry = self.query_one(f"#set-{field}", Input)
            with self.prevent(Input.Changed):
                entry.value = _written(self._settings, field)
        self._show()

    def action_take(self) -> None:
        """Close with the settings; where one is wrong, go there instead."""
        for name in GenerationSettings.model_fields:
            if self._problem(name):
                self.query_one(f"#set-{name}", Input).focus()
                self._show()
                return
        self.dismiss(self._settings)

    def action_cancel(self) -> None:
        """Close; nothing changes."""
        self.dismiss(None)


def _written(settings: GenerationSettings, name: str) -> str:
    value = getattr(settings, name)
    return str(value) if isinstance(value, int) else number_text(value)


def _range_words(name: str) -> str:
    return range_of(name) if name != "seed" else "any whole number"


def summary(settings: GenerationSettings) -> str:
    """The settings in a few words: `precise · 256 tokens`, `temperature 0.7 · top-p 0.95 · 256 tokens`."""
    preset = preset_of(settings)
    if preset == "own":
        parts = [f"temperature {number_text(settings.temperature)}"]
        for name, off in (("top_p", 1.0), ("top_k", 0), ("min_p", 0.0), ("repetition_penalty", 1.0)):
            value = getattr(settings, name)
            if value != off:
                parts.append(f"{str(GenerationSettings.model_fields[name].title).lower()} {number_text(float(value))}")
    else:
        parts = [preset]
    return " · ".join([*parts, f"at most {settings.max_tokens} tokens"])
