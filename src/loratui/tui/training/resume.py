"""Going on with a run that is over: from its last checkpoint, for more epochs, or anew. The person sees first how."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from loratui.core.errors import RunError
from loratui.format import number_text, one_line
from loratui.runs import resume as runs_resume
from loratui.runs.continuation import Continuation, continuation
from loratui.runs.directory import Run
from loratui.runs.fingerprint import what_would_differ
from loratui.runs.origin import foreign_words
from loratui.tui.common.dialogs import AskLineScreen, ConfirmScreen
from loratui.tui.common.trust import may_run_code

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.tui.app import LoratuiApp

Way = Callable[["LoratuiApp", Run], Awaitable[str]]
"""How a run goes on: what to say of it, empty where the person would rather not."""

SHOWN = 8
MOST_EPOCHS = 1000


async def resume(app: LoratuiApp, run: Run) -> str:
    """Go on from the last checkpoint: what to say of it, empty where the person would rather not. Raises
    LoratuiError.
    """
    how = await asyncio.to_thread(continuation, run, {})
    if not await _knows(app, run, how.plan) or not await may_run_code(app, how.plan):
        return ""
    if how.start != "checkpoint" and how.aside:  # plan.toml was edited: the checkpoint is another plan's
        if not await app.push_screen_wait(ConfirmScreen(f"Go on with {one_line(run.name, 80)}?", how.would, "do that")):
            return ""
        await asyncio.to_thread(runs_resume.change_and_resume, run, {})
    elif await _agreed(app, run):
        await asyncio.to_thread(runs_resume.resume_run, run)
    else:
        return ""
    return f"{one_line(run.name, 80)}: a worker is starting, and goes on …"


async def train_longer(app: LoratuiApp, run: Run) -> str:
    """Go on for more epochs: what to say of it, empty where the person would rather not. Raises LoratuiError."""
    if await asyncio.to_thread(run.last_checkpoint) is None:
        raise RunError(f"run {one_line(run.name, 80)} has no checkpoint to go on from.", hint="Start a new run.")
    epochs = await _epochs_wanted(app, run)
    if epochs is None:
        return ""
    plan = await asyncio.to_thread(run.plan)
    if not await _knows(app, run, plan) or not await may_run_code(app, plan) or not await _agreed(app, run):
        return ""
    how = await asyncio.to_thread(_longer, run, epochs)
    if how.length_words and not await app.push_screen_wait(
        ConfirmScreen(f"Train {one_line(run.name, 80)} for longer?", how.would, "do that")
    ):
        return ""
    await asyncio.to_thread(runs_resume.extend_run, run, epochs)
    return (
        f"{one_line(run.name, 80)}: a worker is starting for {number_text(epochs)} more "
        f"epoch{'' if epochs == 1 else 's'} …"
    )


def _longer(run: Run, epochs: float) -> Continuation:
    return continuation(run, runs_resume.longer(run, run.plan(), epochs))


async def train_anew(app: LoratuiApp, run: Run) -> str:
    """Train it again from the base: what to say of it, empty where the person would rather not. Raises
    LoratuiError.
    """
    how = await asyncio.to_thread(continuation, run, {}, restart=True)
    if not await app.push_screen_wait(ConfirmScreen(f"Train {one_line(run.name, 80)} anew?", how.would, "do that")):
        return ""
    if not await _knows(app, run, how.plan) or not await may_run_code(app, how.plan):
        return ""
    await asyncio.to_thread(runs_resume.change_and_resume, run, {}, restart=True)
    return f"{one_line(run.name, 80)}: a worker is starting, from the base …"


async def _knows(app: LoratuiApp, run: Run, plan: Plan) -> bool:
    """Whether a run that was made elsewhere is to be gone on with: the person sees first what its plan names."""
    words = await asyncio.to_thread(foreign_words, run, plan)
    title = f"Go on with {one_line(run.name, 80)}?"
    return not words or await app.push_screen_wait(ConfirmScreen(title, words, "go on with it"))


async def _agreed(app: LoratuiApp, run: Run) -> bool:
    """Whether a run goes on: at once where nothing has changed since it began, else as the person decides who sees what
    has.
    """
    found = await asyncio.to_thread(what_would_differ, run)
    if not found:
        return True
    listed = "\n".join(f"· {one_line(one, 200)}" for one in found[:SHOWN])
    more = f"\n· and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    sentence = f"Since it began:\n{listed}{more}\nIt would not become what it would have been uninterrupted."
    return await app.push_screen_wait(
        ConfirmScreen(f"Go on with {one_line(run.name, 80)}?", sentence, "go on all the same")
    )


async def _epochs_wanted(app: LoratuiApp, run: Run) -> float | None:
    """For how many epochs more; None where the person left. RunError for what is no such number."""
    text = await app.push_screen_wait(
        AskLineScreen(f"Train {one_line(run.name, 80)} for how many epochs more?", "a number, e.g. 1")
    )
    if not text:
        return None
    try:
        epochs = float(text.replace(",", "."))
    except ValueError:
        epochs = math.nan
    if not 0 < epochs <= MOST_EPOCHS:
        raise RunError(
            f"{one_line(text, 30)!r} is no number of epochs.", hint=f"Give one above 0 and at most {MOST_EPOCHS}."
        )
    return epochs
