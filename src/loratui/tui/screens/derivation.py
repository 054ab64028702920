"""How one value follows: the formula with its numbers, the source, the rule of thumb, up and down, and disagreement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from loratui.tui.text import harmless, value_text

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal


class DerivationScreen(ModalScreen[None]):
    """A panel for one field; F1 again shows the keys of the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Close", key_display="esc"),
        Binding("f1,question_mark", "keys", "Keys", key_display="F1"),
    ]

    def __init__(self, over: Screen[Any], key: str, proposal: Proposal) -> None:
        super().__init__(classes="panel-over")
        self.over, self.key, self.proposal = over, key, proposal

    def compose(self) -> ComposeResult:
        from loratui.core.plan_text import fields

        with VerticalScroll(id="panel") as panel:
            panel.border_title = Content(f"{fields()[self.key].title} ({self.key})")
            panel.border_subtitle = Content("F1 keys of this screen · esc closes")
            for content in derivation(self.key, self.proposal):
                yield Static(content, classes="paragraph")

    def on_mount(self) -> None:
        self.query_one("#panel").focus()

    def action_keys(self) -> None:
        """Show the keys of the screen below."""
        from loratui.tui.screens.help import HelpScreen

        self.app.switch_screen(HelpScreen(self.over))


def derivation(key: str, proposal: Proposal) -> list[Content]:
    """The paragraphs of the panel."""
    from loratui.core.plan_text import allowed, fields

    field, reason = fields()[key], proposal.recommendations.get(key)
    now = value_text(proposal.plan.get(key))
    paragraphs = [
        Content(f"{field.description}  Takes {allowed(key)}."),
        _pair("now", f"{harmless(now)}  ({proposal.origins.get(key, '')})", "bold $accent"),
    ]
    if reason is None:
        paragraphs.append(Content("The calculation has no view on this one: it is a matter of taste or of your data.").stylize("$text-muted"))
        return [*paragraphs, *guides(key, proposal)]
    pairs = [
        _pair("proposed", harmless(value_text(reason.value)), "bold"),
        _pair("because", harmless(reason.why), ""),
    ]
    for word, text in (
        ("formula", reason.formula), ("source", reason.source),
        ("rule of thumb", "" if reason.rule_of_thumb is None else value_text(reason.rule_of_thumb)),
        ("up", reason.up), ("down", reason.down), ("disagreement", reason.disagreement),
    ):
        if text:
            pairs.append(_pair(word, harmless(text), ""))
    return [*paragraphs, *pairs, *guides(key, proposal)]


def guides(key: str, proposal: Proposal) -> list[Content]:
    """What the widespread guides say about this field, each with what the evidence says; the row of this situation is marked."""
    from loratui.core.knowledge import tables_for

    here = {
        "examples": proposal.data.examples, "parameters": proposal.parameters_total, "rank": proposal.plan.lora.r,
        "memory_bytes": proposal.device.memory_total_bytes,
    }
    paragraphs: list[Content] = []
    for table in tables_for(key):
        marked = table.row_of(here[table.measure]) if table.measure else None
        lines = [Content.assemble((f"the guides: {table.title}\n", "$text-muted"), ("   " + " · ".join(table.columns), "italic"))]
        for number, row in enumerate(table.rows):
            chosen = number == marked
            cells = " · ".join(cell for cell in row if cell)
            lines.append(Content(f"{'▸' if chosen else ' '}  {cells}").stylize("bold" if chosen else ""))
        lines.append(Content(f"   {table.source}").stylize("$text-muted"))
        if table.evidence:
            lines.append(Content(f"   evidence: {table.evidence}"))
        paragraphs.append(Content("\n").join(lines))
    return paragraphs


def _pair(word: str, text: str, style: str) -> Content:
    return Content.assemble((f"{word}\n", "$text-muted"), (text, style))
