"""How one value follows: the formula with its numbers, the source, the rule of thumb, up and down, and disagreement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from loratui.core.glossary import terms_of
from loratui.core.plan_text import allowed, fields
from loratui.format import harmless
from loratui.tui.common.help import HelpScreen
from loratui.tui.common.scroll_panel import ScrollPanel
from loratui.tui.common.terms import Terms
from loratui.tui.common.text import wrap
from loratui.tui.recipe.why import direction_words
from loratui.tui.wizard.settings import value_and_unit

if TYPE_CHECKING:
    from loratui.core.knowledge.table import Table
    from loratui.core.proposal import Proposal

PANEL, AROUND = 96, 8
"""Widest panel, and the columns of its border, padding and scroll bar, and of the text beside that."""
WORD, MARGIN = 15, 3
"""Columns of the word beside each text, and before a table."""


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
        with ScrollPanel() as panel:
            panel.border_title = Content(f"{fields()[self.key].title} ({self.key})")
            panel.border_subtitle = Content("F1 keys of this screen · esc closes")
            width = min(PANEL, self.app.size.width * 9 // 10) - AROUND
            if terms := terms_of(self.key):
                yield Terms(terms, classes="paragraph")
            for content in derivation(self.key, self.proposal, width):
                yield Static(content, classes="paragraph")

    def on_mount(self) -> None:
        self.query_one("#panel").focus()

    def action_keys(self) -> None:
        """Show the keys of the screen below."""
        app = self.app
        self.dismiss()
        app.push_screen(HelpScreen(self.over))


def derivation(key: str, proposal: Proposal, width: int) -> list[Content]:
    """The paragraphs of the panel, for lines of `width` columns."""
    field, reason = fields()[key], proposal.recommendations.get(key)
    now = f"{_told(key, proposal.plan.get(key))}  ({proposal.origins.get(key, '')})"
    about = Content(f"{field.description}  Takes {allowed(key)}.")
    if reason is None:
        taste = Content("The calculation has no view on this one: it is a matter of taste or of your data.").stylize(
            "$text-muted"
        )
        return [about, _pair("now", now, "bold $accent", width), taste, *guides(key, proposal, width)]
    instead = proposal.instead(key)
    price = f"  ({instead.cost})" if instead else ""
    decision = [
        _pair("now", now, "bold $accent", width),
        _pair("proposed", f"{_told(key, reason.value)}{harmless(price)}", "bold", width),
        _pair("because", harmless(reason.why), "", width),
    ]
    rule_of_thumb = "" if reason.rule_of_thumb is None else _told(key, reason.rule_of_thumb)
    founded = [
        _pair(word, harmless(text), "", width)
        for word, text in (("formula", reason.formula), ("source", reason.source), ("rule of thumb", rule_of_thumb))
        if text
    ]
    moving = [
        _pair(word, harmless(text), "", width)
        for word, text in (
            *zip(direction_words(key), (reason.up, reason.down), strict=True),
            ("disagreement", reason.disagreement),
        )
        if text
    ]
    return [
        about,
        *(Content("\n").join(part) for part in (decision, founded, moving) if part),
        *guides(key, proposal, width),
    ]


def _told(key: str, value: Any) -> str:
    """A value as its line on the recipe has it."""
    return harmless(" ".join(value_and_unit(key, value)).strip())


def guides(key: str, proposal: Proposal, width: int) -> list[Content]:
    """What the widespread guides say about this field, each with what the evidence says; the row of this situation is
    marked.
    """
    from loratui.core.knowledge.guides import tables_for

    return [guide(table, width, proposal.row_here(table)) for table in tables_for(key)]


def guide(table: Table, width: int, marked: int | None = None) -> Content:
    """One table of a guide, its long cells wrapped within their column; the marked row is this situation's."""
    from loratui.core.knowledge.table import laid_out

    blank = " " * MARGIN
    head, *body = laid_out((table.columns, *table.rows), width - MARGIN)
    lines = [Content.assemble(("The guides: ", "$text-muted"), (table.title, "bold"))]
    lines += [Content.assemble(blank, (text, "$text-muted")) for text in head]
    for number, texts in enumerate(body):
        chosen = number == marked
        lines += [
            Content(f"{'▸' if chosen and not place else '':<{MARGIN}}{text}").stylize("bold $accent" if chosen else "")
            for place, text in enumerate(texts)
        ]
    lines += [Content(text).stylize("$text-muted") for text in _hanging("", f"from: {table.source}", MARGIN, width)]
    if table.evidence:
        lines += [Content(text) for text in _hanging("", f"evidence: {table.evidence}", MARGIN, width)]
    return Content("\n").join(lines)


def _hanging(word: str, text: str, margin: int, width: int) -> list[str]:
    """Lines of a text beside a word that stands in the margin."""
    first, *more = wrap(text, max(20, width - margin))
    return [f"{word:<{margin}}{first}", *(" " * margin + line for line in more)]


def _pair(word: str, text: str, style: str, width: int) -> Content:
    first, *more = _hanging(word, text, WORD, width)
    return Content("\n").join(
        [
            Content.assemble((first[:WORD], "$text-muted"), (first[WORD:], style)),
            *(Content.assemble((line, style)) for line in more),
        ]
    )
