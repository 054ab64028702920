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
from typing import BinaryIO

from loratui.core.errors import LoratuiError
from loratui.workers.protocol import (
    Add,
    Ask,
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


def main(argv: Sequence[str] = ()) -> int:
    """Serve requests until the input closes."""
    replies = _own_output()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl+c at a terminal is for the program in front
    server = _Server(replies)
    threading.Thread(target=server.read, args=(sys.stdin.buffer,), daemon=True).start()
    return server.serve()


def _own_output() -> BinaryIO:
    """The pipe for replies. Whatever a library prints goes to the log instead, and cannot break a line of ours."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(pipe, "wb", buffering=0)


class _Server:
    """Reads in one thread, so that a stop is heard while an answer grows; answers in the other."""

    def __init__(self, replies: BinaryIO) -> None:
        from loratui.worker.generation.answer import StopFlags

        self._replies = replies
        self._lock = threading.Lock()
        self._requests: queue.Queue[Request] = queue.Queue()
        self._flags = StopFlags()

    def emit(self, event: Event) -> None:
        """Send one event; end when nobody reads any more."""
        try:
            with self._lock:
                self._replies.write(encode(event))
        except BrokenPipeError:
            os._exit(0)

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
        from pathlib import Path

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
                        models = LoadedModels(request, lambda what: self.emit(Loading(what)))
                        self.emit(_ready(models, request.number))
                    case _ if models is None:
                        self.emit(_failed(request, "no model is loaded."))
                    case Add():
                        self.emit(Loading(f"reading {request.name}"))
                        models.add(request.name, Path(request.path))
                        self.emit(_ready(models, request.number))
                    case Ask():
                        answer(models, request, self.emit, self._flags)
                    case Stop():
                        pass
            except Exception as error:  # noqa: BLE001 - told as a sentence; the traceback is for the log
                traceback.print_exc()
                message, hint = explain(error)
                self.emit(_failed(request, message, hint))


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
