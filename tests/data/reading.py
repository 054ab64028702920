"""Read a dataset to its end as the inspection does, without a model: what is wrong, and what is taught."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from loratui.core.errors import DatasetError
from loratui.data.check import check
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.find import find_dataset
from loratui.data.read import read_rows, require_rows, sample_rows
from loratui.data.recognise import Recognition, recognise
from loratui.data.row import RowError


@dataclass
class Reading:
    error: str = ""
    problems: list[tuple[int | None, str, str]] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    recognition: Recognition | None = None


def read_whole(path: Path | str, **given) -> Reading:
    reading = Reading()
    try:
        found = find_dataset(str(path))
        head = sample_rows(found, 200)
        require_rows(found, head)
        reading.recognition = recognise(head, where=str(path), **given)
        for row in read_rows(found):
            if row.problem:
                reading.problems.append((row.problem.line, row.problem.kind, row.problem.message))
                continue
            try:
                conversation = to_conversation(row, reading.recognition)
            except RowError as error:
                reading.problems.append((row.line, error.kind, error.message))
                continue
            reading.problems += [(row.line, kind, message) for kind, message in check(conversation)]
            reading.conversations.append(conversation)
    except DatasetError as error:
        reading.error = error.sentence
    return reading
