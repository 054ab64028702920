"""A dataset's first rows, read and understood, for a screen that must paint at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loratui.core.plan import DatasetSection
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.find import FoundDataset
from loratui.data.read import require_rows, sample_rows
from loratui.data.recognise import SAMPLE_ROWS, Recognition, recognise
from loratui.data.row import Problem, RowError


@dataclass(frozen=True)
class PreviewRow:
    """A row as it stands in the file, and what it teaches, or what is wrong with it."""

    index: int
    line: int | None
    value: Mapping[str, Any] | None
    conversation: Conversation | None
    problem: Problem | None


@dataclass(frozen=True)
class Preview:
    """The first rows of a dataset and how they are read."""

    found: FoundDataset
    recognition: Recognition
    rows: tuple[PreviewRow, ...]


def preview(found: FoundDataset, section: DatasetSection | None = None, *, count: int = 20) -> Preview:
    """The first `count` rows; DatasetError where none can be read or they have no known shape."""
    section = section or DatasetSection(path=found.path)
    head = sample_rows(found, max(count, SAMPLE_ROWS))
    require_rows(found, head)
    recognition = recognise(head, section.format, section.columns, where=found.path)
    rows = []
    for row in head[:count]:
        conversation, problem = None, row.problem
        if problem is None:
            try:
                conversation = to_conversation(row, recognition)
            except RowError as error:
                problem = Problem(error.kind, error.message, row.line, row.index, row.file, blocking=True)
        rows.append(PreviewRow(row.index, row.line, row.value, conversation, problem))
    return Preview(found, recognition, tuple(rows))
