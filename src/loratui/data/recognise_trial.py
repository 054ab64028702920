"""Try readings on a sample of rows: how many rows each can use, how much text, and what it leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loratui.data.cells import as_text, cell_at, paths, unfold
from loratui.data.column_names import COMPLETIONS, TELLING
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.flags import WEIGHTS, truth, verdict
from loratui.data.recognise_survey import SAMPLE_ROWS, Column, plain
from loratui.data.recognition import Recognition
from loratui.data.row import RowError

AS_GOOD = 0.9
"""Share of the rows of the best reading that makes another one as good."""
NOTABLE_SHARE = 0.2
NOTABLE_CHARACTERS = 20
"""A column left out is said to be where it holds a fifth as much text as is used, and 20 characters a row."""
KEPT = 50
"""Examples that are kept to be compared with what is left out."""
CLIPPED = 2000
"""Characters of a cell that are compared, to tell a copy."""


@dataclass
class Trial:
    """What one reading makes of the sample. used: rows with at least one example. characters: of all examples."""

    reading: Recognition
    used: int = 0
    characters: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Rows without an example, by the kind of what is wrong with them."""
    conversations: list[tuple[Mapping[str, Any], Conversation]] = field(default_factory=list)


FLAGGED = frozenset({"label", "weight", "split", "media", "flag"})
"""Kinds of faults that a reading finds because it looks: they do not count against it."""


def attempt(reading: Recognition, values: Sequence[Mapping[str, Any]]) -> Trial:
    """Convert every row of a sample."""
    trial = Trial(reading)
    for value in values[:SAMPLE_ROWS]:
        used = False
        for one in unfold(value, reading.unfold):
            try:
                conversation = to_conversation(one, reading)
            except RowError as error:
                trial.refused[error.kind] = trial.refused.get(error.kind, 0) + 1
                continue
            used = True
            trial.characters += conversation.characters
            if len(trial.conversations) < KEPT:
                trial.conversations.append((one, conversation))
        trial.used += used
    return trial


def choose(trials: Sequence[Trial]) -> list[Trial]:
    """The trials, the best first: of those that use most rows the most telling, and of its format the one with most
    text.
    """
    if not trials:
        return []
    counts = [trial.used + sum(trial.refused.get(kind, 0) for kind in FLAGGED) for trial in trials]
    enough = AS_GOOD * max(counts)
    good = [trial for trial, count in zip(trials, counts, strict=True) if count >= enough]
    first = good[0]
    alike = [trial for trial in good if trial.reading.format == first.reading.format]
    best = first if first.reading.format == "messages" else max(alike, key=lambda trial: trial.characters)
    return [best, *(trial for trial in good if trial is not best), *(t for t in trials if t not in good)]


def told(trial: Trial, found: Mapping[str, Column], values: Sequence[Mapping[str, Any]]) -> Recognition:
    """The reading with what it leaves out, and what a person should know of it."""
    reading = trial.reading
    taken = {step for setting in reading.columns.values() for path in paths(setting) for step in (path, _first(path))}
    values = values[:SAMPLE_ROWS]
    unused = tuple(name for name in found if name not in taken)
    counts = {name: sum(text_characters(value.get(name)) for value in values) for name in unused}
    left = {name: count for name, count in counts.items() if count}
    doubts = list(reading.doubts)
    copies = [name for name in left if _repeats(name, trial.conversations)]
    notable = [name for name, count in counts.items() if name not in copies and _notable(name, count, trial, values)]
    if reading.format == "tokens":
        beside = [] if "labels" in reading.columns else [name for name in notable if plain(name) != "text"]
        if beside:
            doubts.append(f"every one of the token ids is learnt, and beside them stand texts: {', '.join(beside[:4])}")
    elif notable:
        listed = ", ".join(f"{name} ({counts[name]:,} characters)" for name in notable[:4])
        more = f" and {len(notable) - 4} more" if len(notable) > 4 else ""
        doubts.append(f"left out of the first {len(values):,} row{'s' if len(values) > 1 else ''}: {listed}{more}")
    doubts += _weights_passed_over(unused, found, values)
    doubts += _lists_as_text(reading, found)
    return replace(
        reading,
        guess=reading.guess or len(doubts) > 0,
        unused=unused,
        left=left,
        doubts=tuple(doubts),
        tried=len(values),
        used=trial.used,
        unwanted=_unwanted(reading, values),
    )


def _unwanted(reading: Recognition, values: Sequence[Mapping[str, Any]]) -> int:
    column = reading.columns.get("label")
    return sum(verdict(cell_at(value, column)) is False for value in values) if column else 0


def _first(path: str) -> str:
    return path.split(".")[0]


def text_characters(cell: Any) -> int:
    """Characters of the texts within a cell; numbers and flags have none."""
    if isinstance(cell, str):
        return len(cell)
    if isinstance(cell, Mapping):
        return sum(map(text_characters, cell.values()))
    return sum(map(text_characters, cell)) if isinstance(cell, list | tuple) else 0


def _notable(name: str, count: int, trial: Trial, values: Sequence[Mapping[str, Any]]) -> bool:
    rows = len(values)
    if plain(name) in TELLING and any(value.get(name) not in (None, "", [], {}) for value in values):
        return True
    if count < NOTABLE_CHARACTERS * rows:
        return False
    if plain(name) in COMPLETIONS:
        return True
    if count < NOTABLE_SHARE * trial.characters:
        return False
    texts = [str(value.get(name)) for value in values]
    named = len(set(texts)) <= max(1, rows // 10) or sum(map(_is_address, texts)) >= AS_GOOD * rows
    return not (named and rows > 1)


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://", "/", "www.")) and not any(map(str.isspace, text.strip()))


def _repeats(name: str, conversations: Sequence[tuple[Mapping[str, Any], Conversation]]) -> bool:
    """Whether a column says what the rows say anyway: its text within theirs, or their answer within its."""
    looked = [(value, one) for value, one in conversations if value.get(name)]
    within = plain(name) in (*TELLING, *COMPLETIONS)
    alike = sum(_repeated(value[name], one, only_within=within) for value, one in looked)
    return bool(looked) and alike >= AS_GOOD * len(looked)


def _repeated(cell: Any, conversation: Conversation, *, only_within: bool) -> bool:
    try:
        text = as_text(cell, "") if not isinstance(cell, bytes) else ""
    except RowError:
        return False
    said = [conversation.text, *(message.content for message in conversation.messages)]
    inner = text.strip()[:CLIPPED]
    if any(inner in one for one in said):
        return True
    answer = conversation.answer.strip()[:CLIPPED]
    return not only_within and len(answer) >= NOTABLE_CHARACTERS and (answer in text or _escaped(answer) in text)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _lists_as_text(reading: Recognition, found: Mapping[str, Column]) -> list[str]:
    """Answers that are several texts: they would be learnt as JSON."""
    answers = [reading.columns[part] for part in ("completion", "output", "chosen") if part in reading.columns]
    return [
        f"{name} holds lists, which are learnt as JSON; {name}.0 is the first of each"
        for name in answers
        if name in found and found[name].kind == "list"
    ]


def _weights_passed_over(
    unused: tuple[str, ...], found: Mapping[str, Column], values: Sequence[Mapping[str, Any]]
) -> list[str]:
    names = [name for name in unused if plain(name) in WEIGHTS[:3] and found[name].kind == "number"]
    return [
        f"{name} holds other numbers than 0 and 1: every row counts the same here"
        for name in names
        if any(truth(value.get(name)) is None for value in values if value.get(name) is not None)
    ]
