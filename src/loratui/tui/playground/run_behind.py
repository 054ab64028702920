"""What the playground does with the run whose result it asks."""

from __future__ import annotations

from textual import work
from textual.content import Content

from loratui.runs.directory import Run
from loratui.tui.playground.writing import WritingScreen
from loratui.tui.training.samples import SamplesScreen


class RunBehindScreen(WritingScreen):
    """Its samples, what it made, and a training that goes on from there."""

    def __init__(self) -> None:
        super().__init__()
        self._run: Run | None = None
        """The run; None where what is asked is of none."""

    def heading(self) -> Content:
        """What the screen is for; of a run that the draft would not make again, that."""
        words = (self.app.state.apart if self._run is not None else "") or self.EXPLANATION
        return Content.assemble((self.HEADING, "bold $foreground"), "  ", (words, "$text-muted"))

    def action_samples(self) -> None:
        """Show the run's answers through time."""
        assert self._run is not None
        self.app.push_screen(SamplesScreen(self._run))

    def action_take_away(self) -> None:
        """Merge, export, push or serve what the run made."""
        from loratui.tui.take_away.screen import TakeAwayScreen

        assert self._run is not None
        self.app.switch_screen(TakeAwayScreen(str(self._run.path), self.STEP))

    @work(group="further", exit_on_error=False)
    async def action_continue(self) -> None:
        """A wizard filled in to train this run's result further."""
        from loratui.tui.take_away.train_further import fill_in

        assert self._run is not None
        await fill_in(self.app, self._run)
