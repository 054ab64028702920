"""A command of ours (`loratui ARGUMENTS`) in a process of its own: what it tells, and what came of it, as messages.

A command writes by `loratui.terminal` alone; started from here, what it writes there comes as messages (`speak`). Both
sides import this module; it knows neither torch nor textual.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from loratui.child_process import Child, Voice, end_with_parent
from loratui.core.errors import WorkerError
from loratui.workers.protocol import from_document, from_line, to_line

SILENT_SECONDS = 60.0
"""After so long without a word a person is told that it is still there."""
END_SECONDS = 5.0
"""How long it may take to end by itself, once it is interrupted."""


@dataclass(frozen=True, slots=True)
class Told:
    """A line for people."""

    event: ClassVar[str] = "told"
    text: str


@dataclass(frozen=True, slots=True)
class Printed:
    """What the command prints for programs: its `--json`."""

    event: ClassVar[str] = "printed"
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """The last message. problem: what went wrong, in one sentence; "" where nothing did."""

    event: ClassVar[str] = "ended"
    status: int
    problem: str = ""


Message = Told | Printed | Ended
_MESSAGES: dict[str, type[Any]] = {kind.event: kind for kind in (Told, Printed, Ended)}


@dataclass(frozen=True, slots=True)
class Merged:
    """`loratui merge --json`, less the figures of its proof."""

    output: str
    holds: bool
    proof: str
    base_changed: str = ""
    """What a person must know where the base is not the one of the training; the proof is of the base as it is."""


@dataclass(frozen=True, slots=True)
class Sent:
    """`loratui push --json`."""

    repository: str
    url: str
    commit: str
    private: bool
    files: dict[str, int]


@dataclass(frozen=True, slots=True)
class GgufFile:
    """`loratui gguf --json`."""

    file: str
    size_bytes: int
    ollama: str | None = None
    holds: bool | None = None
    """None where it was not proved."""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """`loratui export --json`."""

    file: str
    rows: str | None
    unusable: int
    run: str
    left_out: list[str]
    memory: dict[str, Any] | None = None
    memory_unknown: str = ""


Made = Merged | Sent | GgufFile | Exported
Kind = TypeVar("Kind", bound=Made)


@dataclass
class Messages:
    """The command's side: a `terminal.Listener` whose words go to the process that started this one."""

    voice: Voice
    problem: str = field(default="", init=False)

    def told(self, text: str) -> None:
        """Some lines for people; of one that is drawn over, its last state."""
        for line in text.splitlines():
            if line.strip():
                self.voice.say(to_line("event", Told.event, Told(line.strip())))

    def printed(self, value: Any) -> None:
        """What is printed for programs."""
        self.voice.say(to_line("event", Printed.event, Printed(dict(value))))

    def failed(self, sentence: str) -> None:
        """What went wrong; said at the end."""
        self.problem = sentence

    def ended(self, status: int) -> None:
        """Nothing more comes."""
        self.voice.say(to_line("event", Ended.event, Ended(status, self.problem)))


def speak() -> Messages:
    """In a command that was started by `CommandProcess`: speak to it, end when it ends, and heed its interrupts, also
    where whoever began all of this was deaf to them."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return Messages(Voice())


class CommandProcess:
    """`loratui ARGUMENTS`, told of line by line, and stopped."""

    def __init__(self, arguments: Sequence[str], program: Sequence[str] = ()) -> None:
        """program: what stands for `python -m loratui`, for tests."""
        called = f"`loratui {arguments[0]}`" if arguments else "The command"
        self._child = Child([*(program or (sys.executable, "-m", "loratui")), *arguments], called)
        self._closing: asyncio.Task[None] | None = None
        self._document: Mapping[str, Any] | None = None
        self.stopped = False
        self.ended: Ended | None = None
        """How it ended by its own words; None before, and where it was ended."""
        self.last = ""
        """The last line that it told."""

    async def lines(self) -> AsyncIterator[str]:
        """What it tells people, line by line, to its end, and a sentence where it says nothing for long. WorkerError
        where it cannot be started, dies, or says what is no message."""
        await self._child.start()
        messages: asyncio.Queue[Message | WorkerError] = asyncio.Queue()
        listening = asyncio.create_task(self._listen(messages))
        silent = 0.0
        try:
            while self.ended is None:
                try:
                    message = await asyncio.wait_for(messages.get(), SILENT_SECONDS)
                except TimeoutError:
                    silent += SILENT_SECONDS
                    yield f"Still there, but it has said nothing for {silent:.0f} seconds."
                    continue
                silent = 0.0
                match message:
                    case Told(text):
                        self.last = text
                        yield text
                    case Printed(document):
                        self._document = document
                    case Ended():
                        self.ended = message
                    case WorkerError():
                        stopped = self.stopped  # it was interrupted, and had no time for a last word
                        await self.closed()
                        if stopped:
                            return
                        raise message
            await self._child.wait()
            await self.closed()
        finally:
            listening.cancel()
            self.stop()

    async def _listen(self, messages: asyncio.Queue[Message | WorkerError]) -> None:
        try:
            while True:
                line = await self._child.line()
                if not line:
                    raise await self._child.death()
                message: Message = from_line(line, "event", _MESSAGES, "the command")
                messages.put_nowait(message)
                if isinstance(message, Ended):
                    return
        except WorkerError as error:
            messages.put_nowait(error)

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._child.status

    def made(self, kind: type[Kind]) -> Kind | None:
        """What it made, as its `--json` says it; None where it said nothing. WorkerError where that is something
        else."""
        if self._document is None:
            return None
        found: Kind = from_document(kind, self._document, "the command")
        return found

    def stop(self) -> None:
        """Interrupt it, as ctrl+c would, and end it where it does not heed that; harmless where it has ended."""
        if self._child.alive:
            self.stopped = True
            self._child.interrupt()
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._child.close(END_SECONDS))

    async def closed(self) -> None:
        """Wait until it is gone."""
        self.stop()
        assert self._closing is not None
        await self._closing
