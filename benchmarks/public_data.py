"""What loratui makes of a folder of data files: for each its reading, the rows used, what is left out or refused.

    python benchmarks/public_data.py FOLDER [--rows 5000] [--show] [--json results.json]

Every file is read as `loratui inspect` reads it, without a model. --show prints the first example of each, for the
eye: whether a reading is right, only a person can tell.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from loratui.core.errors import LoratuiError
from loratui.data.cells import unfold
from loratui.data.convert import to_conversation
from loratui.data.find import find_dataset
from loratui.data.read import read_rows, require_rows, sample_rows
from loratui.data.recognise import SAMPLE_ROWS, recognise
from loratui.data.row import RowError


@dataclass
class Outcome:
    """One file. refused: why none of it can be read; empty where it can."""

    file: str
    refused: str = ""
    format: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    guess: bool = False
    doubts: list[str] = field(default_factory=list)
    rows: int = 0
    used: int = 0
    examples: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    first_fault: str = ""
    left: dict[str, int] = field(default_factory=dict)
    note: str = ""
    first: list[list[str]] = field(default_factory=list)


def look_at(path: Path, limit: int) -> Outcome:
    """Read at most `limit` rows of a file as the inspection does."""
    outcome = Outcome(path.name)
    try:
        found = find_dataset(str(path))
        outcome.note = found.note
        head = sample_rows(found, SAMPLE_ROWS)
        require_rows(found, head)
        reading = recognise(head, where=path.name)
        outcome.format, outcome.columns, outcome.guess = reading.format, dict(reading.columns), reading.guess
        outcome.doubts, outcome.left = list(reading.doubts), dict(reading.left)
        faults: Counter[str] = Counter()
        for row in islice(read_rows(found), limit):
            outcome.rows += 1
            used = 0
            for one in unfold(row.value, reading.unfold) if row.value is not None else ():
                try:
                    conversation = to_conversation(one, reading)
                except RowError as error:
                    faults[error.kind] += 1
                    outcome.first_fault = outcome.first_fault or f"line {row.line}: {error.message}"
                    continue
                used += 1
                if not outcome.first:
                    outcome.first = [
                        [f"{m.role}{' *' if m.trained else ''}", m.content[:300]] for m in conversation.messages
                    ] or [["text *", conversation.text[:300] or f"{len(conversation.tokens)} tokens"]]
            if row.problem is not None:
                faults[row.problem.kind] += 1
                outcome.first_fault = outcome.first_fault or f"line {row.line}: {row.problem.message}"
            outcome.used += used > 0
            outcome.examples += used
        outcome.faults = dict(faults)
    except LoratuiError as error:
        outcome.refused = error.sentence
    return outcome


def words(outcome: Outcome, *, show: bool) -> str:
    """An outcome for people."""
    lines = [outcome.file]
    if outcome.refused:
        return f"{outcome.file}\n  REFUSED {outcome.refused}"
    mapping = ", ".join(f"{part} <- {column!r}" for part, column in outcome.columns.items())
    lines.append(f"  {outcome.format}{' (a guess)' if outcome.guess else ''}: {mapping}")
    more = f", {outcome.examples:,} examples" if outcome.examples != outcome.used else ""
    lines.append(f"  {outcome.used:,} of {outcome.rows:,} rows{more}")
    if outcome.faults:
        lines.append(f"  not used: {outcome.faults} - {outcome.first_fault}")
    lines += [f"  doubt: {doubt}" for doubt in outcome.doubts]
    if outcome.left:
        lines.append("  no part: " + ", ".join(f"{name} ({count:,})" for name, count in outcome.left.items()))
    if outcome.note:
        lines.append(f"  note: {outcome.note}")
    if show:
        lines += [f"    {role:<12}| {text!r}" for role, text in outcome.first[:6]]
    return "\n".join(lines)


def main() -> None:
    """Look at every file of the folder, in the order of their names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    outcomes: list[Outcome] = []
    for path in sorted(item for item in asked.folder.iterdir() if item.is_file()):
        outcomes.append(look_at(path, asked.rows))
        print(words(outcomes[-1], show=asked.show), flush=True)
    tally: Counter[str] = Counter(
        "refused" if one.refused or not one.used else "a guess, said so" if one.guess else "recognised"
        for one in outcomes
    )
    print(f"\n{len(outcomes)} files: " + ", ".join(f"{count} {name}" for name, count in tally.most_common()))
    if asked.json:
        report: list[dict[str, Any]] = [asdict(one) for one in outcomes]
        asked.json.write_text(json.dumps(report, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
