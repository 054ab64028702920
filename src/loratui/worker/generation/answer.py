"""One question, answered on one or more sides, streamed token by token as whole characters."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from loratui.core.errors import InputError
from loratui.core.generation import GenerationSettings
from loratui.worker.generation.batch import room
from loratui.worker.generation.finite import finite_numbers
from loratui.worker.generation.load import LoadedModels, explain
from loratui.worker.generation.prompt import conversation, render
from loratui.worker.generation.sampling import samplers, seed_of
from loratui.worker.generation.settings import generation_config
from loratui.worker.generation.turns import Turns
from loratui.workers.protocol import Ask, Done, Event, Failed, Piece, Rendered, StopReason

log = logging.getLogger("loratui")
FLUSH_SECONDS = 0.05
"""Text is sent at most so often: the screen paints a few times a second anyway."""

Emit = Callable[[Event], None]


def answer(models: LoadedModels, ask: Ask, emit: Emit, flags: StopFlags) -> None:
    """Answer on all sides; ends when each has been told Done or Failed."""
    settings = ask.generation
    try:
        unknown = [side for side in ask.sides if side not in models.sides]
        if unknown:
            raise InputError(f"there is no side named {unknown[0]}.", hint=f"Sides are: {', '.join(models.sides)}.")
        prompts = {
            side: _prompt(models, ask, side, settings) for side in (ask.sides if ask.histories else ask.sides[:1])
        }
    except Exception as error:  # noqa: BLE001 - whatever a template or a tokenizer raises is told, and the worker lives on
        message, hint = explain(error)
        for side in ask.sides:
            emit(Failed(message, hint, ask.id, side))
        return
    for side, prompt in prompts.items():
        emit(Rendered(ask.id, prompt.text, len(prompt.ids), side if ask.histories else ""))
    common = prompts[ask.sides[0]]
    turns = Turns(ask.sides, lambda side: None if side not in models.sides else models.use(side))
    threads = [
        threading.Thread(
            target=turns.run,
            args=(side, _one(models, ask, side, prompts.get(side, common), settings, emit, flags, turns)),
            daemon=True,
        )
        for side in ask.sides
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A question as the model gets it, and how many tokens the answer may have."""

    text: str
    ids: list[int]
    limit: int


def _prompt(models: LoadedModels, ask: Ask, side: str, settings: GenerationSettings) -> _Prompt:
    text, ids = render(models.tokenizer, conversation(ask.histories.get(side, ask.messages), ask.prompt))
    return _Prompt(text, ids, room(models, ids, settings))


def _one(
    models: LoadedModels,
    ask: Ask,
    side: str,
    prompt: _Prompt,
    settings: GenerationSettings,
    emit: Emit,
    flags: StopFlags,
    turns: Turns,
) -> Callable[[], None]:
    """The work of one side's thread."""
    ids, limit = prompt.ids, prompt.limit

    def work() -> None:
        stream = _Stream(models, ask, side, emit, turns)
        try:
            model = models.use(side)
            inputs = torch.tensor([ids], device=models.device)
            model.generate(
                inputs=inputs,
                attention_mask=torch.ones_like(inputs),
                generation_config=generation_config(
                    settings, stop_ids=models.stop_ids, pad_id=models.pad_id, max_new_tokens=limit
                ),
                logits_processor=LogitsProcessorList(
                    [*finite_numbers(model), *samplers(settings, [seed_of(settings)], models.device)]
                ),
                stopping_criteria=StoppingCriteriaList([_Stopped(flags, ask.id, side)]),
                streamer=stream,
            )
        except Exception as error:
            log.exception("an answer failed")
            stream.flush()
            message, hint = explain(error)
            emit(Failed(message, hint, ask.id, side))
            return
        emit(stream.done(_reason(models, stream, ask, settings, limit, flags)))

    return work


def _reason(
    models: LoadedModels, stream: _Stream, ask: Ask, settings: GenerationSettings, limit: int, flags: StopFlags
) -> StopReason:
    if stream.last_token in models.stop_ids:
        return "stop token"
    if stream.tokens >= limit:
        return "length" if limit == settings.max_tokens else "context full"
    return "stopped" if flags.is_stopped(ask.id, stream.side) else "length"


class _Stopped(StoppingCriteria):
    """Ends an answer at the token after a person asked for it."""

    def __init__(self, flags: StopFlags, ask: int, side: str) -> None:
        self._flags, self._ask, self._side = flags, ask, side

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> torch.BoolTensor:
        stopped = self._flags.is_stopped(self._ask, self._side)
        return torch.full((input_ids.shape[0],), stopped, dtype=torch.bool, device=input_ids.device)  # type: ignore[return-value]


class _Stream(BaseStreamer):
    """Takes the tokens of one answer from `generate`, sends their text, and hands the model over between them."""

    def __init__(self, models: LoadedModels, ask: Ask, side: str, emit: Emit, turns: Turns) -> None:
        self.side = side
        self.tokens = 0
        self.last_token: int | None = None
        self._ask = ask
        self._emit = emit
        self._turns = turns
        self._text: list[str] = []
        self._flushed = 0.0
        self._first_seconds = 0.0
        self._seconds = 0.0
        self._prompt_seen = False
        self._pieces = PieceDecoder(models.text)

    def put(self, value: Any) -> None:
        """First the prompt, which is passed over; then each new token."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        ids = value.tolist()
        self.tokens += len(ids)
        self.last_token = ids[-1]
        self._seconds = self._turns.held_seconds(self.side)
        if self.tokens == len(ids):
            self._first_seconds = self._seconds
        self._text.append(self._pieces.push(ids))
        now = time.perf_counter()
        if now - self._flushed >= FLUSH_SECONDS:
            self._flushed = now
            self.flush()
        self._turns.token(self.side)

    def end(self) -> None:
        """The answer is whole."""
        self._text.append(self._pieces.end())
        self.flush()

    def flush(self) -> None:
        """Send the text gathered so far."""
        text = "".join(self._text)
        self._text.clear()
        if text:
            self._emit(Piece(self._ask.id, self.side, text))

    def done(self, reason: StopReason) -> Done:
        """What there is to tell of this answer."""
        steady_seconds = self._seconds - self._first_seconds
        speed = (self.tokens - 1) / steady_seconds if self.tokens > 1 and steady_seconds > 0 else 0.0
        return Done(self._ask.id, self.side, reason, self.tokens, self._first_seconds, speed)


class StopFlags:
    """Set from the thread that reads requests, read by the threads that answer."""

    def __init__(self) -> None:
        self._stopped: set[tuple[int, str]] = set()

    def stop(self, ask: int, side: str = "") -> None:
        """Stop one side of an ask; every side where none is named."""
        self._stopped.add((ask, side))

    def is_stopped(self, ask: int, side: str) -> bool:
        """Whether this answer should end at its next token."""
        return (ask, side) in self._stopped or (ask, "") in self._stopped


UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class PieceDecoder:
    """Decodes an answer token by token.

    A token may hold half of a character, or a space that shows only beside its neighbours. So the last tokens already
    told are decoded again together with the new ones, and what is new at the end is the piece.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._window = 0
        """Where the tokens begin that are decoded again for their context."""
        self._told = 0
        """Tokens whose text has been given out."""

    def push(self, ids: Sequence[int]) -> str:
        """The text that these tokens add; empty while a character is unfinished."""
        self._ids.extend(ids)
        before = self._decode(self._ids[self._window : self._told])
        after = self._decode(self._ids[self._window :])
        if after.endswith(UNFINISHED) or len(after) <= len(before):
            return ""
        self._window, self._told = self._told, len(self._ids)
        return after[len(before) :]

    def end(self) -> str:
        """What is left, with a half character shown as such."""
        before = self._decode(self._ids[self._window : self._told])
        after = self._decode(self._ids[self._window :])
        self._window = self._told = len(self._ids)
        return after[len(before) :]
