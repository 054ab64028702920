"""Preference rows of a few words, in the forms that people have them in."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any


def pairs(count: int = 24, seed: int = 0) -> list[dict[str, Any]]:
    """Sums with the right and a wrong answer, of unlike lengths."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        one, two = draw.randrange(50), draw.randrange(50)
        wrong = f"{one + two + 1 + number % 3}" + " and" * draw.randrange(4)
        rows.append({"prompt": f"{one} and {two} is", "chosen": str(one + two), "rejected": wrong})
    return rows


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def explicit(row: dict[str, Any]) -> dict[str, Any]:
    """The prompt and both answers as messages."""
    return {
        "prompt": [turn("user", row["prompt"])],
        "chosen": [turn("assistant", row["chosen"])],
        "rejected": [turn("assistant", row["rejected"])],
    }


def implicit(row: dict[str, Any]) -> dict[str, Any]:
    """Both conversations whole."""
    asked = turn("user", row["prompt"])
    return {side: [asked, turn("assistant", row[side])] for side in ("chosen", "rejected")}


def transcripts(row: dict[str, Any]) -> dict[str, Any]:
    """Both conversations as text, as Anthropic's HH has them."""
    return {side: f"\n\nHuman: {row['prompt']}\n\nAssistant: {row[side]}" for side in ("chosen", "rejected")}


FORMS = {"plain": dict, "explicit": explicit, "implicit": implicit, "transcripts": transcripts}


def write_pairs(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
