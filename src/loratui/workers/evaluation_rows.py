"""The rows of an evaluation: questions, with what is right for each. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loratui.core.errors import InputError
from loratui.evaluation.scoring import Item
from loratui.workers.questions import Question


@dataclass(frozen=True)
class EvaluationRows:
    """questions and items belong together, one by one. left_out: rows that cannot be asked, each with its problem."""

    questions: list[Question]
    items: list[Item]
    left_out: list[Question]

    @classmethod
    def of(cls, questions: Sequence[Question], *, choices: str = "", right: str = "", limit: int = 0) -> EvaluationRows:
        """choices: column of the answers to choose from (a list, or `text` and `label` lists). right: column of the
        right one (its text, its label, or its number from 0); by default the row's written answer. limit: rows at
        most, from the first; 0: all.

        InputError where a row's choices cannot be read, or no row can be asked.
        """
        left_out = [one for one in questions if one.conversation is None]
        usable = [one for one in questions if one.conversation is not None]
        usable = usable[:limit] if limit else usable
        if not usable:
            why = f" {left_out[0].place}: {left_out[0].problem}" if left_out else ""
            raise InputError(f"there is no row to ask.{why}")
        return cls(usable, [_item(one, choices, right) for one in usable], left_out)


def _item(one: Question, choices: str, right: str) -> Item:
    assert one.conversation is not None
    messages = one.conversation.messages
    asked = messages[-1].content if messages else one.conversation.text
    if not choices:
        return Item(one.index, asked, one.expected, one.whole is not None, part=one.part)
    texts, labels = _choices(one, choices)
    wanted = one.columns.get(right) if right else one.expected
    place = _right(wanted, texts, labels)
    if place is None:
        raise InputError(
            f"{str(wanted)[:40]!r} is none of its choices.",
            where=one.place,
            hint="Name the column of the right one with --right: its text, its label, or its number from 0.",
        )
    return Item(one.index, asked, texts[place], one.whole is not None, tuple(texts), place, one.part)


def _choices(one: Question, column: str) -> tuple[list[str], list[str]]:
    value: Any = one.columns.get(column)
    labels: list[str] = []
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        labels = [str(label) for label in value.get("label") or []]
        value = value["text"]
    if not isinstance(value, list) or len(value) < 2:
        raise InputError(
            f"its column {column} holds no choices.", where=one.place, hint="It takes a list of two texts or more."
        )
    return [str(text) for text in value], labels


def _right(wanted: Any, texts: Sequence[str], labels: Sequence[str]) -> int | None:
    text = str(wanted).strip()
    for known in (texts, labels, [chr(ord("A") + number) for number in range(len(texts))] if not labels else []):
        found = [number for number, one in enumerate(known) if one.strip() == text]
        if found:
            return found[0]
    return int(text) if text.isdigit() and int(text) < len(texts) else None
