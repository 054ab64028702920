"""What the inspect worker and those who ask it say to each other: one JSON object a line. Both sides import this
module; it knows no torch."""

from __future__ import annotations

from typing import Any, Literal, TypedDict, cast

from loratui.core.errors import WorkerError
from loratui.format import one_line


class InspectRequest(TypedDict, total=False):
    """plan: begin, once and first. rows: numbers of rows that are wanted as the trainer receives them. rows_only: with
    the plan: nothing else is asked for.
    """

    plan: dict[str, Any]
    rows: list[int]
    rows_only: bool


class Recognised(TypedDict):
    """How the rows are read and what is wrong with the first of them, before the tokenizer is loaded.

    examples: about how many rows.
    """

    type: Literal["recognised"]
    format: str
    columns: dict[str, str]
    why: str
    guess: bool
    others: list[dict[str, Any]]
    unused: list[str]
    doubts: list[str]
    problems: list[dict[str, Any]]
    rows_looked_at: int
    guessed_tokens: dict[str, int]
    examples: int
    files: list[str]
    note: str


class Progress(TypedDict):
    """Rows done of about how many, in how many seconds."""

    type: Literal["progress"]
    phase: str
    done: int
    total: int
    seconds: float


class Partial(TypedDict):
    """The result so far, in the form of the whole."""

    type: Literal["partial"]
    result: dict[str, Any]


class Rows(TypedDict):
    """Rows as the trainer receives them."""

    type: Literal["rows"]
    rows: list[dict[str, Any]]


class Result(TypedDict):
    """Everything; its form is the contract of `inspect --json`."""

    type: Literal["result"]
    result: dict[str, Any]


class Problem(TypedDict):
    """Why there is no result. code: of the LoratuiError. The worker ends after it."""

    type: Literal["error"]
    code: str
    message: str
    exit_status: int


InspectMessage = Recognised | Progress | Partial | Rows | Result | Problem
_NEEDED: dict[str, type[Any]] = {
    "recognised": Recognised,
    "progress": Progress,
    "partial": Partial,
    "rows": Rows,
    "result": Result,
    "error": Problem,
}


def checked(document: dict[str, Any]) -> InspectMessage:
    """The message that an object is; WorkerError where its kind is unknown or a field is missing."""
    kind = _NEEDED.get(str(document.get("type")))
    missing = sorted(kind.__required_keys__ - document.keys()) if kind is not None else ["type"]
    if missing:
        raise WorkerError(
            f"the inspection's worker sent a message without {', '.join(missing)}: {one_line(document, 100)}"
        )
    return cast("InspectMessage", document)
