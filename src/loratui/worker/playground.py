"""The process that answers in the playground: JSON lines in, JSON lines out (see `protocol`).

    python -m loratui.worker playground

It ends when its input closes, so it never outlives the program that started it.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from loratui.child_process import Voice
from loratui.core.errors import LoratuiError
from loratui.core.generation import GenerationSettings
from loratui.workers.protocol import (
    Add,
    Answered,
    Ask,
    Evaluate,
    Evaluated,
    Event,
    Failed,
    Load,
    Loading,
    Ready,
    Request,
    Stop,
    decode_request,
    encode,
)
from loratui.workers.target import weights_written

if TYPE_CHECKING:
    from loratui.worker.generation.load import LoadedModels


def main(argv: Sequence[str] = ()) -> int:
    """Serve requests until the input closes."""
    voice = Voice()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl+c at a terminal is for the program in front
    server = _Server(voice)
    threading.Thread(target=server.read, args=(sys.stdin.buffer,), daemon=True).start()
    return server.serve()


class _Server:
    """Reads in one thread, so that a stop is heard while an answer grows; answers in the other."""

    def __init__(self, voice: Voice) -> None:
        from loratui.worker.generation.answer import StopFlags

        self._voice = voice
        self._requests: queue.Queue[Request] = queue.Queue()
        self._flags = StopFlags()
        self._load = Load("")
        """How the models that are held were loaded."""
        self._written: dict[str, list[int]] = {}
        """When their weights were written, by side."""

    def emit(self, event: Event) -> None:
        """Send one event; end when nobody reads any more."""
        self._voice.say(encode(event))

    def read(self, requests: BinaryIO) -> None:
        """The reading thread."""
        for line in requests:
            try:
                request = decode_request(line)
            except LoratuiError as error:
                self.emit(Failed(error.message, error.hint))
                continue
            if isinstance(request, Stop):
                self._flags.stop(request.id, request.side)
            else:
                self._requests.put(request)
        os._exit(0)  # the other end is gone: stop at once, also in the middle of an answer

    def serve(self) -> int:
        """The answering thread."""
        self.emit(Loading("starting PyTorch"))
        from transformers.utils import logging

        from loratui.worker.generation.answer import answer
        from loratui.worker.generation.load import LoadedModels, explain

        logging.disable_progress_bar()
        models: LoadedModels | None = None
        while True:
            request = self._requests.get()
            try:
                match request:
                    case Load():
                        models = None  # give the memory back before taking more
                        self._written = {side: weights_written(request, side) for side in request.sides}
                        models = LoadedModels(request, lambda what: self.emit(Loading(what)))
                        self._load = request
                        self.emit(_ready(models, request.number))
                    case _ if models is None:
                        self.emit(_failed(request, "no model is loaded."))
                    case Add():
                        self.emit(Loading(f"reading {request.name}"))
                        more = replace(self._load, sides=self._load.sides | {request.name: request.path})
                        written = weights_written(more, request.name)
                        models.add(request.name, Path(request.path))
                        self._load = more
                        self._written[request.name] = written
                        self.emit(_ready(models, request.number))
                    case Ask():
                        answer(models, request, self.emit, self._flags)
                    case Evaluate():
                        self.emit(self._evaluated(models, request))
                    case Stop():
                        pass
            except Exception as error:  # noqa: BLE001 - told as a sentence; the traceback is for the log
                traceback.print_exc()
                message, hint = explain(error)
                self.emit(_failed(request, message, hint))

    def _evaluated(self, models: LoadedModels, request: Evaluate) -> Evaluated:
        from loratui.worker.evaluate import DOCUMENT, EvaluateRequest, evaluate
        from loratui.worker.evaluating import Held
        from loratui.worker.generation.batch import StoppedError

        held = Held(
            models,
            self._load,
            request.sides,
            tell=lambda side, rows, of: self.emit(Answered(request.id, side, rows, of)),
            stopped=lambda: self._flags.is_stopped(request.id, ""),
            written=self._written,
        )
        settings = GenerationSettings.model_validate(request.settings)
        try:
            found = evaluate(EvaluateRequest(request.target, limit=request.limit, settings=settings), held)
        except StoppedError:
            return Evaluated(request.id, "")
        return Evaluated(request.id, str(Path(found["folder"]) / DOCUMENT))


def _failed(request: Request, message: str, hint: str = "") -> Failed:
    if isinstance(request, Load | Add):
        return Failed(message, hint, number=request.number)
    return Failed(message, hint, request.id)


def _ready(models: object, number: int) -> Ready:
    from loratui.worker.generation.load import LoadedModels

    assert isinstance(models, LoadedModels)
    return Ready(
        sides=list(models.sides),
        device=str(models.device),
        dtype=str(models.dtype).removeprefix("torch."),
        chat_template=bool(models.tokenizer.chat_template),
        context_tokens=models.context_tokens,
        seconds=models.seconds,
        memory_bytes=models.memory_bytes(),
        number=number,
    )
