"""What is asked, and the worker that holds it: the base once, adapters on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from loratui.core.errors import LoratuiError, ModelError
from loratui.core.generation import GenerationSettings
from loratui.files import make_folder
from loratui.paths import state_home
from loratui.runs.listing import list_runs
from loratui.tui.playground.conversation import Conversation
from loratui.tui.playground.others import Others, other_runs
from loratui.workers.client import PlaygroundClient
from loratui.workers.protocol import Answered, Evaluated, Event, Failed, Load, Ready, Rendered
from loratui.workers.target import Target, find_target, with_before

STARTING = "PyTorch is being loaded; write meanwhile, enter asks once it can answer"
"""What is told from the start of the worker until it speaks itself."""


class Session:
    """One target and its worker. on_progress: told what the worker does while it loads."""

    def __init__(self, on_progress: Callable[[str], None]) -> None:
        self._on_progress = on_progress
        self._client: PlaygroundClient | None = None
        self._target: Target | None = None
        self._held: Load | None = None
        """What the worker was told to load; nothing where it holds none of it any more."""
        self._settled = asyncio.Event()
        self._others = Others()

    @property
    def target(self) -> Target | None:
        """What is asked; None until it was found."""
        return self._target

    @property
    def client(self) -> PlaygroundClient | None:
        """The worker's client; None before the first load and after `close`."""
        return self._client

    @property
    def alive(self) -> bool:
        """Whether the worker's process is there."""
        return self._client is not None and self._client.alive

    @property
    def ready(self) -> Ready | None:
        """What the worker has loaded; None where it has nothing."""
        return self._client.ready if self._client is not None else None

    @property
    def settled(self) -> bool:
        """Whether it is known what is asked, and it is loaded or cannot be."""
        return self._settled.is_set()

    @property
    def names(self) -> list[str]:
        """Everyone who can answer: the base, the result, the run's checkpoints, and other runs that were looked up."""
        target = self._target
        if target is None:
            return []
        more = (name for name in target.checkpoints if name not in target.sides)
        return [*target.sides, *more, *self._others.fitting]

    def why_not(self, asking: bool) -> str:
        """Why a key that changes what is asked does nothing now; empty where it works. asking: a question is out."""
        if self.ready is None:
            if asking:
                return "What was asked waits for the model; esc takes it back."
            if self.target is None and self.settled:
                return "There is no model to ask: nothing was trained or chosen yet."
            return "The model is being loaded: that key works once it can answer."
        return "The answers are still growing; esc stops them." if asking else ""

    async def look_up_others(self) -> Others:
        """Other runs whose results can answer beside this one's, and why some cannot."""
        if self._target is not None:
            self._others = await asyncio.to_thread(other_runs, self._target)
        return self._others

    def begin(self) -> None:
        """Something else is looked for."""
        self._settled.clear()

    def settle(self) -> None:
        """What was looked for is loaded, or cannot be."""
        self._settled.set()

    async def wait(self) -> None:
        """Until it is settled."""
        await self._settled.wait()

    async def find(self, adapter: str, run: str, draft_run: str, draft_model: str) -> Target:
        """What is to be asked (see `choose_target`). Raises LoratuiError; nothing is asked then."""
        self._target, self._others = None, Others()
        self._target = await asyncio.to_thread(choose_target, adapter, run, draft_run, draft_model)
        return self._target

    def become(self, target: Target) -> None:
        """This is asked from now on: what the same run has become."""
        self._target = target

    async def load(self, target: Target) -> Ready:
        """Have a target's models loaded, by a new worker where none lives; one more adapter beside the base that is
        held, where no more is new. Raises LoratuiError.
        """
        if self._client is not None and self._held is not None and self.ready is not None:
            more = {name: path for name, path in target.load.sides.items() if name not in self.ready.sides}
            kept = {name: path for name, path in target.load.sides.items() if name not in more}
            if more and replace(target.load, sides=kept) == self._held:
                for name, path in more.items():
                    self._on_progress(f"reading {name}")
                    try:
                        ready = await self._client.add(name, Path(path))
                    except LoratuiError:
                        self._client.ready = None  # it is all loaded at the next question
                        raise
                self._held = target.load
                return ready
        self._held = target.load
        if self._client is None:
            log = state_home() / "playground.log"
            with contextlib.suppress(OSError):
                make_folder(log.parent)
            self._client = PlaygroundClient(log if log.parent.is_dir() else None)
        if not self._client.alive:
            self._on_progress(STARTING)
        return await self._client.start(target.load, self._on_progress)

    async def add(self, names: Sequence[str], telling: Callable[[str], None]) -> None:
        """Have checkpoints and other runs' results loaded beside what there is; the base is not read again.

        telling: told each name before it is read. Raises LoratuiError.
        """
        assert self._client is not None and self._target is not None
        for name in names:
            if self._client.ready is None or name not in self._client.ready.sides:
                telling(name)
                await self._client.add(name, (self._target.checkpoints | self._others.fitting)[name])

    def ask(
        self, sides: Sequence[str], conversation: Conversation, settings: GenerationSettings
    ) -> AsyncIterator[Rendered | Event]:
        """Put what the conversation asks last to these sides; a held-out row as it stands. Raises LoratuiError."""
        assert self._client is not None
        row = conversation.row
        if row is not None and row.conversation is not None:
            messages = [one.as_dict() for one in row.conversation.messages]
            return self._client.ask(sides, settings, messages=messages, prompt=row.conversation.text)
        messages = conversation.messages(sides[0], conversation.asked)
        histories = conversation.histories(sides, conversation.asked)
        return self._client.ask(sides, settings, messages=messages, histories=histories)

    def evaluate(
        self, sides: Sequence[str], rows: int, settings: GenerationSettings
    ) -> AsyncIterator[Answered | Evaluated | Failed]:
        """Have rows that the run held out answered by these sides, and measured; the last side is judged by it."""
        assert self._client is not None and self._target is not None and self._target.run is not None
        return self._client.evaluate(str(self._target.run.path), sides, rows, settings)

    async def stop(self) -> None:
        """Stop the answers that are growing."""
        if self._client is not None and self._client.alive:
            with contextlib.suppress(LoratuiError):
                await self._client.stop()

    async def close(self) -> None:
        """End the worker, and with it what it holds in memory."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def choose_target(adapter: str, run: str, draft_run: str, draft_model: str) -> Target:
    """What the playground takes when it is opened: the first of these that is given; else the newest run that has
    something to ask; else the draft's model. Of a run that began from an adapter, that answers, too. Reads files: for
    a thread.

    Raises ModelError or RunError in one sentence.
    """
    return with_before(_first_target(adapter, run, draft_run, draft_model))


def _first_target(adapter: str, run: str, draft_run: str, draft_model: str) -> Target:
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
