"""What is known of a dataset before the tokenizer is: how its rows are read, what is wrong with the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loratui.data.check import check
from loratui.data.convert import to_conversation
from loratui.data.facts import guessed_tokens
from loratui.data.found import FoundDataset
from loratui.data.preferences import is_preference
from loratui.data.recognise import Recognition
from loratui.data.row import Row, RowError
from loratui.worker.inspecting.findings import Findings
from loratui.workers.inspect_messages import Recognised


def recognised_message(recognition: Recognition, head: Sequence[Row], found: FoundDataset, examples: int) -> Recognised:
    """The message of it. head: the first rows. examples: how many there are, perhaps guessed."""
    findings, guessed = Findings(), []
    for row in head:
        if row.problem is not None:
            findings.add(row.problem)
            continue
        try:
            conversation = to_conversation(row, recognition)
        except RowError as error:
            findings.of_row(row, error.kind, error.message, blocking=True)
            continue
        guessed.append(guessed_tokens(conversation))
        for kind, message in check(conversation):
            findings.of_row(row, kind, message)
    guessed.sort()
    return {
        "type": "recognised",
        "problems": findings.as_list(),
        "rows_looked_at": len(head),
        "guessed_tokens": {"median": guessed[len(guessed) // 2], "max": guessed[-1]}
        if guessed
        else {"median": 0, "max": 0},
        "format": recognition.format,
        "columns": dict(recognition.columns),
        "why": recognition.why,
        "guess": recognition.guess,
        "others": [{"format": o.format, "columns": dict(o.columns), "why": o.why} for o in recognition.others],
        "unused": list(recognition.unused),
        "doubts": list(recognition.doubts),
        "examples": examples,
        "files": [str(file.path) for file in found.files],
        "note": found.note,
    }


def reading_document(recognition: Recognition) -> dict[str, Any]:
    """How the rows are read, for `inspect --json`."""
    return {
        "format": recognition.format,
        "columns": dict(recognition.columns),
        "why": recognition.why,
        "guess": recognition.guess,
        "others": [{"format": o.format, "columns": dict(o.columns), "why": o.why} for o in recognition.others],
        "unused": list(recognition.unused),
        "unused_characters": dict(recognition.left),
        "doubts": list(recognition.doubts),
        "labels_against": recognition.unwanted if is_preference(recognition) else 0,
    }


def files_document(found: FoundDataset) -> dict[str, Any]:
    """The files of a dataset, for `inspect --json`."""
    return {
        "name": found.name,
        "kind": found.kind,
        "files": [str(file.path) for file in found.files],
        "size_bytes": found.size_bytes,
        "note": found.note,
    }
