"""`loratui inspect --rows`: single rows as the model reads them, with what of them is learnt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from loratui.commands.text import table
from loratui.format import harmless, printable
from loratui.terminal import say, say_json

if TYPE_CHECKING:
    from loratui.core.plan import Plan

MOST_ROWS = 1000
LEARNT = ("⟦", "⟧")
CUT = "✂"


class RowNumbers(click.ParamType[list[int]]):
    """Numbers of rows, the first is 1: `3`, `1-5`, `1,4,10-12`."""

    name = "ROWS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The numbers in their order, counted from 1."""
        numbers: list[int] = []
        for part in str(value).split(","):
            found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
            first, last = (int(found.group(1)), int(found.group(2) or found.group(1))) if found else (0, 0)
            if not 1 <= first <= last:
                self.fail(f"{part.strip()!r} is no row's number: write 3, 1-5 or 1,4,10-12; the first row is 1.")
            if len(numbers) + last - first >= MOST_ROWS:
                self.fail(f"at most {MOST_ROWS:,} rows are shown at once.")
            numbers += range(first, last + 1)
        return list(dict.fromkeys(numbers))


def show_rows(plan: Plan, numbers: list[int], *, tokens: bool, as_json: bool) -> None:
    """Print the rows of these numbers (from 1); ends with status 1 where one of them is not there."""
    from loratui.workers.inspect_client import rendered_rows

    found = {row["index"] + 1: row for row in rendered_rows(plan, [number - 1 for number in numbers])}
    missing = [number for number in numbers if number not in found]
    rows = [found[number] for number in numbers if number in found]
    if as_json:
        say_json({"rows": [as_document(row, tokens=tokens) for row in rows], "missing": missing})
    else:
        for place, row in enumerate(rows):
            say(("\n" if place else "") + (token_lines(row) if tokens else row_text(row)))
    if missing:
        words = f"{printable(plan.dataset.named)}: there is no row {missing[0]:,}: it has fewer."
        say(f"loratui: {words}", err=True)
        raise SystemExit(1)


def as_document(row: dict[str, Any], *, tokens: bool) -> dict[str, Any]:
    """A row for programs: its text, where in it the learnt parts lie (characters, end excluded), where it is cut."""
    text, cut_at = "", None
    learnt: list[list[int]] = []
    for _, piece, trained, _, cut in row["tokens"]:
        if cut and cut_at is None:
            cut_at = len(text)
        start, text = len(text), text + piece
        if trained and learnt and learnt[-1][1] == start:
            learnt[-1][1] = len(text)
        elif trained:
            learnt.append([start, len(text)])
    document = {key: row[key] for key in ("index", "line", "file", "problem")} | {
        "text": text,
        "learnt": learnt,
        "cut_at": cut_at,
        "token_count": len(row["tokens"]),
        "learnt_tokens": sum(one[2] for one in row["tokens"]),
    }
    names = ("id", "text", "learnt", "special", "cut")
    if tokens:
        document["tokens"] = [dict(zip(names, (*one[:2], *map(bool, one[2:])), strict=True)) for one in row["tokens"]]
    return document


def row_text(row: dict[str, Any]) -> str:
    """A row as text: what is learnt between ⟦ and ⟧, what is cut off behind ✂."""
    if row["problem"]:
        return f"{_head(row)}\n✗ not trained on: {printable(row['problem'])}"
    parts: list[str] = []
    open_now = cut_now = 0
    for _, piece, trained, _, cut in row["tokens"]:
        if trained != open_now:
            parts.append(LEARNT[0] if trained else LEARNT[1])
        if cut and not cut_now:
            parts.append(CUT)
        open_now, cut_now = trained, cut
        parts.append(harmless(piece, 0))
    return f"{_head(row)}\n{''.join(parts)}{LEARNT[1] if open_now else ''}"


def token_lines(row: dict[str, Any]) -> str:
    """A row with a line a token: its place, id, whether it is learnt, special or cut off, and its text."""
    if row["problem"]:
        return row_text(row)
    lines = [["", "id", "", "text"]]
    for place, (number, piece, trained, special, cut) in enumerate(row["tokens"]):
        flags = ("learnt", trained), ("special", special), ("cut", cut)
        marks = " ".join(word for word, holds in flags if holds)
        lines.append([f"{place}", f"{number}", marks or "shown", repr(piece)])
    return f"{_head(row)}\n{table(lines, indent='  ', right=frozenset((0, 1)))}"


def _head(row: dict[str, Any]) -> str:
    place = f"row {row['index'] + 1:,}" + (f", line {row['line']:,}" if row["line"] is not None else "")
    if row["problem"]:
        return place
    learnt, cut = sum(one[2] for one in row["tokens"]), sum(one[4] for one in row["tokens"])
    words = f"{place}: {len(row['tokens']):,} tokens, {learnt:,} learnt ({LEARNT[0]} … {LEARNT[1]})"
    return words + (f", {cut:,} cut off ({CUT})" if cut else "")
