"""Requests of many at once: those that wait for one model are answered in one batch, each with its own settings."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import LogitsProcessor, LogitsProcessorList, RepetitionPenaltyLogitsProcessor
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from loratui.core.generation import GenerationSettings
from loratui.worker.generation.answer import PieceDecoder
from loratui.worker.generation.batch import padded
from loratui.worker.generation.finite import finite_numbers
from loratui.worker.generation.load import LoadedModels, explain
from loratui.worker.generation.sampling import samplers, seed_of
from loratui.worker.generation.settings import generation_config

log = logging.getLogger("loratui")
GATHER_SECONDS = 0.01
"""After the first request so long is waited for others that come with it."""

Ended = Literal["stop", "length"]
"""Why an answer ended, in OpenAI's words: at its stop token or a stop text, or cut."""


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """An answer has ended. tokens: its own, the stop token included."""

    ended: Ended
    tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """An answer could not be given, or not to its end."""

    sentence: str


@dataclass(eq=False)
class Job:
    """One question. limit: tokens that the answer may have. stops: texts before which it ends. tell: gets its pieces
    and its end, from the engine's thread.
    """

    side: str
    ids: Sequence[int]
    settings: GenerationSettings
    limit: int
    tell: Callable[[Piece | Done | Failed], None]
    stops: Sequence[str] = ()
    cancelled: bool = False
    """Set from any thread: nobody waits for the answer any more."""


class FullError(Exception):
    """So many wait that no more are taken."""


@dataclass(eq=False)
class _Row:
    """A job while it is answered."""

    job: Job
    pieces: PieceDecoder
    tokens: int = 0
    held: str = ""
    """Text that may be the beginning of a stop text."""
    ended: Ended | None = None

    def take(self, token: int, stop_ids: Sequence[int]) -> None:
        """One more token of the answer."""
        self.tokens += 1
        if token in stop_ids:
            self._end("stop")
            return
        self._tell(self.pieces.push([token]))
        if self.ended is None and self.tokens >= self.job.limit:
            self._end("length")

    def _tell(self, text: str, *, last: bool = False) -> None:
        text, self.held = self.held + text, ""
        places = [place for stop in self.job.stops if (place := text.find(stop)) >= 0]
        if places:
            text, self.ended = text[: min(places)], "stop"
        elif not last:
            kept = max((_overlap(text, stop) for stop in self.job.stops), default=0)
            text, self.held = text[: len(text) - kept], text[len(text) - kept :]
        if text:
            self.job.tell(Piece(text))
        if places:
            self.job.tell(Done("stop", self.tokens))

    def _end(self, why: Ended) -> None:
        self._tell(self.pieces.end(), last=True)
        if self.ended is None:
            self.ended = why
            self.job.tell(Done(why, self.tokens))


def _overlap(text: str, stop: str) -> int:
    """How many characters at the text's end may be the beginning of `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


@dataclass
class Engine:
    """Holds the models and answers in a thread of its own. later: adapters that are read when they are first asked, by
    side. most_waiting: questions that may wait.
    """

    models: LoadedModels
    batch_rows: int = 16
    most_waiting: int = 128
    later: dict[str, Path] = field(default_factory=dict)
    _waiting: deque[Job] = field(default_factory=deque)
    _change: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    def begin(self) -> None:
        """Start answering."""
        threading.Thread(target=self._work, daemon=True, name="answers").start()

    def close(self) -> None:
        """Answer no more."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def put(self, jobs: Sequence[Job]) -> None:
        """Have questions answered. FullError where too many wait; none of them is taken then."""
        with self._change:
            if len(self._waiting) + len(jobs) > self.most_waiting:
                raise FullError
            self._waiting.extend(jobs)
            self._change.notify_all()

    def _work(self) -> None:
        while batch := self._next():
            try:
                self._answer(batch)
            except Exception as error:
                log.exception("a batch failed")
                message, hint = explain(error)
                for job in batch:
                    job.tell(Failed(f"{message} {hint}".strip()))

    def _next(self) -> list[Job]:
        """The questions that are answered together: the one that waits longest, and others for the same model."""
        with self._change:
            while True:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return []
                until = time.monotonic() + GATHER_SECONDS
                while len(self._waiting) < self.batch_rows and (left := until - time.monotonic()) > 0:
                    self._change.wait(left)
                side = self._waiting[0].side
                batch = [job for job in self._waiting if job.side == side and not job.cancelled][: self.batch_rows]
                gone = {*batch, *(job for job in self._waiting if job.cancelled)}
                self._waiting = deque(job for job in self._waiting if job not in gone)
                if batch:
                    return batch

    def _answer(self, jobs: Sequence[Job]) -> None:
        """Answer them together; in halves where the GPU's memory does not suffice for their prompts."""
        rows = [_Row(job, PieceDecoder(self.models.text)) for job in jobs]
        try:
            self._generate(rows)
            return
        except torch.OutOfMemoryError:
            if len(jobs) == 1 or any(row.tokens for row in rows):  # what was told cannot be taken back
                raise
        torch.cuda.empty_cache()
        middle = len(jobs) // 2
        self._answer(jobs[:middle])
        self._answer(jobs[middle:])

    def _generate(self, rows: Sequence[_Row]) -> None:
        models, jobs = self.models, [row.job for row in rows]
        side = jobs[0].side
        if side not in models.sides:
            models.add(side, self.later[side])
        model = models.use(side)
        with torch.inference_mode():
            model.generate(
                **padded(models, [job.ids for job in jobs]),
                generation_config=generation_config(
                    GenerationSettings(),
                    stop_ids=models.stop_ids,
                    pad_id=models.pad_id,
                    max_new_tokens=max(job.limit for job in jobs),
                ),
                logits_processor=LogitsProcessorList([*finite_numbers(model), _Settings(jobs, models.device)]),
                stopping_criteria=StoppingCriteriaList([_Ended(rows)]),
                streamer=_Streams(rows, models.stop_ids),
            )


class _Settings(LogitsProcessor):
    """Every row's own settings: rows of the same ones are drawn together, each from its own source of chance."""

    def __init__(self, jobs: Sequence[Job], device: Any) -> None:
        groups: dict[str, list[int]] = {}
        for number, job in enumerate(jobs):
            alike = job.settings.model_copy(update={"seed": 0, "max_tokens": 1})
            groups.setdefault(alike.model_dump_json(), []).append(number)
        self._groups = []
        for rows in groups.values():
            settings = jobs[rows[0]].settings
            steps = samplers(settings, [seed_of(jobs[row].settings) for row in rows], device)
            if settings.repetition_penalty != 1:
                steps.insert(0, RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
            if steps:
                self._groups.append((torch.tensor(rows, device=device), steps))

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if not self._groups:
            return scores
        drawn: Any = scores.float().clone()
        for rows, steps in self._groups:
            taken: Any = input_ids[rows]
            drawn[rows] = steps(taken, scores[rows]).float()
        return drawn  # type: ignore[no-any-return]


class _Streams(BaseStreamer):
    """Gives each row its tokens as they come."""

    def __init__(self, rows: Sequence[_Row], stop_ids: Sequence[int]) -> None:
        self._rows, self._stop_ids, self._begun = rows, stop_ids, False

    def put(self, value: Any) -> None:
        """First the prompts, which are passed over; then a token of each row."""
        if not self._begun:
            self._begun = True
            return
        for row, token in zip(self._rows, value.tolist(), strict=True):
            if row.ended is None and not row.job.cancelled:
                row.take(token, self._stop_ids)

    def end(self) -> None:
        """All rows have ended, each by itself."""


class _Ended(StoppingCriteria):
    """Rows that have ended, by whatever, or whose answer nobody waits for."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._rows = rows

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        ended = [row.ended is not None or row.job.cancelled for row in self._rows]
        return torch.tensor(ended, device=input_ids.device)  # type: ignore[return-value]
