"""What the interface and the generating worker say to each other: one JSON object a line, on the worker's pipes.

Both sides import this module; it knows neither torch nor textual. Requests go in (`do`), events come out (`event`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

from loratui.core.errors import WorkerError
from loratui.core.generation import GenerationSettings
from loratui.format import one_line

BASE = "base"
"""Name of the side that answers without any adapter."""
ADAPTER = "adapter"
"""Name of the side that answers with the run's result."""

StopReason = Literal["stop token", "length", "context full", "stopped"]


@dataclass(frozen=True, slots=True)
class Load:
    """Load a base model once, and the adapters that answer on it.

    base: folder of the model, or its id on the hub. sides: name → folder of an adapter or of a whole model; "" is the
    base itself. dtype: bf16, fp16, fp32, or "" for what suits the device. device: "cuda", "cpu", or "" for the first
    that is there.
    """

    do: ClassVar[str] = "load"
    base: str
    sides: dict[str, str] = field(default_factory=lambda: {BASE: ""})
    dtype: str = ""
    device: str = ""
    quantization: str = "none"
    double_quantization: bool = True
    compute_dtype: str = ""
    """Number format of products with quantised weights; "" for dtype's."""
    attention: str = ""
    """Its implementation in transformers; "" for what transformers takes."""
    revision: str = ""
    chat_template: str = ""
    """A .jinja file or a known template's name; empty: the one saved with the adapter, or the model's own."""
    trust_remote_code: bool = False
    code_of: str = ""
    """The model, and its revision, that the base is a copy of with the same code; "" for none."""
    code_revision: str = ""
    number: int = 0
    """Comes back in the answer to this request."""


@dataclass(frozen=True, slots=True)
class Add:
    """Load one more adapter (a checkpoint, say) beside the others."""

    do: ClassVar[str] = "add"
    name: str
    path: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """Answer messages (role and content each), or a plain prompt, on one or more sides."""

    do: ClassVar[str] = "ask"
    id: int
    sides: list[str]
    messages: list[dict[str, Any]] = field(default_factory=list)
    prompt: str = ""
    """Used as it is, without a template, where there are no messages."""
    settings: dict[str, Any] = field(default_factory=dict)
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Messages of one side each, instead of `messages`: in a conversation every side goes on from its own answers."""

    @property
    def generation(self) -> GenerationSettings:
        """The settings, checked."""
        return GenerationSettings.model_validate(self.settings)


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Ask rows that a run held out, batch by batch, and measure the answers, as `loratui evaluate` does.

    target: the run, as `find_target` takes it. sides: who is asked; the last one is judged. limit: rows at most, from
    the first.
    """

    do: ClassVar[str] = "evaluate"
    id: int
    target: str
    sides: list[str]
    limit: int
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the answers of an ask: one side's, or all."""

    do: ClassVar[str] = "stop"
    id: int
    side: str = ""


@dataclass(frozen=True, slots=True)
class Loading:
    """What is being done before the first answer."""

    event: ClassVar[str] = "loading"
    what: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Models are loaded; questions are welcome."""

    event: ClassVar[str] = "ready"
    sides: list[str]
    device: str
    dtype: str
    chat_template: bool
    context_tokens: int
    seconds: float
    memory_bytes: int
    """Held on the device: allocated by torch on a GPU, resident in RAM on a CPU."""
    number: int = 0
    """Of the Load or Add that this answers."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt as the model gets it: the template's own rendering."""

    event: ClassVar[str] = "rendered"
    id: int
    text: str
    tokens: int
    side: str = ""
    """Whose prompt it is; empty where all sides get the same."""


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of an answer. Special tokens are not in it."""

    event: ClassVar[str] = "piece"
    id: int
    side: str
    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """An answer has ended."""

    event: ClassVar[str] = "done"
    id: int
    side: str
    reason: StopReason
    tokens: int
    first_token_seconds: float
    """From the question to the first token, the turns of other sides not counted."""
    tokens_per_second: float
    """Steady speed after the first token, the turns of other sides not counted; 0 for an answer of one token."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How far one side is in an evaluation: rows answered, of all that it is asked."""

    event: ClassVar[str] = "answered"
    id: int
    side: str
    rows: int
    of: int


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation has ended. path: its document, a file; "" where it was stopped."""

    event: ClassVar[str] = "evaluated"
    id: int
    path: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Something could not be done. id and side are None and "" where it is not about one answer."""

    event: ClassVar[str] = "failed"
    message: str
    hint: str = ""
    id: int | None = None
    side: str = ""
    number: int = 0
    """Of the Load or Add that failed; 0 where it is about all of them: the worker has ended."""

    @property
    def sentence(self) -> str:
        """Fault and remedy on one line."""
        return f"{self.message} {self.hint}".strip()


Request = Load | Add | Ask | Evaluate | Stop
Event = Loading | Ready | Rendered | Piece | Done | Answered | Evaluated | Failed

_REQUESTS: dict[str, type[Any]] = {kind.do: kind for kind in get_args(Request)}
_EVENTS: dict[str, type[Any]] = {kind.event: kind for kind in get_args(Event)}


def encode(message: Request | Event) -> bytes:
    """One line, newline included."""
    key, name = ("do", message.do) if isinstance(message, Request) else ("event", message.event)
    return to_line(key, name, message)


def decode_request(line: bytes) -> Request:
    """A request from its line; WorkerError where it is none."""
    request: Request = from_line(line, "do", _REQUESTS, "the playground")
    return request


def decode_event(line: bytes) -> Event:
    """An event from its line; WorkerError where it is none."""
    event: Event = from_line(line, "event", _EVENTS, "the playground")
    return event


def to_line(key: str, name: str, message: Any) -> bytes:
    """A dataclass as one line of JSON, newline included, with its name under `key`."""
    return json.dumps({key: name, **asdict(message)}, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def from_line(line: bytes, key: str, kinds: Mapping[str, type[Any]], whose: str) -> Any:
    """The dataclass that a line is; WorkerError where it is none of these."""
    try:
        document = json.loads(line)
        kind = kinds[document[key]]
    except (ValueError, KeyError, TypeError) as error:
        raise WorkerError(f"this line is no message of {whose}: {line[:80]!r} ({error}).") from None
    return from_document(kind, document, whose)


def from_document(kind: type[Any], document: Mapping[str, Any], whose: str) -> Any:
    """A JSON object as this dataclass; unknown fields are passed over, for a newer side may say more. WorkerError where
    it lacks something."""
    known = {one.name for one in fields(kind)}
    try:
        return kind(**{name: value for name, value in document.items() if name in known})
    except TypeError as error:
        raise WorkerError(f"this is no message of {whose}: {one_line(document, 80)} ({error}).") from None
