"""What clients ask for, in OpenAI's words, checked; what is not known here is refused, not passed over."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loratui.core.generation import GenerationSettings

MOST_ANSWERS, MOST_PROMPTS, MOST_STOPS = 8, 64, 8
IGNORED = ("user", "metadata", "store", "service_tier", "parallel_tool_calls", "prompt_cache_key", "safety_identifier")
"""Fields that change no answer here."""


class StreamOptions(BaseModel):
    """How answers are streamed."""

    include_usage: bool = False


class Common(BaseModel):
    """What both kinds of requests have."""

    model_config = ConfigDict(extra="forbid")
    model: str
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=1000)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, ge=1, le=2)
    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    n: int | None = Field(None, ge=1, le=MOST_ANSWERS)
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None

    def settings(self, seed: int, limit: int) -> GenerationSettings:
        """How it is answered. limit: tokens of an answer at most. Temperature is 1 where none is named, as in OpenAI's
        own interface.
        """
        return GenerationSettings(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=max(0, self.top_k or 0),
            min_p=self.min_p or 0.0,
            repetition_penalty=self.repetition_penalty or 1.0,
            max_tokens=limit,
            seed=seed,
        )

    @property
    def stops(self) -> list[str]:
        """Texts before which an answer ends."""
        return [one for one in ([self.stop] if isinstance(self.stop, str) else self.stop or []) if one]

    @property
    def wanted_tokens(self) -> int | None:
        """How many tokens the client allows."""
        return self.max_tokens


class TextPart(BaseModel):
    """A part of a message: text alone."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As chat templates take it."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or [])
        said = {"role": "system" if self.role == "developer" else self.role, "content": text}
        return said if self.name is None else said | {"name": self.name}


class TextFormat(BaseModel):
    """Free text: no other form of answers can be promised."""

    type: Literal["text"]


class ChatRequest(Common):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    response_format: TextFormat | None = None
    logprobs: Literal[False] | None = None

    @property
    def wanted_tokens(self) -> int | None:
        """How many tokens the client allows."""
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(Common):
    """POST /v1/completions."""

    prompt: str | list[str] | list[int] | list[list[int]]
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None
    best_of: Literal[1] | None = None
    logprobs: None = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt by itself: text, or token ids."""
        given: Any = self.prompt
        return [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else list(given)
