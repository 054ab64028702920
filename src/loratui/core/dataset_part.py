"""One part of a mix: which rows, how they are read, and how often an epoch draws them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from loratui.core.document import Document

DatasetFormat = Literal["auto", "prompt-completion", "instruction", "messages", "text", "tokens", "preference"]
ReasoningMode = Literal["as-given", "separate", "inline", "last-turn", "drop"]
CallsMode = Literal["as-given", "template"]
LONGEST_NAME = 60
HEAVIEST = 1000
"""Largest weight of a part: whoever wants a row more often than that has mistyped."""


class DatasetPart(Document):
    """A part of a mix (`[[dataset.parts]]`), read as a dataset of its own."""

    name: str = Field(
        "",
        max_length=LONGEST_NAME,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        title="Name",
        description="What tables and events call the part; left out: the last part of its path.",
    )
    path: str = Field(min_length=1, title="Dataset", description="File, folder, hub id, or `demo`.")
    weight: float = Field(
        1.0,
        gt=0,
        le=HEAVIEST,
        title="Weight",
        description="How often an epoch draws each training row: 2 twice, 0.5 a fixed half of the rows once.",
    )
    cap: Literal["none"] | Annotated[int, Field(ge=1, description="a whole number of rows, at least 1")] = Field(
        "none",
        title="Cap",
        description="Rows of the part that are used at most, before any is held out; `none`: all.",
    )
    format: DatasetFormat = Field("auto", title="Format", description="How rows are read; `auto` recognises it.")
    columns: dict[str, str] = Field(
        default_factory=dict, title="Columns", description='Which column plays which role, e.g. prompt = "question".'
    )
    split: str = Field("train", title="Split", description="Split of a hub dataset that is trained on.")
    configuration: str = Field(
        "", title="Configuration", description="Configuration of a hub dataset; empty: its default."
    )
    encoding: str = Field("utf-8", min_length=1, title="Encoding", description="Encoding of text files.")
    reasoning: ReasoningMode = Field("as-given", title="Thinking in rows", description="As `dataset.reasoning`.")
    calls: CallsMode = Field("as-given", title="Calls in text", description="As `dataset.calls`.")
    exclude: list[int] = Field(
        default_factory=list, title="Rows left out", description="Rows of the part (from 0) that are not trained on."
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if isinstance(values, dict) and not str(values.get("name") or "").strip():
            return values | {"name": usual_name(str(values.get("path") or ""))}
        return values


HOW_READ = ("path", "format", "columns", "split", "configuration", "encoding", "reasoning", "calls", "exclude")
"""Keys of a part that a dataset of its own has too: in a mix each part has them, and not the mix."""


def usual_name(path: str) -> str:
    """What a part is called that has no name: the last part of its path, without endings."""
    last = re.split(r"[/\\]", path.rstrip("/\\ "))[-1].strip()
    while (stem := last.rpartition(".")[0]) and re.fullmatch(r"[A-Za-z][A-Za-z0-9]{1,7}", last.rpartition(".")[2]):
        last = stem
    return re.sub(r"[\x00-\x1f\x7f]", " ", last)[:LONGEST_NAME] or "part"


def why_no_mix(values: dict[str, Any], parts: list[DatasetPart], defaults: dict[str, Any]) -> str:
    """Why these parts cannot be one dataset, or stand beside the other values of its section; empty where they can.

    defaults: of the section's keys.
    """
    if values.get("path"):
        return f'dataset.path = "{values["path"]}" and dataset.parts exclude each other: leave one of them out'
    for key in HOW_READ[1:]:
        if values.get(key, defaults[key]) != defaults[key]:
            return f"dataset.{key} = {values[key]} says nothing of a mix: write {key} into its parts"
    names = [part.name for part in parts]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        return f'two of dataset.parts are named "{twice}": give one of them another name'
    return ""
