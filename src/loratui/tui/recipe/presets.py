"""Choosing a preset, and saving one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from loratui.format import in_gib, one_line
from loratui.tui.common.filter_list import FIT_GLYPHS, FilterList, Item, columns

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp


class PresetScreen(ModalScreen[str]):
    """Each preset with what it would take here. Returns a name, or an empty text."""

    CSS_PATH = "panels.tcss"
    app: LoratuiApp

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self) -> None:
        super().__init__(classes="panel-over")
        self.outcomes: dict[str, tuple[str, str, str]] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            panel.border_title = Content("Presets")
            panel.border_subtitle = Content("enter chooses · type to filter · esc closes")
            yield FilterList(self._draw, placeholder="filter", id="presets")
            yield Static(id="preset-details")

    def on_mount(self) -> None:
        state = self.app.state
        self.presets = state.plan.presets
        chooser = self.query_one(FilterList)
        chooser.set_items(
            [Item(name, f"{name} {preset.title}") for name, preset in self.presets.items()],
            highlight=state.draft.preset,
        )
        chooser.focus_filter()
        self._compute()

    @work(thread=True, exit_on_error=False)
    def _compute(self) -> None:
        """What each preset would take for this model, data and device."""
        from loratui.core.errors import LoratuiError
        from loratui.core.proposal import propose

        state = self.app.state
        situation = state.plan.situation()
        if situation is None:
            return
        outcomes: dict[str, tuple[str, str, str]] = {}
        for name, preset in self.presets.items():
            try:
                proposal = propose(situation, preset, state.choices.given(), state.choices.held)
            except LoratuiError:
                outcomes[name] = ("–", "", "$text-muted")
                continue
            glyph, color = FIT_GLYPHS[proposal.verdict]
            outcomes[name] = (
                f"{in_gib(proposal.memory.total_bytes)} GiB {glyph}",
                f"{proposal.schedule.total_steps:,} steps",
                color,
            )
        self.app.call_from_thread(self._take, outcomes)

    def _take(self, outcomes: dict[str, tuple[str, str, str]]) -> None:
        self.outcomes = outcomes
        self.query_one(FilterList).redraw()

    def _draw(self, item: Item, width: int) -> Content:
        preset = self.presets[item.key]
        memory, steps, color = self.outcomes.get(item.key, ("…", "", "$text-muted"))
        chosen = item.key == self.app.state.draft.preset
        return columns(
            width,
            Content(f"{'●' if chosen else '○'} {one_line(preset.title, 60)}"),
            (Content(memory).stylize(color), 12),
            (Content(steps).stylize("$text-muted"), 13),
        )

    @on(FilterList.Highlighted)
    def _moved(self, event: FilterList.Highlighted) -> None:
        words = self.presets[event.key].description if event.key else ""
        self.query_one("#preset-details", Static).update(Content(one_line(words, 300)).stylize("$text-muted"))

    @on(FilterList.Chosen)
    def _chosen(self, event: FilterList.Chosen) -> None:
        self.dismiss(event.key)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss("")


class SavePresetScreen(ModalScreen[str]):
    """A name for one's own preset. Returns it once the file is written, or an empty text."""

    app: LoratuiApp

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self) -> None:
        super().__init__(classes="panel-over")

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("Save this recipe as a preset")
            panel.border_subtitle = Content("enter saves · esc closes")
            yield Static(
                Content("What you set by hand and what the preset in use fixes is saved; the rest stays proposed."),
                classes="paragraph",
            )
            field = Input(placeholder="a name in small letters, e.g. my-support-bot", id="preset-name")
            field.cursor_blink = False
            yield field
            yield Static(id="preset-error")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _named(self, event: Input.Submitted) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.core.presets import Preset
        from loratui.presets_store import save_preset

        plan = self.app.state.plan
        name = event.value.strip()
        base = plan.preset
        values = {**(dict(base.values) if base else {}), **self.app.state.choices.recipe_values()}
        try:
            preset = Preset(
                name,
                name,
                f"Saved from the recipe screen, after {base.title if base else 'auto'}.",
                values,
                base.calculation if base else "evidence",
                base.warmup_ratio if base else None,
            )
            save_preset(preset)
        except LoratuiError as error:
            self.query_one("#preset-error", Static).update(
                Content(f"✗ {one_line(error.sentence, 300)}").stylize("$error")
            )
            return
        plan.add_preset(preset)
        self.dismiss(name)

    def action_leave(self) -> None:
        """Close without saving."""
        self.dismiss("")
