"""The pinned prompts' answers at each evaluation, scrubbed through the training beside the loss."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.format import harmless, loss_text, one_line
from loratui.runs.directory import Run
from loratui.runs.events import Eval, Event, Sample
from loratui.tui.training.history import History, sparkline

LONGEST = 4_000
"""Characters of one answer that are shown."""


@dataclass(slots=True)
class Moment:
    """One evaluation: its step, its loss (None where it was not evaluated), and what the prompts were answered."""

    step: int
    loss: float | None = None
    samples: list[Sample] = field(default_factory=list)


def moments(events: Iterable[Event]) -> list[Moment]:
    """Every step at which prompts were answered, in order; of a step that was done again after a resume, the last
    time.
    """
    found: dict[int, Moment] = {}
    losses: dict[int, float | None] = {}
    for event in events:
        if isinstance(event, Eval):
            losses[event.step] = event.loss
        elif isinstance(event, Sample):
            moment = found.setdefault(event.step, Moment(event.step))
            moment.samples = [one for one in moment.samples if one.prompt != event.prompt] + [event]
    for step, moment in found.items():
        moment.loss = losses.get(step)
    return [found[step] for step in sorted(found)]


class SamplesScreen(ModalScreen[None]):
    """← → goes through the evaluations, ↑ ↓ scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "scrub(-1)", "Earlier", priority=True),
        Binding("right", "scrub(1)", "Later", priority=True),
        Binding("home", "scrub(-100000)", "First", show=False, priority=True),
        Binding("end", "scrub(100000)", "Last", show=False, priority=True),
        Binding("escape,S,q", "leave", "Close", key_display="esc"),
    ]
    DEFAULT_CSS = """
    SamplesScreen #panel { width: 94%; height: 90%; }
    SamplesScreen #timeline { height: 3; }
    SamplesScreen VerticalScroll { height: 1fr; }
    """

    def __init__(self, run: Run) -> None:
        super().__init__(classes="panel-over")
        self._run = run
        self._moments: list[Moment] = []
        self._place = 0

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("answers through the training")
            panel.border_subtitle = Content("← → through time · ↑ ↓ pgdn scroll · esc closes")
            yield Static(Content("Reading the run …").stylize("$text-muted"), id="timeline")
            with VerticalScroll():
                yield Static(id="samples")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._read()

    @work(exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        try:
            self._moments = await asyncio.to_thread(lambda: moments(History(self._run.events_path, keep_steps=1)))
        except OSError as error:
            self._tell(f"The run's events cannot be read: {error.strerror or error}.")
            return
        self._place = len(self._moments) - 1
        if not self._moments:
            self._tell(
                "No prompt was answered in this run. Pin some in the recipe (evaluation.prompts); they are asked "
                "at every evaluation."
            )
            return
        self._show()

    def _tell(self, words: str) -> None:
        self.query_one("#timeline", Static).update(Content(words).stylize("$warning"))

    def _show(self) -> None:
        moment = self._moments[self._place]
        self.query_one("#timeline", Static).update(
            timeline(self._moments, self._place, max(10, self.query_one("#timeline").size.width))
        )
        self.query_one("#samples", Static).update(
            _samples(moment, self._moments[self._place - 1] if self._place else None)
        )

    def action_scrub(self, by: int) -> None:
        """To an earlier or a later evaluation."""
        if self._moments:
            self._place = min(max(0, self._place + by), len(self._moments) - 1)
            self._show()

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)


def timeline(found: Sequence[Moment], place: int, width: int) -> Content:
    """The evaluations' losses as bars, the shown one marked below, and its figures."""
    first = max(0, min(place - width // 2, len(found) - width))
    seen = found[first : first + width]
    known = [one.loss for one in seen if one.loss is not None]
    bars = sparkline([one.loss if one.loss is not None else max(known) for one in seen]) if known else "·" * len(seen)
    moment = found[place]
    loss = f", evaluation loss {loss_text(moment.loss)}" if moment.loss is not None else ""
    return Content.assemble(
        (bars, "$accent"),
        "\n",
        (" " * (place - first) + "▲", "bold $foreground"),
        "\n",
        (f"step {moment.step:,}", "bold $foreground"),
        (f"{loss} · {place + 1} of {len(found)}", "$text-muted"),
    )


def _samples(moment: Moment, before: Moment | None) -> Content:
    earlier = {one.prompt: one.answer for one in before.samples} if before else {}
    parts: list[Content | str | tuple[str, str]] = []
    for one in moment.samples:
        parts += [("❯ ", "bold $accent"), (one_line(one.prompt, 300), "$foreground"), "\n"]
        parts += [(harmless(one.answer, LONGEST) or "(nothing)", "$foreground"), "\n"]
        notes = []
        if one.expected:
            same = one.answer.strip() == one.expected.strip()
            notes.append(
                ("✓ as expected", "$success") if same else (f"✗ expected: {one_line(one.expected, 300)}", "$warning")
            )
        if one.prompt in earlier:
            notes.append(("changed" if earlier[one.prompt] != one.answer else "as before", "$text-muted"))
        for number, note in enumerate(notes):
            parts += [*([" · "] if number else []), note]
        parts.append("\n\n" if notes else "\n")
    return Content.assemble(*parts)
