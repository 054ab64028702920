"""The lines of a run's `events.jsonl`: typed, versioned, open to what came later; and read as they come."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from loratui.files import open_own, open_regular
from loratui.runs.directory import Run
from loratui.runs.event_fields import ByPart, Compared, Count, OfParts, OfWorker, Pair, PreferenceFigures, Share, Time
from loratui.runs.lines import LineTail

EVENT_VERSION = 1
KIND_FIRST = re.compile(rb'\s*\{"type":\s*"([a-z_]+)"')


class Event(BaseModel):
    """One thing that happened, and when."""

    model_config = ConfigDict(extra="allow", frozen=True, ser_json_inf_nan="strings", validate_default=False)
    kind: ClassVar[str] = ""

    type: str
    time: Time
    v: int = EVENT_VERSION

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.kind:
            KINDS[cls.kind] = cls

    @property
    def fields(self) -> dict[str, Any]:
        """Everything but type, time and version."""
        return self.model_dump(exclude={"type", "time", "v"})


KINDS: dict[str, type[Event]] = {}


class Started(Event):
    """A worker took the run over; a resumed run has several."""

    kind = "started"
    pid: Count = 0
    host: str = ""
    step: Count = 0
    """Steps already done, from the checkpoint that is continued."""
    total_steps: Count = 0
    resumed_from: str = ""
    """Name of the checkpoint's folder; empty for a fresh start."""
    examples: Count = 0
    eval_examples: Count = 0
    parameters_total: Count = 0
    parameters_trainable: Count = 0
    device: str = ""
    in_force: dict[str, Any] = {}
    """What the training goes by, read out of the live optimizer, schedule and state; empty in older runs."""


class Phase(OfWorker, Event):
    """What the worker does now: load_model, load_data, tokenise, train, evaluate, save, rehearse, export."""

    kind = "phase"
    phase: str = ""
    message: str = ""
    done: Count | None = None
    of: Count | None = None


class Data(OfParts, Event):
    """What became of the dataset's rows, those held out included; tokens are those of the training rows."""

    kind = "data"
    rows: Count = 0
    examples: Count = 0
    eval_examples: Count = 0
    unusable: Count = 0
    cut: Count = 0
    """Rows shortened to the maximum length."""
    without_answer: Count = 0
    """Rows left out because no trained token remained."""
    left_out: Count = 0
    """Rows that are neither trained on nor held out; `left_out.jsonl` of the run names each with its reason."""
    tokens: Count = 0
    trained_tokens: Count = 0
    longest_tokens: Count = 0


class Rehearsal(Event):
    """What a rehearsal found. ways: content tokens a second; compiled, liger: seconds of a pass without and with."""

    kind = "rehearsal"
    seconds_per_step: float | None = None
    memory_peak: Count = 0
    memory_peaks: dict[str, Count] = {}
    """Peak bytes by phase: load_model, train, evaluate, save, reload; on the CPU the process's peak until then."""
    longest_tokens: Count = 0
    checkpoint_bytes: Count = 0
    ways: dict[str, float] = {}
    compiled: dict[str, Any] = {}
    liger: dict[str, Any] = {}


class Step(PreferenceFigures, Event):
    """One optimizer step."""

    kind = "step"
    step: Count = 0
    epoch: Share = 0.0
    loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    token_accuracy: float | None = None
    tokens: Count = 0
    """Tokens trained on since the run's first step, padding not counted."""
    tokens_per_second: float | None = None
    seconds: float | None = None
    """How long this step took."""
    memory_allocated: Count | None = None
    memory_reserved: Count | None = None
    memory_peak: Count | None = None
    """On the CPU: the process's resident memory, and its peak; reserved is None."""
    eta: float | None = None
    """Seconds until the last step at the present speed."""


class Eval(Compared, ByPart, PreferenceFigures, Event):
    """One evaluation on the held-out rows."""

    kind = "eval"
    step: Count = 0
    loss: float | None = None
    perplexity: float | None = None
    token_accuracy: float | None = None
    exact_match: float | None = None
    """Share of the generated answers that equal the written ones."""
    rouge_l: float | None = None
    generated: Count = 0
    """Rows whose answers were generated for the two figures above."""
    rows: Count = 0
    seconds: float | None = None
    best: bool = False


class Sample(Event):
    """A prompt's answer at one moment of the training."""

    kind = "sample"
    step: Count = 0
    prompt: str = ""
    answer: str = ""
    expected: str = ""
    """The written answer, where the prompt is a held-out row."""
    pinned: bool = True


class Checkpoint(Event):
    """A checkpoint is whole on the disk."""

    kind = "checkpoint"
    step: Count = 0
    path: str = ""
    """Relative to the run's directory."""
    size_bytes: Count = 0
    seconds: float | None = None
    best: bool = False


class Finding(Event):
    """Something that a person should know, and what may be done about it."""

    kind = "finding"
    finding: str = ""
    """A stable word, e.g. `loss-nan`."""
    severity: str = "warning"
    message: str = ""
    step: Count = 0
    fix: dict[str, Any] = {}
    """Plan keys and the values that would mend it."""
    fixes: list[dict[str, Any]] = []
    """Every way to mend it, the best first: `change`, `advice`, and `restart` where it has to begin anew."""


class Oom(Event):
    """The device ran out of memory."""

    kind = "oom"
    where: str = ""
    """load, step, evaluation, generation or save."""
    cause: str = ""
    """size, fragmentation or neighbour."""
    message: str = ""
    step: Count = 0
    requested_bytes: Count | None = None
    allocated_bytes: Count | None = None
    reserved_bytes: Count | None = None
    free_bytes: Count | None = None
    fixes: list[dict[str, Any]] = []


class Fix(Event):
    """The plan was changed while the run was over, and where it goes on with it."""

    kind = "fix"
    changes: dict[str, Pair] = {}
    """Plan keys, each with the value that it had and the one that it has."""
    start: str = ""
    """checkpoint (everything goes on), adapter (the trained weights alone do) or anew (from the base)."""
    from_step: Count = 0
    """The step whose checkpoint, or whose weights, it goes on from; 0 from the base."""
    reason: str = ""
    """The finding's kind or the failure's code; empty where a person changed the plan unasked."""
    by: str = "person"
    """person or auto."""
    at_step: Count = 0
    """The step at which the trouble was."""
    where: str = ""
    """What failed there: load, step, evaluation, generation or save; empty where nothing did."""
    set_aside: list[str] = []
    """Folders, relative to the run's directory, that are kept and never gone on from."""
    message: str = ""


class FixOutcome(Event):
    """Whether the last fix helped."""

    kind = "fix_outcome"
    helped: bool = False
    step: Count = 0
    """The step at which that was known."""
    message: str = ""


class Failed(Event):
    """The run ended by an error; the traceback is in worker.log."""

    kind = "failed"
    message: str = ""
    code: str = ""
    where: str = ""
    step: Count = 0


class Stopped(Event):
    """The run ended early and can be resumed."""

    kind = "stopped"
    step: Count = 0
    reason: str = ""
    by: str = ""
    """Who asked: wizard, command, fix, experiment, signal or scheduler; empty: nobody, or an older run."""
    checkpoint: str = ""


class Submitted(Event):
    """The run was handed to a scheduler, to go on from `step`: a segment of it begins to wait."""

    kind = "job"
    job: Count = 0
    partition: str = ""
    step: Count = 0


class Paused(Event):
    """The run saved because its job ends, and goes on by itself in the next one."""

    kind = "paused"
    step: Count = 0
    reason: str = ""
    checkpoint: str = ""
    job: Count = 0
    nodes: str = ""


class Finished(OfWorker, Event):
    """The run did what its plan says."""

    kind = "finished"
    step: Count = 0
    begun_at: Count = 0
    """The step from which this worker went on: `seconds` are for those after it."""
    seconds: float = 0.0
    loss: float | None = None
    eval_loss: float | None = None
    tokens: Count = 0
    result: str = ""
    """Folder of the result, relative to the run's directory."""
    best_step: Count = 0
    result_step: Count = 0
    """The step whose weights the result holds: the last one, or the best where patience chose it; 0 in older runs."""
    judged: bool = False
    """Whether its worker looked for what makes the result worth nothing, and said so in a `finding`; newer ones do."""


def make(kind: str, time: float, **fields: Any) -> Event:
    """An event of this kind; fields that its class does not know are kept."""
    return KINDS.get(kind, Event)(type=kind, time=time, **fields)


def encode(event: Event) -> str:
    """One line, without its end. Numbers that are not finite become the words NaN and Infinity."""
    return event.model_dump_json(exclude_none=True)


def decode(line: str | bytes) -> Event | None:
    """The event of one line; None for a line that is no event (a torn write)."""
    data = line.encode() if isinstance(line, str) else line
    start = KIND_FIRST.match(data)
    try:
        if start is not None:  # our own lines say their type first: they are parsed once, four times as fast
            return KINDS.get(start[1].decode(), Event).model_validate_json(data)
        document = from_json(data)
        if not isinstance(document, dict):
            return None
        kind = document.get("type")
        return KINDS.get(kind, Event).model_validate(document) if isinstance(kind, str) else None
    except (ValueError, ValidationError):
        return None


class EventLines:
    """The lines of one `events.jsonl` as events, and how many of them are none."""

    def __init__(self, lines: LineTail) -> None:
        self._lines = lines
        self._unreadable = 0

    @property
    def offset(self) -> int:
        """Bytes of the file that were read as whole lines."""
        return self._lines.offset

    @property
    def unreadable_lines(self) -> int:
        """Lines that were passed over: they are no event."""
        return self._unreadable + self._lines.too_long

    def _decoded(self, lines: Iterable[bytes]) -> Iterator[Event]:
        for line in lines:
            if not line.strip():
                continue
            event = decode(line)
            if event is None:
                self._unreadable += 1
            else:
                yield event


class EventTail(EventLines):
    """Follows one `events.jsonl`. Each call reads only what was added; a line without its end waits for it."""

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        super().__init__(LineTail(path, offset=offset))

    def stream(self) -> Iterator[Event]:
        """Events added since the last call, in constant memory however many they are; none while there is no file."""
        with suppress(OSError):
            for _, lines in self._lines.chunks():
                yield from self._decoded(lines)

    def new_events(self, *, limit_bytes: int | None = None) -> list[Event]:
        """The same as a list, of about `limit_bytes` of them at most: for pieces that are known to be short."""
        if limit_bytes is None:
            return list(self.stream())
        try:
            return list(self._decoded(self._lines.read(limit_bytes)))
        except OSError:
            return []


def open_events(path: Path) -> int:
    """The events file as a descriptor to append to, its last line ended: a worker that was killed may have left half of
    one. FileFaultError where it is a link or no file; else OSError.
    """
    descriptor = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with open_regular(path) as file:
        size = file.seek(0, 2)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                os.write(descriptor, b"\n")
    return descriptor


def append_event(run: Run, kind: str, **fields: Any) -> None:
    """Append one event to a run that no worker holds; the caller holds its lock. OSError where the disk is full."""
    descriptor = open_events(run.events_path)
    try:
        os.write(descriptor, (encode(make(kind, round(time.time(), 3), **fields)) + "\n").encode())
    finally:
        os.close(descriptor)
