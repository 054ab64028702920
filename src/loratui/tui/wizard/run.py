"""The run that is looked at or asked: one named on the command line or chosen in a list, else the draft's last."""

from __future__ import annotations

from loratui.tui.wizard.choices import Choices


class ShownRun:
    """Owner of what training screen and playground show."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._chosen = ""
        self._adapter = ""
        self._met: dict[str, None] = {}

    @property
    def chosen(self) -> str:
        """Folder of the run that was chosen in this session; empty: none."""
        return self._chosen

    @property
    def path(self) -> str:
        """Folder of the run to show; empty: none."""
        return self._chosen or self._choices.draft.run

    @property
    def adapter(self) -> str:
        """Folder of an adapter to ask instead of a run; empty: none."""
        return self._adapter

    @property
    def met(self) -> list[str]:
        """Folders of the runs that somebody had to do with in this session, the newest last; the draft's own before
        them.
        """
        return [self._choices.draft.run, *self._met]

    def meet(self, path: str) -> None:
        """Somebody has to do with this run."""
        self._met.pop(path, None)
        self._met[path] = None

    def open(self, run: str, adapter: str) -> None:
        """Begin with this run's folder, or this adapter's, as the command line names them; empty: neither."""
        self._chosen, self._adapter = run, adapter
        if run:
            self.meet(run)

    def show(self, path: str) -> None:
        """Show this run from now on."""
        self._chosen = path
        self.meet(path)

    def ask(self, path: str) -> None:
        """Ask this run in the playground from now on."""
        self._chosen, self._adapter = path, ""
        self.meet(path)

    def start(self, path: str) -> None:
        """Show a run that was started from the draft, and remember it there."""
        self.show(path)
        self._choices.set_run(path)
