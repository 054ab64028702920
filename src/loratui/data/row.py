"""One row of a dataset as it was read, and one thing that is wrong with a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a row, with its place.

    kind: a stable word for scripts, e.g. "json", "empty-answer". message: one sentence for the person. line: line of
    the file, counted from 1 (None where the file has no lines). index: row of the dataset, counted from 0. blocking:
    True where the row cannot be trained on as it is.
    """

    kind: str
    message: str
    line: int | None = None
    index: int | None = None
    file: str = ""
    blocking: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read: its value, or what is wrong with it.

    index: position in the dataset, counted from 0; rows that could not be read keep their number. line: line of the
    file on which the row begins, counted from 1.
    """

    index: int
    line: int | None
    value: Mapping[str, Any] | None
    problem: Problem | None = None
    file: str = ""


class RowError(Exception):
    """A row that cannot become a conversation: `kind` and one sentence."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        self.message = message
        super().__init__(message)


def place_of(index: int, line: int | None) -> str:
    """`line 3`, or `row 1,204` where the file has no lines; both count from 1."""
    return f"line {line}" if line is not None else f"row {index + 1:,}"
