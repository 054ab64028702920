"""What a run that is asked has become since: its state in words, and the result that answers better than what does."""

from __future__ import annotations

from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.runs.status import Status
from loratui.workers.target import Target, of_run, with_before

WORDS = {"running": "training"}
"""States that are told by another word than their own."""


class Watch:
    """Looks at a target's run, again and again: slow work for a thread, and little of it where nothing has changed.

    status: as of the last look; None before the first.
    """

    def __init__(self) -> None:
        self.status: Status | None = None
        self._seen: tuple[object, ...] = ()

    def look(self, target: Target, *, chosen: bool) -> Target | None:
        """The target that should be asked instead; None where this one still is the one to ask.

        chosen: a person chose this result, which is left only when its folder is gone.
        """
        run = target.run
        if run is None:
            return None
        self.status = run.status()
        results = tuple(is_result(folder) for folder in (run.adapter_path, run.model_path))
        names = tuple(folder.name for folder in run.checkpoints())
        lost = gone(target)
        seen = (run.path, target.result, lost, self.status.over, results, names)
        if seen == self._seen:
            return None
        waits = target.result is None or target.result.parent == run.checkpoints_path
        if not lost and (chosen or not waits):
            self._seen = seen
            return None
        try:
            fresh = with_before(of_run(run))
        except LoratuiError:
            return None  # it is looked at again
        self._seen = seen
        final = fresh.result in (run.adapter_path, run.model_path)
        if lost:
            return fresh
        if fresh.result is None or (final and not self.status.over):  # a result is whole when its worker has ended
            return None
        return fresh if final or target.result is None else None

    @property
    def words(self) -> str:
        """How far the run is; empty where it is over, or nobody has looked."""
        status = self.status
        if status is None or status.over:
            return ""
        far = f", step {status.step:,} of {status.total:,}" if status.total else ""
        return f"The run is {WORDS.get(status.state, status.state)}{far}."


def is_result(folder: Path) -> bool:
    """Whether an adapter or a model lies in this folder."""
    return (folder / "adapter_config.json").is_file() or (folder / "config.json").is_file()


def gone(target: Target) -> bool:
    """Whether the folder that answers was moved or removed."""
    return target.result is not None and not is_result(target.result)


def taken_words(before: Target, now: Target) -> str:
    """Who answers from now on, and why, in one sentence."""
    who = "only the base answers" if now.result is None else f"{now.result.name} answers"
    if before.result is not None and gone(before):
        return f"{before.result.name} is gone: {who} now."
    return f"{now.result.name if now.result else 'The base'} is there: it answers now."
