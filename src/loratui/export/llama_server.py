"""llama.cpp's own server with one model, for as long as a proof takes: on the loopback alone, with a key of the day."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

from loratui.child_process import start_tool
from loratui.core.errors import WorkerError
from loratui.format import one_line

START_SECONDS = 600.0
"""Longest that it may read its weights: tens of gigabytes from a slow disk."""
ANSWER_SECONDS = 600.0
END_SECONDS = 10.0


class LlamaServer:
    """`with LlamaServer(…) as server`: WorkerError where it does not start or does not answer."""

    def __init__(self, program: str, model: Path, context_tokens: int, lora: Path | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._key = secrets.token_urlsafe(24)
        self._model = model
        self._command = [
            *(program, "-m", str(model), *(("--lora", str(lora)) if lora else ())),
            *("--host", "127.0.0.1", "--port", str(self._port), "-c", str(context_tokens), "-np", "1"),
        ]
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> LlamaServer:
        self._log = TemporaryFile()
        self._process = start_tool(self._command, self._log, {"LLAMA_API_KEY": self._key})
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def tokens(self, text: str) -> list[int]:
        """A text as the file's own tokenizer cuts it, special tokens as they stand in it."""
        asked = {"content": text, "add_special": False, "parse_special": True}
        return [int(one) for one in self._ask("tokenize", asked)["tokens"]]

    def greedy(self, prompt: list[int], most_tokens: int) -> str:
        """The greedy answer to a prompt of tokens, without its stop token."""
        asked = {"prompt": prompt, "n_predict": most_tokens, "temperature": 0.0, "cache_prompt": False}
        return str(self._ask("completion", asked)["content"])

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise WorkerError(f"llama-server does not take it: {self._last_line()}", where=str(self._model))
            try:
                with self._opener.open(f"http://127.0.0.1:{self._port}/health", timeout=10):
                    return
            except (OSError, ValueError):  # not listening yet, or still reading the weights
                time.sleep(0.1)
        raise WorkerError(f"llama-server was not ready after {START_SECONDS:.0f} seconds.", where=str(self._model))

    def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/{what}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
            method="POST",
        )
        try:
            with self._opener.open(asked, timeout=ANSWER_SECONDS) as answer:
                found = json.load(answer)
            return dict(found)
        except urllib.error.HTTPError as error:
            said = one_line(error.read(2000).decode("utf-8", "replace"), 200)
            raise WorkerError(f"llama-server refuses ({error.code}): {said}", where=str(self._model)) from None
        except (OSError, ValueError, TypeError) as error:
            raise WorkerError(f"llama-server does not answer: {error}", where=str(self._model)) from None

    def _last_line(self) -> str:
        self._log.seek(max(0, os.fstat(self._log.fileno()).st_size - 4000))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        errors = [line for line in lines if "error" in line.lower()]
        return one_line((errors or lines or ["it said nothing"])[-1], 300)

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
