"""The file that `loratui generate` writes: there once it is whole, and continued after a kill.

Answers go at once into a journal beside the output (`NAME.part`), one line each. The output itself is written whole at
the end, so that none that is there lacks an answer; then the journal goes. A journal made from the same rows, model and
settings is continued: no row is answered twice. No other file is ever replaced, unless a person says so.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.core.errors import InputError, WorkerError
from loratui.files import write_whole
from loratui.workers.questions import Question

FORMATS = (".json", ".jsonl", ".ndjson", ".csv", ".parquet", ".txt")
OWN_COLUMNS = ("row", "sample", "input", "generated_output", "ended_by", "problem")
"""What is written beside a row's own columns. A column of such a name is kept as `NAME (of the row)`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a row."""

    text: str
    ended_by: str = ""
    """Why it ended: stop token, length, or context full."""


Key = tuple[int, int]
"""Number of the row in its file, and of the sample, both from 0."""


class Results:
    """Answers by row and sample, on disk."""

    def __init__(
        self,
        output: Path,
        questions: Sequence[Question],
        identity: Mapping[str, Any],
        *,
        samples: int = 1,
        source: Path | None = None,
        force: bool = False,
    ) -> None:
        """identity: what the answers depend on; a journal with another identity is not continued.

        source: the file of questions, which is never written. force: replace what is at `output`, and give up another
        start's journal. Raises InputError where the output cannot be written, or would replace something.
        """
        self.output = output
        self.journal = output.with_name(output.name + ".part")
        self.samples = samples
        self._questions = {one.index: one for one in questions}
        self._problems = {one.index: one.problem for one in questions if one.problem}
        self._header = json.dumps(identity, sort_keys=True, default=str)
        self.answers: dict[Key, Answer] = {}
        self.resumed = 0
        self._check(source, force)
        try:
            self._file = self.journal.open("a", encoding="utf-8")
            self._lock()
            if not self._kept_lines():
                self._file.truncate(0)
                self._line(self._header)
        except OSError as error:
            raise InputError(f"it cannot be written: {error.strerror or error}.", where=str(output)) from None

    def _check(self, source: Path | None, force: bool) -> None:
        if self.output.suffix.lower() not in FORMATS:
            raise InputError(f"answers are written as {', '.join(FORMATS)}.", where=str(self.output))
        for file in (self.output, self.journal):
            if source is not None and file.exists() and source.exists() and file.samefile(source):
                raise InputError(
                    "it is the file of questions, which would be lost.",
                    where=str(file),
                    hint="Name another output.",
                )
        if self.output.exists() and not self.output.is_file():
            raise InputError("it is there already, and no regular file.", where=str(self.output))
        unfinished = self.journal.is_file()
        ours = unfinished and self._is_ours()
        if force or ours:
            return
        if unfinished:
            raise InputError(
                "an unfinished start with other rows, another model or other settings was writing these answers.",
                where=str(self.journal),
                hint="Give its command again to finish it, name another output, or give up its answers with --force.",
            )
        if self.output.exists():
            raise InputError(
                "it is there already.", where=str(self.output), hint="Name another output, or replace it with --force."
            )

    def _is_ours(self) -> bool:
        """Whether the journal was begun with the same identity, or has not even that."""
        try:
            with self.journal.open(encoding="utf-8", errors="replace") as file:
                first = file.readline()
            return first == self._header + "\n" or not first.endswith("\n")
        except OSError:
            return False

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
                number, sample, text, ended_by = json.loads(line)
            except (ValueError, TypeError):  # a line that a full disk cut: its row is answered again
                continue
            if number in self._questions and number not in self._problems and 0 <= sample < self.samples:
                self.answers[number, sample] = Answer(text, ended_by)
        whole = len(data) - len(lines[-1])
        if whole < len(data):  # a torn last line: its row is answered again
            with self.journal.open("r+b") as file:
                file.truncate(whole)
        self.resumed = len(self.answers)
        return True

    @property
    def asked(self) -> list[tuple[Question, int]]:
        """Questions and samples that can be answered, in order, whether they have an answer or not."""
        return [
            (one, sample)
            for number, one in self._questions.items()
            if number not in self._problems
            for sample in range(self.samples)
        ]

    @property
    def left(self) -> int:
        """Answers that are still to be given."""
        return sum((one.index, sample) not in self.answers for one, sample in self.asked)

    def refuse(self, question: Question) -> None:
        """A row that cannot be asked after all: its problem stands in the output."""
        self._problems[question.index] = question.problem

    def add(self, answers: Mapping[Key, Answer]) -> None:
        """Keep answers by row and sample. Raises WorkerError when the disk is full; what was kept before stays."""
        try:
            for (number, sample), one in answers.items():
                self._line(json.dumps([number, sample, one.text, one.ended_by], ensure_ascii=True))
                self.answers[number, sample] = one
        except OSError as error:
            raise self._unwritten(error) from None

    def finish(self) -> None:
        """Write the output whole and remove the journal. Raises WorkerError as `add` does."""
        try:
            write_whole(self.output, _as_bytes(self._rows(), self.output.suffix.lower()))
            self._file.close()
        except OSError as error:
            raise self._unwritten(error) from None
        self.journal.unlink(missing_ok=True)

    def _unwritten(self, error: OSError) -> WorkerError:
        return WorkerError(
            f"the answers cannot be written: {error.strerror or error}.",
            where=str(self.output),
            hint="Free some space and give the same command again: it goes on where it stopped.",
        )

    def _line(self, text: str) -> None:
        self._file.write(text + "\n")
        self._file.flush()

    def _rows(self) -> list[dict[str, Any]]:
        """Every row that is answered or cannot be, with its number (from 1) and its own columns."""
        rows = []
        for number, question in sorted(self._questions.items()):
            own = {
                f"{name} (of the row)" if name in OWN_COLUMNS and name != "input" else name: value
                for name, value in question.columns.items()
            }
            begun: dict[str, Any] = {"row": number + 1, **own, "input": question.given}
            if number in self._problems:
                rows.append({**begun, "generated_output": None, "problem": self._problems[number]})
                continue
            for sample in range(self.samples):
                one = self.answers.get((number, sample))
                if one is not None:
                    which = {"sample": sample + 1} if self.samples > 1 else {}
                    rows.append({**begun, **which, "generated_output": one.text, "ended_by": one.ended_by})
        return rows


def _as_bytes(rows: Sequence[Mapping[str, Any]], suffix: str) -> bytes:
    if suffix == ".parquet":
        return _as_parquet(rows)
    if suffix == ".json":
        text = json.dumps(rows, ensure_ascii=False, indent=2, default=str) + "\n"
    elif suffix == ".txt":
        text = "".join((row["generated_output"] or "").replace("\\", r"\\").replace("\n", r"\n") + "\n" for row in rows)
    elif suffix == ".csv":
        text = _as_table(rows)
    else:
        text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    return text.encode("utf-8", "backslashreplace")


def _as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = _names(rows)
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(names)
    for row in rows:
        table.writerow([_cell(row.get(name)) for name in names])
    return text.getvalue()


def _as_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as arrow
    from pyarrow import parquet

    columns: dict[str, Any] = {}
    for name in _names(rows):
        values = [row.get(name) for row in rows]
        try:
            columns[name] = arrow.array(values)
        except (arrow.ArrowInvalid, arrow.ArrowTypeError):  # unlike things in one column
            columns[name] = arrow.array([_cell(value) for value in values])
    sink = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(columns), sink)
    return bytes(sink.getvalue())


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
