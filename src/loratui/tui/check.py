"""The check of a dataset with the model's own tokenizer, as the wizard holds it while a worker does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loratui.worker.inspect_messages import InspectMessage

PREVIEW_ROWS = 20
"""Rows that are asked for as tokens."""


@dataclass
class Check:
    """One check: what it was started for, how far it is, and what it found."""

    key: str = ""
    """What it checks: it is done again where this changes."""
    progress: str = ""
    """What it does now; empty once it has ended."""
    result: dict[str, Any] | None = None
    partial: dict[str, Any] | None = None
    """What it found of the rows that it has read so far."""
    problem: str = ""
    """Why there is no result."""
    stopped: bool = False
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Rows as the trainer receives them, by number."""

    def words(self, max_length: int, *, exact: bool = False) -> tuple[str, str]:
        """Where it stands, in words, and the theme colour for them.

        max_length: of the plan now, in tokens. exact: the lengths were counted by an earlier check.
        """
        if self.progress:
            return f"{self.progress} (esc stops it)", "$text-muted"
        if self.problem:
            return f"▲ {self.problem} r checks again", "$warning"
        if self.stopped:
            counts = "lengths are those of the last check" if exact else "counts and lengths are guesses"
            return f"▲ stopped: {counts} · r checks again", "$warning"
        if self.result is None:
            return "begins once the model is on this machine; until then lengths are guesses", "$text-muted"
        return found_words(self.result, max_length)


def rows_cut(result: dict[str, Any], max_length: int) -> int:
    """Rows longer than a maximum length in tokens: from the ledger, else from the sample of lengths."""
    for row in result["ledger"]:
        if row["max_length"] == max_length:
            return int(row["cut"])
    lengths: list[int] = result["lengths"]
    share: float = sum(length > max_length for length in lengths) / max(1, len(lengths))
    return round(share * int(result["usable"]))


def found_words(result: dict[str, Any], max_length: int) -> tuple[str, str]:
    """The findings in one line, the worst first, and the theme colour for them."""
    stop, cut, problems = result["stop_token"], rows_cut(result, max_length), len(result["problems"])
    words, color = [], "$success"
    if not result["usable"]:
        return "✗ no row can be trained on: e lists why", "$error"
    if stop["missing_uncut"]:
        mend = ": f mends it" if stop["fix"] else ""
        words.append(f"▲ {stop['missing_uncut']:,} rows never teach it to stop ({stop['token']}){mend}")
        color = "$warning"
    else:
        words.append(f"✓ every answer{' that is not cut' if cut else ''} ends in the stop token {stop['token']}")
    if cut:
        words.append(f"{cut:,} rows longer than {max_length:,} tokens are cut: l shows what is lost")
    if problems:
        words.append(f"{problems:,} problem{'s' if problems != 1 else ''}: e lists them")
        color = "$warning"
    elif not stop["missing_uncut"]:
        words.append("no problem found")
    return " · ".join(words), color


def progress_words(message: InspectMessage) -> str:
    """What a worker's message says of its progress; empty where it says nothing."""
    if message["type"] == "recognised":
        return "loading the tokenizer …"
    if message["type"] == "progress":
        return f"{message['phase']}: row {message['done']:,} of {message['total']:,}"
    return ""
