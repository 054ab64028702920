"""Where only one answer fits: a line of names, and one pane at a time."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from loratui.tui.playground.part import PlaygroundPart


class Tabs(PlaygroundPart):
    """Three answers on a narrow screen."""

    def _show_tabs(self) -> None:
        views = self.views
        tabbed = len(views) > 2 and not self.has_class("-wide")
        self.set_class(tabbed, "-tabbed")
        shown = next((view for view in views if view.display), views[-1]) if views else None
        if tabbed and sum(view.display for view in views) != 1:
            shown = views[-1]
        for view in views:
            view.display = not tabbed or view is shown
        words = [(f" {view.border_name} ", "bold reverse $accent" if view is shown else "$text-muted") for view in views]
        self.query_one("#tabs", Static).update(Content.assemble(*words, ("   esc, then ← →", "$text-muted")))

    def action_tab(self) -> None:
        """Show the next side."""
        views = self.views
        if not self.has_class("-tabbed"):
            return
        place = next(index for index, view in enumerate(views) if view.display)
        for view in views:
            view.display = view is views[(place + 1) % len(views)]
        self._show_tabs()
        next(view for view in views if view.display).focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_tabs)
