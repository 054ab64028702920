"""What is wrong with the rows of a dataset: by kind, with the lines, and the choice to leave a kind out; in a panel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.format import one_line
from loratui.tui.common.filter_list import columns
from loratui.tui.wizard.check import problems_found

if TYPE_CHECKING:
    from loratui.tui.wizard.loading import DatasetView

MOST = 200
"""Rows of one kind that are listed."""


@dataclass(frozen=True)
class Kind:
    """One kind of fault. rows: how many were found; 0 where the plan leaves them out already. place, sentence of each
    listed.
    """

    name: str
    rows: int
    listed: tuple[tuple[str, str], ...]
    blocking: bool
    """Its rows cannot be trained on as they are."""


def kinds_found(view: DatasetView | None, check: Mapping[str, Any] | None) -> list[Kind]:
    """The kinds that the check found, those that cost rows first; before it, those of the first rows."""
    listed: dict[str, list[tuple[str, str]]] = {}
    blocking: dict[str, bool] = {}
    if check is None:
        problems = [row.problem for row in (view.preview.rows if view is not None else ()) if row.problem is not None]
        rows = [(p.kind, p.line, p.index, p.message, p.blocking) for p in problems]
    else:
        rows = [(p["kind"], p["line"], p["index"], p["message"], p["blocking"]) for p in check["problems"]]
    for name, line, index, message, blocks in rows:
        place = f"line {line:,}" if line is not None else f"row {index + 1:,}" if index is not None else "file"
        listed.setdefault(name, []).append((place, message))
        blocking[name] = blocking.get(name, False) or blocks
    counts: Mapping[str, int] = check["problem_counts"] if check is not None else Counter(row[0] for row in rows)
    left: Mapping[str, int] = check.get("left_out_by", {}) if check is not None else {}
    found = [
        Kind(name, counts.get(name, len(places)), tuple(places), blocking[name]) for name, places in listed.items()
    ]
    found += [Kind(name, 0, (), False) for name in left if name not in listed and name != "by-hand"]
    return sorted(found, key=lambda kind: (not kind.blocking, -kind.rows))


class ProblemsScreen(ModalScreen[list[str]]):
    """The kinds above, the rows of the one under the cursor below. Returns the kinds to leave out, as the plan shall
    have them.

    left_out: the plan's kinds now.
    """

    CSS_PATH = "panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,e,q", "leave", "Close", key_display="esc"),
        Binding(
            "space",
            "leave_out",
            "Leave out",
            tooltip="Leave the rows of this kind out of the training, or take them back",
        ),
    ]

    def __init__(self, view: DatasetView | None, check: Mapping[str, Any] | None, left_out: Sequence[str] = ()) -> None:
        super().__init__(classes="panel-over")
        self.checked = check is not None
        self.counts: Mapping[str, int] = check.get("left_out_by", {}) if check is not None else {}
        self.kinds = kinds_found(view, check)
        self.total = problems_found(check) if check is not None else sum(kind.rows for kind in self.kinds)
        self.left_out = list(left_out)

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            about = "" if self.checked or not self.total else "at least "
            panel.border_title = Content(f"{about}{self.total:,} problem{'s' if self.total != 1 else ''}")
            panel.border_subtitle = Content(
                "space leaves a kind out · esc closes" if self.kinds and self.checked else "esc closes"
            )
            if not self.kinds:
                words = (
                    "Nothing is wrong with the rows."
                    if self.checked
                    else "Nothing is wrong with the first rows. The whole dataset is checked once its model is here."
                )
                yield Static(Content(f"✓ {words}").stylize("$success"))
                return
            yield OptionList(markup=False, id="kinds")
            with VerticalScroll(id="listed", can_focus=False):
                yield Static(id="places")

    def on_mount(self) -> None:
        for kinds in self.query("#kinds"):
            kinds.focus()
            self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        kinds = self.query_one("#kinds", OptionList)
        at, width = kinds.highlighted or 0, max(40, kinds.scrollable_content_region.width - 1)
        kinds.clear_options()
        kinds.add_options([Option(self._line(kind, width)) for kind in self.kinds])
        kinds.highlighted = at

    def _line(self, kind: Kind, width: int) -> Content:
        if kind.name in self.left_out:
            count = self.counts.get(kind.name, kind.rows)
            return columns(
                width, f"○ {one_line(kind.name, 60)}", (f"{count:,}", 9), (Content("left out").stylize("$accent"), 22)
            )
        if kind.blocking:
            return columns(
                width,
                f"✗ {one_line(kind.name, 60)}",
                (f"{kind.rows:,}", 9),
                (Content("cannot be trained on").stylize("$error"), 22),
            )
        words = "trained on" if self._can_leave_out(kind) else "trained on, only told"
        return columns(
            width, f"● {one_line(kind.name, 60)}", (f"{kind.rows:,}", 9), (Content(words).stylize("$warning"), 22)
        )

    def _can_leave_out(self, kind: Kind) -> bool:
        from loratui.core.plan import LeftOutKind

        return self.checked and not kind.blocking and kind.name in get_args(LeftOutKind)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        kind = self.kinds[event.option_index]
        lines = [
            Content.assemble((f"{place:>12}  ", "bold"), one_line(message, 400))
            for place, message in kind.listed[:MOST]
        ]
        whole = all(place == "file" for place, _ in kind.listed)
        if kind.rows > len(lines) > 0 and not whole:
            lines.append(
                Content(f"and {kind.rows - len(lines):,} more: `loratui inspect --json` lists more of them.").stylize(
                    "$text-muted"
                )
            )
        if not lines:
            lines = [
                Content("Its rows are left out; the run's left_out.jsonl will name each of them.").stylize(
                    "$text-muted"
                )
            ]
        self.query_one("#places", Static).update(Content("\n").join(lines))
        self.query_one("#listed").scroll_home(animate=False)

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        self.action_leave_out()

    def action_leave_out(self) -> None:
        """Leave the rows of this kind out, or take them back."""
        for kinds in self.query("#kinds"):
            assert isinstance(kinds, OptionList)
            kind = self.kinds[kinds.highlighted or 0]
            if kind.name in self.left_out:
                self.left_out.remove(kind.name)
            elif self._can_leave_out(kind):
                self.left_out.append(kind.name)
            self._draw()

    def action_leave(self) -> None:
        """Close, with the kinds as they are marked."""
        self.dismiss(self.left_out)
