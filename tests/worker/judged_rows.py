"""Answers with a label, of a few words, in the forms that people have them in."""

from __future__ import annotations

from typing import Any

from pair_rows import pairs, turn


def judged(count: int = 24, seed: int = 0) -> list[dict[str, Any]]:
    """Sums with a right or a wrong answer, and the label that says which."""
    found = []
    for number, row in enumerate(pairs(count, seed)):
        wanted = number % 3 != 1
        found.append({"prompt": row["prompt"], "completion": row["chosen" if wanted else "rejected"], "label": wanted})
    return found


def as_messages(row: dict[str, Any]) -> dict[str, Any]:
    """The conversation whole."""
    return {"messages": [turn("user", row["prompt"]), turn("assistant", row["completion"])], "label": row["label"]}


def as_turns(row: dict[str, Any]) -> dict[str, Any]:
    """The prompt and the answer as messages, as TRL has them."""
    return {
        "prompt": [turn("user", row["prompt"])],
        "completion": [turn("assistant", row["completion"])],
        "label": row["label"],
    }


def with_tag(row: dict[str, Any]) -> dict[str, Any]:
    """As LLaMA-Factory has them."""
    return {"instruction": row["prompt"], "output": row["completion"], "kto_tag": row["label"]}


JUDGED_FORMS = {"plain": dict, "messages": as_messages, "turns": as_turns, "tag": with_tag}
