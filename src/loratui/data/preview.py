"""Some rows of a dataset, read and understood, for a screen: the first ones at once, others by their number or their
words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from loratui.core.plan import DatasetSection
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.encodings import UTF8
from loratui.data.find import find_dataset
from loratui.data.found import FoundDataset
from loratui.data.read import read_rows, require_rows, sample_rows
from loratui.data.recognise import SAMPLE_ROWS, Recognition, recognise
from loratui.data.row import Problem, Row, RowError


@dataclass(frozen=True)
class PreviewRow:
    """A row as it stands in the file, and what it teaches, or what is wrong with it. index: of a mix its number through
    all parts, in their order; part: the name of its own.
    """

    index: int
    line: int | None
    value: Mapping[str, Any] | None
    conversation: Conversation | None
    problem: Problem | None
    part: str = ""


@dataclass(frozen=True)
class Preview:
    """The first rows of a dataset and how they are read. name: of a part of a mix; others: its further parts."""

    found: FoundDataset
    recognition: Recognition
    rows: tuple[PreviewRow, ...]
    name: str = ""
    others: tuple[Preview, ...] = ()

    @property
    def parts(self) -> tuple[Preview, ...]:
        """This one, and the further parts of its mix."""
        return (self, *self.others)


def preview(
    found: FoundDataset, section: DatasetSection | None = None, *, count: int = 20, head: list[Row] | None = None
) -> Preview:
    """The first `count` rows; DatasetError where none can be read or they have no known shape. head: the first rows of
    the files (`facts.first_rows`, at least `count`), where they were read already.
    """
    section = section or DatasetSection(path=found.path)
    if head is None:
        head = sample_rows(found, max(count, SAMPLE_ROWS))
        require_rows(found, head)
    recognition = recognise(head, section.format, section.columns, where=found.path)
    rows = sample_rows(found, count, recognition.unfold) if recognition.unfold else head[:count]
    return Preview(found, recognition, tuple(understood(row, recognition) for row in rows))


def as_one(parts: Sequence[Preview], names: Sequence[str]) -> Preview:
    """Several datasets as one, whose rows follow each other part by part."""
    first, *others = (
        replace(part, name=name, rows=tuple(replace(row, part=name) for row in part.rows))
        for part, name in zip(parts, names, strict=True)
    )
    return replace(first, others=tuple(others))


def read_again(shown: Preview, recognition: Recognition) -> Preview:
    """The same first rows, read another way."""
    rows = sample_rows(shown.found, len(shown.rows), recognition.unfold)
    return Preview(shown.found, recognition, tuple(understood(row, recognition) for row in rows))


def first_values(path: str, *, encoding: str = UTF8, count: int = SAMPLE_ROWS) -> list[Mapping[str, Any]]:
    """The first rows of a dataset as they stand in its files. DatasetError where none can be read."""
    found = find_dataset(path, encoding=encoding)
    head = sample_rows(found, count)
    require_rows(found, head)
    return [row.value for row in head if row.value is not None]


def understood(row: Row, recognition: Recognition) -> PreviewRow:
    """A row with what it teaches, or what is wrong with it."""
    conversation, problem = None, row.problem
    if problem is None:
        try:
            conversation = to_conversation(row, recognition)
        except RowError as error:
            problem = Problem(error.kind, error.message, row.line, row.index, row.file, blocking=True)
    return PreviewRow(row.index, row.line, row.value, conversation, problem)


def _through(shown: Preview) -> Iterator[tuple[Preview, Row, int]]:
    """Every row, the part that it is of, and its number through all parts."""
    before = count = 0
    for part in shown.parts:
        for row in read_rows(part.found, unfold=part.recognition.unfold):
            yield part, row, before + row.index
            count = before + row.index + 1
        before = count


def rows_from(shown: Preview, start: int, count: int) -> tuple[PreviewRow, ...]:
    """`count` rows from number `start` on; fewer, or none, where the dataset ends. Reads the files up to there.

    Raises DatasetError where a file breaks off before.
    """
    rows = islice(_through(shown), start, start + count)
    return tuple(replace(understood(row, of.recognition), index=number, part=of.name) for of, row, number in rows)


def first_of_part(shown: Preview, name: str) -> int | None:
    """Number of the first row of the part of this name; None where there is none. Raises DatasetError as
    `rows_from`.
    """
    return next((number for of, _, number in _through(shown) if of.name == name), None)


def find_row(shown: Preview, words: str, after: int, *, stopped: Callable[[], bool] = lambda: False) -> int | None:
    """Number of the first row after number `after` that holds these words (small and capital letters alike), else from
    the top.

    None where no row does, or as soon as `stopped` says so. Raises DatasetError where a file breaks off.
    """
    wanted, before = words.casefold(), None
    for _, row, number in _through(shown):
        if number % 1000 == 0 and stopped():
            return None
        if number <= after and before is not None:
            continue
        if _holds(row.value, wanted):
            if number > after:
                return number
            before = number
    return before


def _holds(value: Any, wanted: str) -> bool:
    if isinstance(value, str):
        return wanted in value.casefold()
    if isinstance(value, Mapping):
        return any(_holds(part, wanted) for part in value.values())
    if isinstance(value, list | tuple):
        return any(_holds(part, wanted) for part in value)
    return value is not None and wanted in str(value).casefold()
