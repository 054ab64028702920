"""Below the list of runs, where a terminal is wide: figures, evaluations and settings of the run under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from loratui.tui.common.text import wrapped

if TYPE_CHECKING:
    from loratui.tui.training.chart import Picture
    from loratui.tui.training.follow import Followed


class RunMore(Horizontal):
    """Shows what is known of a run; nothing is imported or laid out for it while it is not shown."""

    def __init__(self) -> None:
        super().__init__(id="run-more")
        self._told = {"run-figures": Content(""), "run-settings": Content("")}

    def compose(self) -> ComposeResult:
        for name, title in (("run-figures", "figures"), ("run-settings", "settings")):
            box = Static(id=name, classes="box")
            box.border_title = Content(title)
            yield box

    def show(self, followed: Followed | None) -> None:
        """Tell of this run; nothing is painted where nothing differs."""
        if not self.display:
            return
        from loratui.tui.wizard.settings import setting_lines

        figures, settings = (self.query_one(f"#{name}", Static) for name in self._told)
        self._update(figures, figure_lines(followed, *figures.content_size) if followed is not None else Content(""))
        plan = followed.plan if followed is not None else None
        self._update(settings, setting_lines(plan, *settings.content_size) if plan is not None else Content(""))

    def _update(self, box: Static, told: Content) -> None:
        if told != self._told[str(box.id)]:
            self._told[str(box.id)] = told
            box.update(told)


def figure_lines(followed: Followed, width: int, height: int) -> Content:
    """What was found, the newest figures, and below them the evaluations and answers."""
    from loratui.tui.training.figures import fitting_figures
    from loratui.tui.training.history_lines import history_lines
    from loratui.tui.training.run_state import finding_lines

    if not width or not height:
        return Content("")
    lines: list[Content] = []
    for finding in finding_lines(followed):
        lines += wrapped(finding, width)
    lines = [*lines[: height // 2], *([Content("")] if lines else [])]
    lines += fitting_figures(followed.record, None, width, max(0, height - len(lines)), without=("predicted",))
    lines += history_lines(followed.record, width, height - len(lines))
    return Content("\n").join(lines[:height])


def curve_of(followed: Followed) -> Picture:
    """A run's smoothed loss with its evaluations."""
    from loratui.tui.training.chart import Line, Picture
    from loratui.tui.training.curves import x_end

    loss = followed.record.loss_smooth
    return Picture(
        lines=(Line(loss.xs, loss.points, "smooth"),),
        marks=followed.record.marks,
        x_end=x_end(followed.record),
        from_zero=True,
        format=lambda value: f"{value:.3g}",
    )
