"""Which run, adapter or model the playground takes when it is opened. Reads files: for a thread."""

from __future__ import annotations

from loratui.core.errors import LoratuiError, ModelError
from loratui.runs.listing import list_runs
from loratui.workers.target import Target, find_target


def choose_target(adapter: str, run: str, draft_run: str, draft_model: str) -> Target:
    """The first of these that is given; else the newest run that has something to ask; else the draft's model.

    Raises ModelError or RunError in one sentence.
    """
    for name in (adapter, run):
        if name:
            return find_target(name)
    if draft_run:
        try:
            return find_target(draft_run)
        except LoratuiError:
            pass  # the draft's last run was removed: look further
    for summary in list_runs():
        try:
            target = find_target(str(summary.run.path))
        except LoratuiError:
            continue
        if target.result is not None:
            return target
    if draft_model:
        return find_target(draft_model)
    raise ModelError("There is nothing to ask yet.", hint="Train something first, or choose a model.")
