"""How long the rows are, what each maximum length cuts, and what it costs, in a panel with its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.format import duration, duration_span, one_line, size
from loratui.tui.common.filter_list import columns

if TYPE_CHECKING:
    from loratui.core.length_prices import LengthPrice
    from loratui.tui.dataset.row_lengths import RowLengths


QUANTILES = {"min": "shortest", "median": "half within", "p90": "90 %", "p95": "95 %", "p99": "99 %", "max": "longest"}


WIDE = 80
"""Columns of the ledger from which its heads are written out."""
WHOLE_SPAN = 102
"""Columns from which a time is told from its lowest to its highest; else only the highest, and the head says so."""
UP_TO = "time up to"


def cells(
    width: int, cut: str, lost: str, nothing: str, memory: Content | str, time: str
) -> list[tuple[Content | str, int]]:
    """The right-hand columns of one line of the ledger."""
    if width < WIDE:
        return [(cut, 8), (lost, 9), (nothing, 8), (memory, 10), (time, len(UP_TO))]
    return [(cut, 8), (lost, 18), (nothing, 8), (memory, 10), (time, 26 if width >= WHOLE_SPAN else 12)]


class LengthsScreen(ModalScreen[int]):
    """The histogram and the ledger. Returns the maximum length that was chosen, or 0.

    prices: of each length of the ledger. now: the plan's maximum length.
    """

    CSS_PATH = "panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,l", "leave", "Close", key_display="esc")]

    def __init__(self, lengths: RowLengths, prices: Sequence[LengthPrice], now: int) -> None:
        super().__init__(classes="panel-over")
        self.lengths = lengths
        self.prices = {price.max_length: price for price in prices}
        self.now = now

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("Lengths")
            panel.border_subtitle = Content("enter takes a maximum length · esc closes")
            if self.lengths.basis:
                yield Static(Content(f"▲ {self.lengths.basis}").stylize("$warning"), id="lengths-basis")
            yield Static(self._quantiles(), id="quantiles")
            yield Static(id="histogram")
            yield Static(id="ledger-head")
            yield OptionList(markup=False, id="ledger")
            yield Static(self._packing(), id="packing")

    def on_mount(self) -> None:
        self.query_one("#ledger").focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        drawn, ledger = self.query_one("#histogram", Static), self.query_one("#ledger", OptionList)
        bars = self.lengths.histogram
        drawn.update(
            histogram(
                bars["edges"],
                bars["counts"],
                self.now,
                self.lengths.tokens["min"],
                self.lengths.tokens["max"],
                drawn.size.width,
                5 if self.size.height >= 30 else 3,
            )
        )
        width = max(40, ledger.scrollable_content_region.width - 1)
        marks = "● now · ◂ proposed · " if width < WIDE else ""
        self.query_one("#panel").border_subtitle = Content(f"{marks}enter takes a maximum length · esc closes")
        head = columns(
            width,
            Content("  maximum" if width < WIDE else "  maximum length"),
            *cells(
                width,
                "rows cut",
                "answer tokens lost" if width >= WIDE else "lost",
                "all lost",
                "memory",
                "time" if width >= WHOLE_SPAN else UP_TO,
            ),
        )
        self.query_one("#ledger-head", Static).update(head.stylize("$text-muted"))
        ledger.clear_options()
        ledger.add_options([Option(self._line(row, width), id=str(row["max_length"])) for row in self.lengths.ledger])
        lengths = [int(row["max_length"]) for row in self.lengths.ledger]
        ledger.highlighted = lengths.index(self.now) if self.now in lengths else 0

    def _line(self, row: Mapping[str, int], width: int) -> Content:
        length = int(row["max_length"])
        price = self.prices.get(length)
        words = [
            word for word, here in (("now", length == self.now), ("proposed", length == self.lengths.proposed)) if here
        ]
        word = f"  {', '.join(words)}" if words else ""
        if width < WIDE:
            word = " ◂" if length == self.lengths.proposed else ""
        name = Content.assemble(
            "● " if length == self.now else "○ ",
            (f"{length:,}", "bold" if length == self.now else ""),
            (word, "$accent"),
        )
        memory = Content("–")
        if price is not None:
            memory = Content.assemble(
                (size(price.memory_bytes), ""), (" ✓" if price.fits else " ✗", "$success" if price.fits else "$error")
            )
        time = "–"
        if price is not None and price.low_seconds is not None and price.high_seconds is not None:
            span = price.low_seconds, price.high_seconds
            time = duration_span(*span) if width >= WHOLE_SPAN else duration(span[1])
        lost, nothing = row.get("answer_tokens_lost"), row.get("without_answer")
        trained = self.lengths.trained_tokens
        share = f" ({lost / trained:.0%})" if trained and lost and width >= WIDE else ""
        return columns(
            width,
            name,
            *cells(
                width,
                f"{row['cut']:,}",
                "–" if lost is None else f"{lost:,}{share}",
                "–" if nothing is None else f"{nothing:,}",
                memory,
                time,
            ),
        )

    def _quantiles(self) -> Content:
        tokens = self.lengths.tokens
        pieces = [Content.assemble((f"{word} ", "$text-muted"), f"{tokens[key]:,}") for key, word in QUANTILES.items()]
        return Content("  ").join(pieces)

    def _packing(self) -> Content:
        packing, trained, total = self.lengths.packing, self.lengths.trained_tokens, self.lengths.tokens["total"]
        words = []
        if trained is not None and total:
            words.append(f"{trained / total:.1%} of the tokens are learnt.")
        if packing is not None:
            padded, packed = f"{packing['padded_share']:.0%}", f"{packing['packed_share']:.0%}"
            words.append(f"Batches of padded rows are {padded} full, packed ones {packed}.")
        words.append(f"Proposed is {self.lengths.proposed:,}: {self.lengths.why.rstrip('.')}.")
        return Content(one_line(" ".join(words), 400)).stylize("$text-muted")

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(int(event.option.id or 0))

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(0)


BLOCKS = " ▁▂▃▄▅▆▇█"


def histogram(
    edges: Sequence[int], counts: Sequence[int], limit: int, shortest: int, longest: int, width: int, height: int
) -> Content:
    """`height` lines of bars and one line of the axis; a line stands at `limit` tokens, and bars beyond it are told
    apart.

    edges: of the bins in tokens, one more than counts. shortest, longest: the rows in which the axis begins and ends.
    Empty bins before the first row are left out. A last bin that is far wider than the others gathers the rest: it is
    drawn as wide as they are.
    """
    if not counts or not any(counts):
        return Content("no rows")
    empty = next(number for number, count in enumerate(counts) if count)
    edges, counts = edges[empty:], counts[empty:]
    cells = max(1, width // len(counts))
    tallest = max(counts)
    beyond = [edges[number] >= limit > 0 for number in range(len(counts))]
    mark = next((number for number, cut in enumerate(beyond) if cut), None)
    pieces: list[tuple[str, str] | str] = []
    for row in range(height - 1, -1, -1):
        for number, (count, cut) in enumerate(zip(counts, beyond, strict=True)):
            eighths = count / tallest * height * 8 - row * 8
            block = BLOCKS[min(8, max(1 if count and not row else 0, round(eighths)))]
            drawn = block * cells if block != " " or number != mark else "┊".ljust(cells)
            pieces.append((drawn, "$warning" if cut else "$accent"))
        pieces.append("\n")
    first, last = f"{shortest:,}", f"{longest:,} tokens"
    whole = cells * len(counts)
    if mark is None or limit <= 0:
        return Content.assemble(*pieces, (f"{first}{last:>{max(1, whole - len(first))}}", "$text-muted"))
    label = f"▲ {limit:,}"
    place = min(mark * cells, max(0, whole - len(label) - len(last) - 1))
    axis = first.ljust(place)[:place] + label
    return Content.assemble(
        *pieces,
        (axis[:place], "$text-muted"),
        (label, "bold $warning"),
        (f"{last:>{max(len(last) + 1, whole - len(axis))}}", "$text-muted"),
    )
