"""Going on with a run that is over: from its last checkpoint, or for more epochs. What would differ is shown first."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from loratui.core.errors import RunError
from loratui.runs.directory import Run
from loratui.runs.fingerprint import what_would_differ
from loratui.tui.screens.ask_line import AskLineScreen
from loratui.tui.screens.confirm import ConfirmScreen
from loratui.tui.text import one_line

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp

SHOWN = 8
MOST_EPOCHS = 1000


async def agreed(app: LoratuiApp, run: Run) -> bool:
    """Whether a run goes on: at once where nothing has changed since it began, else as the person decides who sees what has.

    LoratuiError where the run's plan cannot be read.
    """
    found = await asyncio.to_thread(what_would_differ, run)
    if not found:
        return True
    listed = "\n".join(f"· {one_line(one, 200)}" for one in found[:SHOWN])
    more = f"\n· and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    sentence = f"Since it began:\n{listed}{more}\nIt would not become what it would have been uninterrupted."
    return await app.push_screen_wait(ConfirmScreen(f"Go on with {one_line(run.name, 40)}?", sentence, "go on all the same"))


async def epochs_wanted(app: LoratuiApp, run: Run) -> float | None:
    """For how many epochs more a run is trained; None where the person left. RunError for what is no such number."""
    text = await app.push_screen_wait(AskLineScreen(f"Train {one_line(run.name, 30)} for how many epochs more?", "a number, e.g. 1"))
    if not text:
        return None
    try:
        epochs = float(text.replace(",", "."))
    except ValueError:
        epochs = math.nan
    if not 0 < epochs <= MOST_EPOCHS:
        raise RunError(f"{one_line(text, 30)!r} is no number of epochs.", hint=f"Give one above 0 and at most {MOST_EPOCHS}.")
    return epochs


def can_be_extended(run: Run, state: str, counts_steps: bool) -> bool:
    """Whether more epochs can be added: it ended, it has a checkpoint, and its plan does not count steps."""
    return state in ("finished", "stopped") and not counts_steps and run.last_checkpoint() is not None
