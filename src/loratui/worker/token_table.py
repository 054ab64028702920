"""The tokens of a dataset's rows as an Arrow table: written in bounded batches, read where they lie on the disk.

A row is stored whole, before it is cut or held out: whatever maximum length and split a plan has, it reads the same
table. Four bytes a token; a row's text is not kept, but for its question.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation
from loratui.data.row import Row
from loratui.worker.tokenised import IGNORED, Tokenised, label_spans

BATCH_TOKENS = 2**18
BATCH_ROWS = 1024
SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("line", pa.int64()),
        ("file", pa.int32()),
        ("identity", pa.binary(16)),
        ("leader", pa.int64()),
        ("digest", pa.int64()),
        ("ids", pa.list_(pa.int32())),
        ("spans", pa.list_(pa.int32())),
        ("labels", pa.list_(pa.int32())),
        ("answers", pa.int32()),
        ("ended", pa.int32()),
        ("refused", pa.string()),
        ("question", pa.string()),
        ("desirable", pa.bool_()),
    ]
)
"""index, line: of the row in its dataset and file. file: number of the file. identity, leader: what a split rests on.
digest: of its ids and what of them bears loss.
spans: beginning and end of each stretch that bears loss, one after the other. labels: only where they are not the ids
of the spans. answers, ended: answers, and those that end in a token at which generation stops. refused: why the chat
template refuses the row; then it has no ids. question: the last thing that was asked, for people. desirable: whether
such answers are wanted; null where nobody judged it.
"""

Ints = np.ndarray[Any, np.dtype[np.int64]]


class TokenWriter:
    """Writes rows in their order into a sink (a path, or a stream of pyarrow's). Raises OSError where the disk is full.

    `files` are the names of the files that the rows lie in, known once all are written.
    """

    def __init__(self, sink: Any) -> None:
        self._file = pa.OSFile(str(sink), "wb") if isinstance(sink, Path) else sink
        self._writer = pa.ipc.new_file(self._file, SCHEMA)
        self._numbers: dict[str, int] = {}
        self.rows = 0
        self._begin()

    def _begin(self) -> None:
        self._columns: dict[str, list[Any]] = {
            name: []
            for name in SCHEMA.names
            if name not in ("ids", "spans")  # these are held as machine integers
        }
        self._ids, self._spans = array("i"), array("i")
        self._id_ends, self._span_ends = array("i", [0]), array("i", [0])

    @property
    def files(self) -> list[str]:
        """Names of the files, by number."""
        return list(self._numbers)

    def add(
        self, row: Row, conversation: Conversation, tokenised: Tokenised | ModelError, identity: bytes, leader: int
    ) -> None:
        """Take one row, tokenised with all of its ids (`whole`) or refused."""
        columns = self._columns
        columns["index"].append(row.index)
        columns["line"].append(row.line)
        columns["file"].append(self._numbers.setdefault(row.file, len(self._numbers)))
        columns["identity"].append(identity)
        columns["leader"].append(leader)
        asked = conversation.prompt
        columns["question"].append(asked[-1].content if asked else "")
        columns["desirable"].append(conversation.desirable)
        labels, answers, ended, refused = None, 0, 0, None
        digest = blake2b(digest_size=8)
        if isinstance(tokenised, ModelError):
            refused = tokenised.message
        else:
            answers, ended = tokenised.answers, tokenised.answers_ended
            spans: Sequence[tuple[int, int]] = tokenised.spans
            if tokenised.input_ids:  # it came as tokens
                spans = label_spans(tokenised.labels)
                differs = (label not in (IGNORED, number) for number, label in _pairs(tokenised))
                labels = tokenised.labels if any(differs) else None
            ids = array("i", tokenised.ids or tokenised.input_ids)
            places = array("i", (place for span in spans for place in span))
            self._ids.extend(ids)
            self._spans.extend(places)
            digest.update(ids)
            digest.update(places)
            if labels is not None:
                digest.update(array("i", labels))
        columns["digest"].append(int.from_bytes(digest.digest(), "little", signed=True))
        columns["labels"].append(labels)
        columns["answers"].append(answers)
        columns["ended"].append(ended)
        columns["refused"].append(refused)
        self._id_ends.append(len(self._ids))
        self._span_ends.append(len(self._spans))
        self.rows += 1
        if len(self._ids) >= BATCH_TOKENS or len(self._id_ends) > BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        lists = {"ids": (self._id_ends, self._ids), "spans": (self._span_ends, self._spans)}
        arrays = []
        for name in SCHEMA.names:
            if name in lists:
                ends, values = (pa.array(np.frombuffer(one, dtype=np.int32)) for one in lists[name])
                arrays.append(pa.ListArray.from_arrays(ends, values))
            else:
                arrays.append(pa.array(map(_valid_text, self._columns[name]), SCHEMA.field(name).type))
        self._writer.write_batch(pa.record_batch(arrays, schema=SCHEMA))
        self._begin()

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        if len(self._id_ends) > 1:
            self._flush()
        self._writer.close()
        self._file.close()

    def abandon(self) -> None:
        """Close without writing more: nobody will read it."""
        self._file.close()


def _pairs(tokenised: Tokenised) -> zip[tuple[int, int]]:
    return zip(tokenised.input_ids, tokenised.labels, strict=True)


def _valid_text(value: Any) -> Any:
    """Text that UTF-8 can hold: a lone surrogate of a row becomes a question mark."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    return value


class TokenTable:
    """Rows as they were written, by position. Nothing but their numbers is held in memory."""

    def __init__(self, source: Path | pa.Buffer, held: IO[bytes] | None = None) -> None:
        """held: the lock that keeps the file from being removed while the table lives. Raises OSError or
        pa.ArrowInvalid (a ValueError) where the file cannot be read.
        """
        self._held = held
        reader = pa.ipc.open_file(pa.memory_map(str(source)) if isinstance(source, Path) else source)
        if reader.schema != SCHEMA:
            raise ValueError("it has other columns")
        self._take([reader.get_batch(number) for number in range(reader.num_record_batches)])

    def _take(self, batches: list[Any]) -> None:
        self._batches = batches
        ids, spans = (self._column(name) for name in ("ids", "spans"))
        self._ids = [(one.offsets.to_numpy(), one.values.to_numpy()) for one in ids]
        self._first = np.cumsum([0, *(len(one) for one in ids)])
        """Rows before each batch, and in all."""
        self.lengths = _joined([np.diff(offsets) for offsets, _ in self._ids])
        """Tokens of each row, uncut; 0 where the template refuses it."""
        self.span_first = np.concatenate([[0], np.cumsum(_joined([np.diff(one.offsets.to_numpy()) for one in spans]))])
        self.span_first //= 2
        """Spans before each row, and in all."""
        self.spans = _joined([one.values.to_numpy() for one in spans]).reshape(-1, 2)
        self.one_span = len(self.spans) == len(self) and bool((np.diff(self.span_first) == 1).all())
        """Each row has exactly one span: that of its own number."""
        self.answers, self.ended = self._numbers("answers"), self._numbers("ended")
        self.digests = self._numbers("digest")
        """Equal for rows of the same tokens that bear loss at the same places."""
        self.refused = np.concatenate(
            [np.zeros(0, bool), *(one.is_valid().to_numpy(False) for one in self._column("refused"))]
        )
        self.desirable = np.concatenate(
            [np.zeros(0, bool), *(one.fill_null(False).to_numpy(False) for one in self._column("desirable"))]
        )
        self.has_labels = any(one.null_count < len(one) for one in self._column("labels"))

    def __len__(self) -> int:
        return int(self._first[-1])

    def _column(self, name: str) -> list[Any]:
        return [batch.column(SCHEMA.get_field_index(name)) for batch in self._batches]

    def _numbers(self, name: str) -> Ints:
        return _joined([one.to_numpy() for one in self._column(name)])

    @cached_property
    def leaders(self) -> Ints:
        """The first row of each row's group, as a split takes them together."""
        return self._numbers("leader")

    @property
    def identities(self) -> list[bytes]:
        """What each row says, as 16 bytes."""
        return [identity for one in self._column("identity") for identity in one.to_pylist()]

    def ids(self, row: int, start: int, end: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Ids of a part of a row, end excluded."""
        batch, at = self._place(row)
        offsets, values = self._ids[batch]
        first = int(offsets[at])
        part: np.ndarray[Any, np.dtype[np.int32]] = values[first + start : min(first + end, int(offsets[at + 1]))]
        return part

    def labels(self, row: int, start: int, end: int) -> Ints:
        """Labels of a part of a row; its first token is never predicted, so that one within the row has none."""
        if self.has_labels and (given := self.value(row, "labels")) is not None:
            labels = np.asarray(given[start:end], dtype=np.int64)
        else:
            ids = self.ids(row, start, end)
            labels = np.full(len(ids), IGNORED, dtype=np.int64)
            for first, last in self.spans[self.span_first[row] : self.span_first[row + 1]].tolist():
                first, last = max(first - start, 0), max(last - start, 0)
                labels[first:last] = ids[first:last]
        if start:
            labels[:1] = IGNORED
        return labels

    def value(self, row: int, name: str) -> Any:
        """One value of a row, by its column's name."""
        batch, at = self._place(row)
        return self._batches[batch].column(SCHEMA.get_field_index(name))[at].as_py()

    def _place(self, row: int) -> tuple[int, int]:
        batch = int(np.searchsorted(self._first, row, side="right")) - 1
        return batch, row - int(self._first[batch])


class JoinedTable(TokenTable):
    """Several tables as one, their rows one after the other. Groups of rows are each table's own."""

    def __init__(self, tables: Sequence[TokenTable], files: Sequence[int]) -> None:
        """files: how many files the rows of each table lie in."""
        self._tables = list(tables)
        self._take([batch for table in tables for batch in table._batches])
        self.first_rows = np.cumsum([0, *(len(table) for table in tables)])
        """The first row of each table, and all of them."""
        self._first_files = np.cumsum([0, *files])

    def table_of(self, rows: Ints) -> Ints:
        """Number of the table of each row."""
        found: Ints = np.searchsorted(self.first_rows, rows, side="right") - 1
        return found

    def value(self, row: int, name: str) -> Any:
        """As in one table; files are counted through."""
        found = super().value(row, name)
        if name != "file":
            return found
        return found + int(self._first_files[self.table_of(np.array([row]))[0]])


def _joined(parts: Sequence[Any]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64, copy=False)
