"""The ledger of characters: what of a dataset's text is learnt, shown, cut and dropped, row by row and in sum."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from loratui.data.characters import (
    Reading,
    Rendering,
    pieces_of,
    read_characters,
    rendered_characters,
    size_of,
    thinking_characters,
    with_other_side,
)
from loratui.data.column_names import JUDGING
from loratui.data.conversation import Conversation
from loratui.data.recognise import Recognition
from loratui.data.row import Problem, Row
from loratui.worker.tokenised import Tokenised

PLANNED = "thinking, by dataset.reasoning"
"""What a plan leaves out of the rows stands among the columns under this name."""
LISTED_ROWS = 200
"""Rows that are named, those that lose the largest share first."""


@dataclass(slots=True)
class _Column:
    characters: int = 0
    rows: int = 0


@dataclass
class CharacterLedger:
    """Takes every row once; `summary()` and `problems()` at any time say what is known so far.

    mapped_by_hand: the person said which columns are read, so that what the others hold is left out on purpose.
    """

    recognition: Recognition
    mapped_by_hand: bool = False
    totals: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("source", "learnt", "shown", "cut", "reading", "template", "unused"), 0)
    )
    _dropped: dict[str, _Column] = field(default_factory=dict)
    _named: dict[str, _Column] = field(default_factory=dict)
    _parts: dict[str, list[int]] = field(default_factory=dict)
    """Part of the conversations → characters that the template drops, and that there are."""
    _worst: list[tuple[float, int, int, Row, str]] = field(default_factory=list)
    _template_rows: int = 0
    _told: dict[str, tuple[set[Any], int]] = field(default_factory=dict)
    """Number or flag columns that judge rows and are not read: some of their values, and in how many rows."""

    def __post_init__(self) -> None:
        used = set(self.recognition.columns.values())
        self._judging = tuple(name for name in self.recognition.unused if name.lower() in JUDGING and name not in used)

    def not_used(self, row: Row) -> None:
        """A row that is left out or cannot be trained on: all of its text is unused, for the reason it is listed
        with."""
        characters = size_of(row.value)
        self.totals["source"] += characters
        self.totals["unused"] += characters

    def take(self, row: Row, conversation: Conversation, sides: Sequence[tuple[Tokenised, Conversation]]) -> None:
        """Count a row that is trained on. sides: of a pair both, else the one, each with what the plan has the chat
        template see of it.
        """
        if row.value is None:
            return
        reading = read_characters(row.value, conversation, pieces_of(conversation), self.recognition.columns)
        if dropped := sum(map(thinking_characters, conversation.sides)) - sum(
            thinking_characters(handed) for _, handed in sides
        ):
            reading.named[PLANNED] = dropped
        self._take_reading(row, reading)
        for name in self._judging:
            value = row.value.get(name)
            if value is not None and not isinstance(value, str | list | dict):
                values, rows = self._told.get(name, (set(), 0))
                self._told[name] = (values | {value} if len(values) < 2 else values, rows + 1)
        rendering: Rendering | None = None
        for tokenised, handed in sides:
            if tokenised.text is None:  # it came as tokens
                return
            side = rendered_characters(pieces_of(handed), tokenised.text, tokenised.learnt, tokenised.kept_characters)
            rendering = side if rendering is None else with_other_side(rendering, side)
        if rendering is not None:
            thinking = sum(one.thinking.dropped for one, _ in sides if one.thinking is not None)
            self._take_rendering(row, reading, rendering, thinking)

    def _take_reading(self, row: Row, reading: Reading) -> None:
        self.totals["source"] += reading.source
        for kept, counts in ((self._dropped, reading.dropped), (self._named, reading.named)):
            for path, characters in counts.items():
                self.totals["reading"] += characters
                column = kept.setdefault(path, _Column())
                column.characters += characters
                column.rows += 1

    def _take_rendering(self, row: Row, reading: Reading, rendering: Rendering, thinking: int) -> None:
        """`thinking`: characters of it that the template drops."""
        lost = sum(rendering.dropped.values()) if rendering.dropped else 0
        fates = [rendering.learnt, rendering.shown, rendering.cut, lost]
        scaled = _scaled(fates, reading.carried)
        for name, characters in zip(("learnt", "shown", "cut", "template"), scaled, strict=True):
            self.totals[name] += characters
        for part, characters in rendering.parts.items():
            counts = self._parts.setdefault(part, [0, 0])
            counts[0] += rendering.dropped.get(part, 0)
            counts[1] += characters
        if not lost:
            return
        self._template_rows += 1
        of_answers, answers = rendering.answers
        if of_answers:
            share = of_answers / max(1, answers)
            of_it = f", {min(thinking, of_answers):,} of them thinking" if thinking else ""
            words = f"the chat template drops {share:.0%} of the answers' text ({of_answers:,} characters{of_it})."
        else:
            share = lost / max(1, sum(rendering.parts.values()))
            named = " and ".join(sorted(f"{part} text" for part in rendering.dropped if rendering.dropped[part]))
            words = f"the chat template drops {lost:,} characters of the {named}."
        entry = (share, lost, -row.index, Row(row.index, row.line, None, None, row.file), words)
        if len(self._worst) < LISTED_ROWS:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heappushpop(self._worst, entry)

    def problems(self) -> list[tuple[Problem, int]]:
        """What is dropped without anyone having said so, the worst rows first, each kind with the number of its rows
        (counted once)."""
        found: list[tuple[Problem, int]] = []
        if not self.mapped_by_hand:
            for path, column in sorted(self._dropped.items(), key=lambda item: -item[1].characters):
                message = (
                    f"{path or 'a text'} is not read: {column.characters:,} characters in {column.rows:,} "
                    f"row{'s' if column.rows != 1 else ''} are neither shown nor learnt. Map it with dataset.columns, "
                    "or map the others by hand to leave it out."
                )
                found.append((Problem("not-read", message), column.rows))
            for name, (values, rows) in self._told.items():
                if len(values) > 1:
                    message = (
                        f"the column {name} is not read, and its values differ: if it says which rows are good, the "
                        "bad ones are trained on, too. Map the columns by hand to leave it out."
                    )
                    found.append((Problem("not-read", message), rows))
        rows_left = self._template_rows
        for _, _, _, row, words in sorted(self._worst, key=lambda entry: entry[:3], reverse=True):
            found.append((Problem("template-drops", words, row.line, row.index, row.file), rows_left))
            rows_left = 0
        return found

    def summary(self) -> dict[str, Any]:
        """The sums in characters, for `inspect --json`: `source` is the sum of the others but `unexplained`."""
        template = sum(dropped for dropped, _ in self._parts.values())
        reading = 0 if self.mapped_by_hand else sum(column.characters for column in self._dropped.values())
        columns = [
            {"column": path, "characters": one.characters, "rows": one.rows, "explained": named or self.mapped_by_hand}
            for named, kept in ((False, self._dropped), (True, self._named))
            for path, one in sorted(kept.items(), key=lambda item: -item[1].characters)
        ]
        return {
            **self.totals,
            "unexplained": template + reading,
            "columns": columns,
            "template_parts": [
                {"part": part, "dropped": dropped, "characters": characters}
                for part, (dropped, characters) in self._parts.items()
            ],
            "rows_losing": self._template_rows,
            "worst": [
                {"index": row.index, "line": row.line, "share": round(share, 4), "characters": lost, "message": words}
                for share, lost, _, row, words in sorted(self._worst, key=lambda entry: entry[:3], reverse=True)[:20]
            ],
        }


def _scaled(fates: list[int], carried: int) -> list[int]:
    """The counts, brought to the sum of the source's characters: a reading may have joined or written out texts."""
    total = sum(fates)
    if total == carried or not total:
        return fates if total else [0, carried, 0, 0]
    scaled = [count * carried // total for count in fates]
    scaled[max(range(len(fates)), key=fates.__getitem__)] += carried - sum(scaled)
    return scaled
