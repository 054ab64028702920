"""Below the list of runs, where a terminal is wide: figures, evaluations and settings of the run under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from loratui.format import one_line
from loratui.tui.common.text import wrapped

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.tui.training.chart import Picture
    from loratui.tui.training.follow import Followed

LEAST_CELL = 38
"""Columns that a setting needs with its name and its value."""
GAP = 3


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


def setting_lines(plan: Plan, width: int, height: int) -> Content:
    """Every setting of a plan as the recipe shows it, group by group, in as many columns as there is room for."""
    from loratui.core.plan_text import label_of
    from loratui.tui.recipe.fields import shown_keys
    from loratui.tui.recipe.rows import value_and_unit

    if not width or not height:
        return Content("")
    many = max(1, (width + GAP) // (LEAST_CELL + GAP))
    room = (width - GAP * (many - 1)) // many
    cells: list[Content] = []
    for group, keys in shown_keys(plan.method.kind, True, plan.processes, plan.cluster.engine, plan.training.objective):
        values = [(key, plan.get(key)) for key in keys if plan.get(key) not in ("", [], {}, None)]
        rows = [_setting(label_of(key), *value_and_unit(key, value), room) for key, value in values]
        cells += [Content(group.upper()).stylize("$text-muted"), *rows] if rows else []
    beside = [cells[at * height : (at + 1) * height] for at in range(many)]
    lines = []
    for number in range(len(beside[0])):
        parts = [column[number] for column in beside if number < len(column)]
        lines.append(Content(" " * GAP).join(_padded(parts, room)))
    return Content("\n").join(lines)


def _setting(name: str, value: str, unit: str, room: int) -> Content:
    label = one_line(name, 18)
    shown = one_line(value, max(4, room - 20))
    return Content.assemble(
        (f"{label:<20}", "$text-muted"), (shown, "$foreground"), (f" {unit}" if unit else "", "$text-muted")
    )


def _padded(parts: list[Content], room: int) -> list[Content]:
    return [
        *(Content.assemble(part[:room], " " * max(0, room - len(part))) for part in parts[:-1]),
        parts[-1][:room],
    ]


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
