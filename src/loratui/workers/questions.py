"""Rows of a file as questions for a model: the forms that `loratui generate` takes, and held-out rows for the
playground.

A row may be

    {"input": {…} or "text"}          one object or a list of them; an object is asked as JSON, as in training
    {"prompt": "text" or [messages]}  {"messages": [{"role": …, "content": …}, …]}  {"instruction": …, "input": …}
    any row of the shape that the run was trained on, with or without its answer

as JSON, JSONL, CSV or Parquet. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from loratui.core.dataset import shared_out
from loratui.core.errors import DatasetError, LoratuiError
from loratui.core.mix import sections_of
from loratui.core.plan import DatasetSection, Plan
from loratui.data.cells import MISSING, cell_at, paths, reaches
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.find import find_dataset, find_evaluation, find_planned
from loratui.data.found import FoundDataset
from loratui.data.mixed import PartRows, read_parts, reading_of
from loratui.data.read import read_rows, sample_rows
from loratui.data.reasoning import arranged
from loratui.data.recognise import Recognition, recognise
from loratui.data.row import Row, RowError
from loratui.data.row_filter import RowFilter, filter_rows
from loratui.data.split import keys_for, split_rows
from loratui.data.tool_text import with_calls

RECOGNISED_ROWS = 200
PLACEHOLDER = "?"
"""Stands for an answer that a row need not have; it is never shown to the model."""
FORMS = 'Rows look like {"input": …}, {"prompt": …} or {"messages": […]}, or like the rows of the training.'


@dataclass(frozen=True)
class Question:
    """One row to be answered, or what is wrong with it."""

    index: int
    """Position in the file, counted from 0."""
    line: int | None
    given: Any
    """What the output repeats as `input`."""
    conversation: Conversation | None
    expected: str = ""
    """The written answer, where the row has one."""
    problem: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The row as it stands in the file."""
    whole: Conversation | None = None
    """The row with its written answer, as training reads it; None where it has none."""
    plain: bool = False
    """A line of text in no form at all: the chat template is put around it, unless the run learnt plain text."""
    part: str = ""
    """Of a mix the name of the part that it was held out of."""

    @property
    def place(self) -> str:
        """Where the row stands, for a person."""
        return f"row {self.index + 1}" + (f" (line {self.line})" if self.line else "")


def read_questions(path: str, plan: Plan | None = None) -> list[Question]:
    """Every row of a file. DatasetError where the file cannot be read at all, or no row of it can be asked."""
    found = find_dataset(path)
    reading = trained_reading(plan, next((row.value for row in read_rows(found) if row.value is not None), None))
    questions = [question(row, reading) for row in read_rows(found, unfold=reading.unfold if reading else "")]
    if not questions:
        raise DatasetError("there are no rows in it.", where=path)
    if all(one.problem for one in questions):
        raise DatasetError(f"no row can be asked; {questions[0].place}: {questions[0].problem}", where=path, hint=FORMS)
    return questions


def trained_reading(plan: Plan | None, value: Mapping[str, Any] | None = None) -> Recognition | None:
    """How the rows of a plan's dataset are read; None where there is none to be found any more. value: a row; of a mix
    it is the way of the first part that could read it.
    """
    if plan is None:
        return None
    try:
        readings = [_planned(section)[1] for section in sections_of(plan.dataset)]
    except (LoratuiError, OSError):
        return None
    fitting = (one for one in readings if value is None or _has_prompt(value, one))
    return next(fitting, readings[0])


def question(row: Row | Mapping[str, Any], reading: Recognition | None = None, index: int = 0) -> Question:
    """One row as a question."""
    value = row.value if isinstance(row, Row) else row
    place = (row.index, row.line) if isinstance(row, Row) else (index, None)
    if value is None:
        problem = row.problem.message if isinstance(row, Row) and row.problem else "the row could not be read."
        return Question(*place, None, None, problem=problem)
    given = (
        value.get("input", value.get("prompt", value.get("messages", value.get("text", value))))
        if "instruction" not in value
        else dict(value)
    )
    try:
        conversation = _conversation(value, reading)
    except RowError as error:
        return Question(*place, given, None, problem=error.message, columns=value)
    if not conversation.messages and not conversation.text.strip():
        return Question(*place, given, None, problem="there is nothing to answer in it.", columns=value)
    expected = conversation.answer if conversation.messages else ""
    learnt_text = reading is not None and reading.format in ("text", "tokens")
    asked = Conversation(
        conversation.prompt, conversation.text, tools=conversation.tools, template_values=conversation.template_values
    )
    written = expected not in ("", PLACEHOLDER) or learnt_text
    return Question(
        *place,
        given,
        asked,
        "" if expected == PLACEHOLDER else expected,
        columns=value,
        whole=conversation if written else None,
        plain=not conversation.messages and not learnt_text,
    )


def _conversation(value: Mapping[str, Any], reading: Recognition | None) -> Conversation:
    if reading is not None and _has_prompt(value, reading):
        return to_conversation(_with_answer(value, reading), reading)
    for form, columns in (
        ("messages", {"messages": "messages"}),
        ("messages", {"messages": "conversations"}),
        ("instruction", {"instruction": "instruction", "input": "input", "output": "output"}),
        ("prompt-completion", {"prompt": "prompt", "completion": "completion", "system": "system"}),
        ("prompt-completion", {"prompt": "input", "completion": "output", "system": "system"}),
        ("prompt-completion", {"prompt": "question", "completion": "answer"}),
    ):
        known = Recognition(form, columns, "")
        if _has_prompt(value, known):
            return to_conversation(_with_answer(value, known), known)
    if isinstance(value.get("text"), str):
        return Conversation(text=value["text"])
    raise RowError("shape", f"its columns ({', '.join(map(str, list(value)[:8])) or 'none'}) hold no question.")


def _has_prompt(value: Mapping[str, Any], reading: Recognition) -> bool:
    part = {
        "prompt-completion": "prompt",
        "instruction": "instruction",
        "messages": "messages",
        "preference": "prompt",
    }.get(reading.format)
    setting = reading.columns.get(part or "", "")
    return bool(setting) and (setting in value or all(reaches(value, path) for path in paths(setting)))


def _with_answer(value: Mapping[str, Any], reading: Recognition) -> Mapping[str, Any]:
    """The row with a placeholder where its answer is missing: a question need not be answered."""
    part = {"prompt-completion": "completion", "instruction": "output", "preference": "chosen"}.get(reading.format)
    column = reading.columns.get(part, "") if part else ""
    if column:
        return value if cell_at(value, column) not in (None, "", MISSING) else {**value, column: PLACEHOLDER}
    turns = cell_at(value, reading.columns["messages"])
    if not isinstance(turns, list) or not turns or not isinstance(turns[-1], Mapping):
        return value
    role = str(turns[-1].get("role", turns[-1].get("from", ""))).lower()
    if role in ("assistant", "gpt", "model", "bot", "ai"):
        return value
    answer = (
        {"role": "assistant", "content": PLACEHOLDER} if "role" in turns[-1] else {"from": "gpt", "value": PLACEHOLDER}
    )
    return {**value, reading.columns["messages"]: [*turns, answer]}


def held_out_questions(plan: Plan, limit: int = 200) -> list[Question]:
    """Rows that the run did not train on, with the answers that were written for them; at most `limit`.

    Raises DatasetError where the plan's data cannot be read any more.
    """
    if plan.dataset.parts:
        return _of_parts(plan, limit)
    found, reading = _planned(plan.dataset)
    if plan.dataset.eval_path:
        rows = read_rows(find_evaluation(plan.dataset), unfold=reading.unfold)
    elif found.eval_files:
        rows = read_rows(found, evaluation=True, unfold=reading.unfold)
    else:
        chosen = _split(plan, found, reading, held_out=True)
        rows = (row for row in read_rows(found, unfold=reading.unfold) if row.index in chosen)
    return list(islice(_usable(rows, reading), limit))


def training_questions(plan: Plan) -> Iterator[Question]:
    """Rows that the run learnt, with the answers that were written for them.

    Raises DatasetError where the plan's data cannot be read any more.
    """
    if plan.dataset.parts:
        return (one for part in read_parts(plan) for one in _asked(part, part.trained_rows()))
    found, reading = _planned(plan.dataset)
    chosen = _split(plan, found, reading, held_out=False)
    return _usable((row for row in read_rows(found, unfold=reading.unfold) if row.index in chosen), reading)


def _of_parts(plan: Plan, limit: int) -> list[Question]:
    """Held-out rows of a mix, each part's share of them."""
    if plan.dataset.eval_path:
        found = find_evaluation(plan.dataset)
        reading = reading_of(plan, found)
        return list(islice(_usable(read_rows(found, unfold=reading.unfold), reading), limit))
    parts = read_parts(plan)
    counts = [part.held_out_count() for part in parts]
    shares = counts if sum(counts) <= limit else shared_out(limit, counts)
    return [
        one
        for part, count in zip(parts, shares, strict=True)
        for one in islice(_asked(part, part.held_out_rows()), count)
    ]


def _asked(part: PartRows, rows: Iterable[Row]) -> Iterator[Question]:
    """Rows of a part as questions, numbered through all parts, their thinking and calls as the part has them."""
    section = part.part.section

    def seen(row: Conversation | None) -> Conversation | None:
        if row is None:
            return None
        return arranged(with_calls(row) if section.calls == "template" else row, section.reasoning)

    for one in _usable(rows, part.reading):
        yield replace(
            one,
            index=one.index + part.first,
            conversation=seen(one.conversation),
            whole=seen(one.whole),
            part=part.part.name,
        )


def _planned(section: DatasetSection) -> tuple[FoundDataset, Recognition]:
    found = find_planned(section)
    return found, recognise(sample_rows(found, RECOGNISED_ROWS), section.format, section.columns, where=found.path)


def _split(plan: Plan, found: FoundDataset, reading: Recognition, *, held_out: bool) -> set[int]:
    """Numbers of the rows that are held out of the training's own file, or of the others."""
    section = plan.dataset
    filtered = filter_rows(RowFilter(section, found), read_rows(found, unfold=reading.unfold), reading)
    keys, numbers = keys_for(section, apart=False), []
    for row, one in filtered:
        if isinstance(one, Conversation):
            numbers.append(row.index)
            keys.add(one)
    if not held_out and (section.eval_path or found.eval_files):
        return set(numbers)
    split = split_rows(section, keys, plan.split_seed)
    return {numbers[at] for at in (split.evaluation if held_out else split.train)}


def _usable(rows: Iterable[Row], reading: Recognition) -> Iterator[Question]:
    questions = (question(row, reading) for row in rows)
    return (one for one in questions if one.conversation is not None)
