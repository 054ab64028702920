"""What becomes of the thinking in the rows, and the mends that were tried for it, in a panel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.format import one_line


class ThinkingScreen(ModalScreen[dict[str, Any] | None]):
    """The ledger and its mends. Returns plan keys, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,m", "leave", "Close", key_display="esc")]

    def __init__(self, ledger: Mapping[str, Any]) -> None:
        super().__init__(classes="panel-over")
        self.ledger = ledger

    def compose(self) -> ComposeResult:
        mends = self.ledger["fixes"]
        with Vertical(id="panel") as panel:
            panel.border_title = Content("Thinking")
            panel.border_subtitle = Content("enter takes a mend · esc closes" if mends else "esc closes")
            yield Static(Content("\n").join(ledger_lines(self.ledger)), id="thinking-ledger")
            if mends:
                yield OptionList(
                    *(Option(_mend(mend), id=str(number)) for number, mend in enumerate(mends)),
                    markup=False,
                    id="mends",
                )

    def on_mount(self) -> None:
        for mends in self.query(OptionList):
            mends.focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(dict(self.ledger["fixes"][int(event.option.id or 0)]["set"]))

    def action_leave(self) -> None:
        """Close without a change."""
        self.dismiss(None)


def ledger_lines(ledger: Mapping[str, Any]) -> list[Content]:
    """The ledger in words: what is in the rows, and what becomes of it."""
    characters = ledger["characters"]
    lines = [
        Content(
            f"{ledger['answers']:,} answers in {ledger['rows']:,} rows hold thinking: {ledger['in_field']:,} in a "
            f"field, {ledger['in_text']:,} in their text"
        )
    ]
    total = max(1, characters["given"])
    for name, words in (("learnt", "is learnt"), ("shown", "is shown, not learnt"), ("dropped", "is dropped")):
        if characters[name]:
            style = "$warning" if name == "dropped" else "$foreground"
            line = f"{characters[name]:>12,} characters of it ({characters[name] / total:.0%}) {words}"
            lines.append(Content(line).stylize(style))
    lines += [Content(f"▲ {one_line(sentence, 300)}").stylize("$warning") for sentence in ledger["sentences"]]
    if not ledger["sentences"]:
        lines.append(Content("✓ nothing is dropped, and nothing is learnt that nobody thought").stylize("$success"))
    return lines


def _mend(mend: Mapping[str, Any]) -> Content:
    setting = ", ".join(f"{key} = {value}" for key, value in mend["set"].items())
    left = f" ({mend['left']:,} characters are still dropped in the rows tried)" if mend["left"] else ""
    return Content.assemble((setting, "bold"), (f"  {one_line(mend['why'], 200)}{left}", "$text-muted"))
