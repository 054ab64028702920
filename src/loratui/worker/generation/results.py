"""The file that `loratui generate` writes: as it goes, whole at every moment, and continued after a kill.

Answers go at once into a journal beside the output (`NAME.part`), one line each. The output itself is replaced whole
now and then, and at the end; then the journal goes. A journal made from the same rows, model and settings is continued:
no row is answered twice.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loratui.core.errors import InputError, WorkerError
from loratui.files import write_whole
from loratui.workers.questions import Question

REWRITE_SHARE = 0.05
"""At most this share of the time goes into replacing the output."""
SHORTEST_PAUSE_SECONDS = 2.0


class Results:
    """Answers by row, on disk."""

    def __init__(self, output: Path, questions: Sequence[Question], identity: Mapping[str, Any]) -> None:
        """identity: what the answers depend on; a journal with another identity is not continued.

        Raises InputError where the output cannot be written.
        """
        self.output = output
        self.journal = output.with_name(output.name + ".part")
        self._questions = {one.index: one for one in questions if not one.problem}
        self._header = json.dumps(identity, sort_keys=True, default=str)
        self.answers: dict[int, str] = {}
        self.resumed = 0
        self._next_write = time.monotonic() + SHORTEST_PAUSE_SECONDS
        if output.suffix.lower() not in (".json", ".jsonl", ".ndjson", ".csv"):
            raise InputError("answers are written as .json, .jsonl or .csv.", where=str(output))
        try:
            self._file = self.journal.open("a", encoding="utf-8")
            self._lock()
            if not self._kept_lines():
                self._file.truncate(0)
                self._line(self._header)
        except OSError as error:
            raise InputError(f"it cannot be written: {error.strerror or error}.", where=str(output)) from None

    def _lock(self) -> None:
        """Two starts at once would answer every row twice. The lock goes with its process, whatever ends it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "another start is writing these answers now.",
                where=str(self.output),
                hint="Wait for it, or name another output.",
            ) from None
        except OSError as error:
            if error.errno not in (
                errno.ENOLCK,
                errno.ENOTSUP,
                errno.ENOSYS,
            ):  # a file system without locks: nothing is lost but this guard
                raise

    def _kept_lines(self) -> bool:
        """Take up the answers of an earlier start; False where there is none to continue."""
        data = self.journal.read_bytes()
        lines = data.split(b"\n")
        if len(lines) < 2 or lines[0].decode("utf-8", "replace") != self._header:
            return False
        for line in lines[1:-1]:
            try:
                number, answer = json.loads(line)
            except ValueError:  # a line that a full disk cut: its row is answered again
                continue
            if number in self._questions:
                self.answers[number] = answer
        whole = len(data) - len(lines[-1])
        if whole < len(data):  # a torn last line: its row is answered again
            with self.journal.open("r+b") as file:
                file.truncate(whole)
        self.resumed = len(self.answers)
        return True

    @property
    def left(self) -> list[Question]:
        """Questions without an answer, in order."""
        return [one for number, one in self._questions.items() if number not in self.answers]

    def add(self, answers: Mapping[int, str]) -> None:
        """Keep answers by row number. Raises WorkerError when the disk is full; what was kept before stays."""
        try:
            for number, text in answers.items():
                self._line(json.dumps([number, text], ensure_ascii=True))
                self.answers[number] = text
            if time.monotonic() >= self._next_write:
                began = time.monotonic()
                self._write_output()
                took = time.monotonic() - began
                self._next_write = time.monotonic() + max(SHORTEST_PAUSE_SECONDS, took / REWRITE_SHARE)
        except OSError as error:
            raise WorkerError(
                f"the answers cannot be written: {error.strerror or error}.",
                where=str(self.output),
                hint="Free some space and give the same command again: it goes on where it stopped.",
            ) from None

    def finish(self) -> None:
        """Write the output whole and remove the journal."""
        self._write_output()
        self._file.close()
        self.journal.unlink(missing_ok=True)

    def _line(self, text: str) -> None:
        self._file.write(text + "\n")
        self._file.flush()

    def _write_output(self) -> None:
        rows = [
            {"input": self._questions[number].given, "generated_output": self.answers[number]}
            for number in sorted(self.answers)
        ]
        write_whole(self.output, _as_text(rows, self.output.suffix.lower()), durable=False)


def _as_text(rows: Sequence[Mapping[str, Any]], suffix: str) -> str:
    if suffix == ".json":
        return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"
    if suffix == ".csv":
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(["input", "generated_output"])
        for row in rows:
            given = row["input"]
            table.writerow(
                [given if isinstance(given, str) else json.dumps(given, ensure_ascii=False), row["generated_output"]]
            )
        return text.getvalue()
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
