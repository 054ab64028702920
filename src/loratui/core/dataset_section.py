"""Which rows are trained on, how they are read, and which are held out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from loratui.core.dataset_part import CallsMode, DatasetFormat, DatasetPart, ReasoningMode, why_no_mix
from loratui.core.document import Document

LeftOutKind = Literal[
    "duplicate",
    "near-duplicate",
    "overlap",
    "control-character",
    "placeholder",
    "lost-character",
    "encoding",
    "role-order",
    "empty-answer",
    "swapped",
    "tied",
]


class DatasetSection(Document):
    """Which rows are trained on, how they are read, and which are held out."""

    path: str = Field("demo", title="Dataset", description="File, folder, hub id, or `demo`; empty: none chosen yet.")
    format: DatasetFormat = Field("auto", title="Format", description="How rows are read; `auto` recognises it.")
    columns: dict[str, str] = Field(
        default_factory=dict, title="Columns", description='Which column plays which part, e.g. prompt = "question".'
    )
    preference: Literal["ask", "chosen"] = Field(
        "ask",
        title="Preferences",
        description="Rows with chosen and rejected answers: `ask` refuses them, `chosen` trains on the chosen alone.",
    )
    configuration: str = Field(
        "", title="Configuration", description="Configuration of a hub dataset; empty: its default."
    )
    encoding: str = Field(
        "utf-8",
        min_length=1,
        title="Encoding",
        description="Encoding of text files, e.g. cp1252 or gb18030; UTF-16 is found out where it says so.",
    )
    split: str = Field("train", title="Split", description="Split of a hub dataset that is trained on.")
    eval_fraction: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        0.05,
        title="Held-out share",
        description="Share of the rows held out for evaluation, when no evaluation file is given.",
    )
    eval_count: int = Field(
        0,
        ge=0,
        le=1_000_000,
        title="Held-out rows",
        description="Number of rows held out; where it is above 0 the share does not count.",
    )
    split_by: Literal["content", "order"] = Field(
        "content",
        title="Held out by",
        description="`content`: a row more moves no other, near duplicates stay together; `order`: as in old runs.",
    )
    split_seed: int = Field(
        0,
        ge=0,
        le=2**32 - 1,
        title="Held-out seed",
        description="Which rows are held out by chance; 0: training.seed says it.",
    )
    eval_path: str = Field(
        "", title="Evaluation file", description="File with rows for evaluation; empty: hold some out."
    )
    exclude: list[int] = Field(
        default_factory=list, title="Rows left out", description="Rows (counted from 0) that are not trained on."
    )
    leave_out: list[LeftOutKind] = Field(
        default_factory=list,
        title="Faults left out",
        description="Kinds of fault whose rows are not trained on; the run records each.",
    )
    long_text: Literal["divide", "cut"] = Field(
        "divide",
        title="Long texts",
        description="Plain text beyond the maximum length: divided into pieces that are all learnt, or cut.",
    )
    calls: CallsMode = Field(
        "as-given",
        title="Calls in text",
        description="Calls that answers write as text (Hermes, Glaive, …): as they are, or as the template has them.",
    )
    reasoning: ReasoningMode = Field(
        "as-given",
        title="Thinking in rows",
        description="Moved from the text to its field (separate) or back (inline), kept in the last turn, or dropped.",
    )

    parts: list[DatasetPart] = Field(
        default_factory=list,
        max_length=64,
        title="Parts",
        description="Several datasets as one, in place of `path`: each with its weight, cap, format and columns.",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_parts(cls, values: Any) -> Any:
        """A mix has no path of its own, where none was written."""
        return {"path": "", **values} if isinstance(values, dict) and values.get("parts") else values

    @model_validator(mode="after")
    def _one_dataset(self) -> DatasetSection:
        if self.parts:
            defaults = {
                name: field.get_default(call_default_factory=True) for name, field in type(self).model_fields.items()
            }
            if reason := why_no_mix({name: getattr(self, name) for name in defaults}, self.parts, defaults):
                raise ValueError(reason)
        return self

    @model_serializer(mode="wrap")
    def _without_parts(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A dataset that is no mix is written as it was before there were mixes."""
        found: dict[str, Any] = handler(self)
        if not self.parts:
            found.pop("parts", None)
        return found

    @property
    def named(self) -> str:
        """What people call it: its path, or the names of its parts."""
        return " + ".join(part.name for part in self.parts) or self.path

    def divides(self, form: str) -> bool:
        """Whether rows of this form are divided into pieces where they are longer than the maximum length: plain text,
        as `long_text` says.
        """
        return form == "text" and self.long_text == "divide"
