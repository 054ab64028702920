"""The plan's rows as JSON lines that every tool reads, split exactly as the plan's own training splits them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loratui.core.errors import DatasetError
from loratui.core.plan import DatasetSection, Plan
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.find import find_evaluation, find_planned
from loratui.data.found import FoundDataset
from loratui.data.mixed import conversations, read_parts
from loratui.data.preferences import require_answer
from loratui.data.read import read_rows, require_rows, sample_rows
from loratui.data.reasoning import arranged
from loratui.data.recognise import recognise
from loratui.data.recognition import Recognition
from loratui.data.row import Row, RowError
from loratui.data.row_filter import RowFilter, filter_rows
from loratui.data.split import keys_for, split_rows
from loratui.data.tool_text import with_calls
from loratui.export.document import RowKind, Rows
from loratui.export.preferences import kind_for

RECOGNISED_ROWS = 200


def write_rows(plan: Plan, folder: Path, *, tool: str) -> tuple[Rows, int]:
    """Write train.jsonl, and test.jsonl where rows are held out; the Rows, and how many rows could not be used.

    Raises DatasetError where the dataset cannot be read or nothing of it can be used.
    """
    dataset = plan.dataset
    if dataset.parts:
        return _write_mix(plan, folder, tool)
    found = find_planned(dataset)
    train, unusable = _conversations(plan, found, evaluation=False)
    held: list[Conversation] = []
    if dataset.eval_path or found.eval_files:
        other = find_evaluation(dataset) if dataset.eval_path else found
        held, _ = _conversations(plan, other, evaluation=not dataset.eval_path)
    else:
        keys = keys_for(dataset, apart=False)
        for row in train:
            keys.add(row)
        split = split_rows(dataset, keys, plan.split_seed)
        train, held = [train[at] for at in split.train], [train[at] for at in split.evaluation]
    if not train:
        raise DatasetError("there is no row to export.", where=found.path)
    told = [[_arranged(row, dataset) for row in part] for part in (train, held)]
    return _written(plan, folder, tool, *told), unusable


def _write_mix(plan: Plan, folder: Path, tool: str) -> tuple[Rows, int]:
    """The rows of a mix as an epoch draws them: one that is drawn twice stands there twice."""
    train: list[Conversation] = []
    held: list[Conversation] = []
    parts = read_parts(plan)
    for one in parts:
        section = one.part.section
        for row in one.trained_rows():
            train += [_arranged(to_conversation(row, one.reading), section)] * one.train[row.index]
        if not plan.dataset.eval_path:
            held += [_arranged(row, section) for row in _readable(one.held_out_rows(), one.reading)]
    if plan.dataset.eval_path:
        rows = conversations(plan, find_evaluation(plan.dataset), own=False)
        held = [_arranged(row, plan.dataset) for row in rows]
    if not train:
        raise DatasetError("there is no row to export.", where=plan.dataset.named)
    return _written(plan, folder, tool, train, held), sum(one.unusable for one in parts)


def _readable(rows: Iterator[Row], reading: Recognition) -> Iterator[Conversation]:
    for row in rows:
        try:
            yield to_conversation(row, reading)
        except RowError:  # as in the training, which says so
            continue


def _written(plan: Plan, folder: Path, tool: str, train: list[Conversation], held: list[Conversation]) -> Rows:
    objective = plan.training.objective
    kind = kind_of([*train, *held], tool) if objective == "sft" else kind_for(objective, tool)
    if kind == "judged" or kind == "judged-messages":  # of a pair each side is an answer of its own
        train, held = ([side for row in part for side in row.sides] for part in (train, held))
    folder.mkdir(parents=True, exist_ok=True)
    rows = Rows(str(folder), kind, held_out=bool(held), all_answers_train=all(_all_train(row) for row in train))
    for path, part in ((rows.train, train), (rows.test, held)):
        if part:
            with Path(path).open("w", encoding="utf-8") as file:
                lines = (as_line(row, kind) for row in part)
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return rows


def _conversations(plan: Plan, found: FoundDataset, *, evaluation: bool) -> tuple[list[Conversation], int]:
    sample = sample_rows(found, RECOGNISED_ROWS, evaluation=evaluation)
    require_rows(found, sample)
    recognition = recognise(sample, plan.dataset.format, plan.dataset.columns, where=found.path)
    recognition = require_answer(recognition, plan.dataset, where=found.path, objective=plan.training.objective)
    row_filter = RowFilter(DatasetSection() if evaluation else plan.dataset, found)
    rows, unusable = [], 0
    for _, filtered in filter_rows(
        row_filter, read_rows(found, evaluation=evaluation, unfold=recognition.unfold), recognition
    ):
        if isinstance(filtered, Conversation):
            rows.append(filtered)
        else:
            unusable += filtered.kind not in ("by-hand", *plan.dataset.leave_out)
    return rows, unusable


def _arranged(row: Conversation, dataset: DatasetSection) -> Conversation:
    """The row as the plan's own training hands it to the chat template."""
    if row.rejected:
        chosen, rejected = (_arranged(side, dataset) for side in row.sides)
        return chosen._replace(rejected=rejected.messages)
    return arranged(with_calls(row) if dataset.calls == "template" else row, dataset.reasoning)


def kind_of(rows: list[Conversation], tool: str) -> RowKind:
    """What the lines hold: the form that carries all of these rows, and that the tool understands best."""
    if all(row.tokens for row in rows):
        return "tokens"
    if not any(row.messages for row in rows):
        return "text"
    if tool == "trl" and all(_one_answer_last(row) for row in rows):
        return "prompt-completion"
    return "messages"


def as_line(row: Conversation, kind: RowKind) -> dict[str, Any]:
    """A row as the object of one line."""
    if kind == "tokens":
        return {"input_ids": list(row.tokens), "labels": list(row.labels or row.tokens)}
    if kind == "text":
        return {"text": row.text}
    extra: dict[str, Any] = {"tools": list(row.tools)} if row.tools else {}
    if row.template_values:
        extra["chat_template_kwargs"] = dict(row.template_values)
    if kind == "prompt-completion":
        turns = [message.as_dict() for message in row.messages]
        return {"prompt": turns[:-1], "completion": turns[-1:], **extra}
    if kind == "whole-sides":
        return _whole_sides(row)
    if kind in ("pairs", "sides", "judged", "judged-messages"):
        return _preference_line(row, kind) | extra
    return {"messages": list(_turns(row)), **extra}


def _preference_line(row: Conversation, kind: RowKind) -> dict[str, Any]:
    *asked, answer = (message.as_dict() for message in row.messages)
    if kind == "judged":
        return {"prompt": asked, "completion": [answer], "label": row.desirable}
    if kind == "judged-messages":
        return {"messages": [*asked, answer], "label": row.desirable}
    other = row.rejected[-1].as_dict()
    if kind == "sides":
        return {"messages": asked, "chosen": answer, "rejected": other}
    return {"prompt": asked, "chosen": [answer], "rejected": [other]}


def _whole_sides(row: Conversation) -> dict[str, Any]:
    """As Axolotl's ORPO takes them: it knows questions and answers in turns, with one system message at most."""
    first = row.messages[0]
    system = {"system": first.content} if first.role == "system" else {}
    asked = row.messages[len(system) : -1]
    roles = [message.role for message in asked]
    plain = all(set(message.as_dict()) == {"role", "content"} for message in (*row.messages, row.rejected[-1]))
    if row.tools or row.template_values or not plain or roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise DatasetError(
            "a row holds more than questions and answers in turns (tools, reasoning, or one speaker twice), which is "
            "all that Axolotl's ORPO reads.",
            hint="Export to TRL or LLaMA-Factory.",
        )
    turns = [message.as_dict() for message in asked]
    return {**system, "chosen": [*turns, row.messages[-1].as_dict()], "rejected": [*turns, row.rejected[-1].as_dict()]}


def _turns(row: Conversation) -> Iterator[dict[str, Any]]:
    for message in row.messages:
        untrained = message.role == "assistant" and not message.trained
        yield message.as_dict() | ({"train": False} if untrained else {})


def _one_answer_last(row: Conversation) -> bool:
    return bool(row.messages) and [message.trained for message in row.messages] == [False] * (len(row.messages) - 1) + [
        True
    ]


def _all_train(row: Conversation) -> bool:
    return all(message.trained for message in row.messages if message.role == "assistant")
