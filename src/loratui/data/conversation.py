"""What one row teaches: messages, plain text or ready tokens, and which of them bear loss."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant", "tool"]
NOTHING: Mapping[str, Any] = {}


class Message(NamedTuple):
    """One turn. `trained` is True for an answer that bears loss.

    extra: further fields that chat templates read, e.g. tool_calls, name, reasoning_content.
    """

    role: Role
    content: str
    trained: bool = False
    extra: Mapping[str, Any] = NOTHING

    def as_dict(self) -> dict[str, Any]:
        """The message as chat templates expect it."""
        return {"role": self.role, "content": self.content, **self.extra}

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that the turn says: its content, its thinking, and its calls as JSON."""
        thought, calls = self.extra.get("reasoning_content"), self.extra.get("tool_calls")
        more = [thought] if isinstance(thought, str) else []
        return self.content, *more, *([json.dumps(calls, ensure_ascii=False, default=str)] if calls else [])


class Conversation(NamedTuple):
    """One row, ready to be rendered: messages, or `text`, or `tokens` (with `labels`, -100 where no loss is borne).

    tools, template_values: handed to the chat template as they are. rejected: the messages of a preference's other
    side, where that is learnt from. desirable: whether answers like its last one are wanted; None where nobody judged
    it. scores: what the row says of how good the chosen and the rejected answer are.
    """

    messages: tuple[Message, ...] = ()
    text: str = ""
    tokens: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    template_values: Mapping[str, Any] = NOTHING
    rejected: tuple[Message, ...] = ()
    desirable: bool | None = None
    scores: tuple[float, float] | None = None

    @property
    def sides(self) -> tuple[Conversation, ...]:
        """A preference's chosen and rejected side, each as a judged conversation of its own; any other row is the
        one.
        """
        if not self.rejected:
            return (self,)
        chosen = self._replace(rejected=(), desirable=True, scores=None)
        return chosen, chosen._replace(messages=self.rejected, desirable=False)

    @property
    def texts(self) -> Iterator[str]:
        """Everything that the row says, its tools as JSON."""
        yield self.text
        if self.tools:
            yield json.dumps(self.tools, ensure_ascii=False, default=str)
        for message in (*self.messages, *self.rejected):
            yield from message.texts

    @property
    def characters(self) -> int:
        """Characters of what the row says, without what a template adds."""
        return sum(map(len, self.texts))

    @property
    def trained_characters(self) -> int:
        """Characters of the parts that bear loss when only answers do."""
        trained = (message.texts for message in self.messages if message.trained)
        return len(self.text) + sum(len(text) for texts in trained for text in texts)

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The messages before the last answer: what the model is asked."""
        answers = [number for number, message in enumerate(self.messages) if message.role == "assistant"]
        return self.messages[: answers[-1]] if answers else self.messages

    @property
    def answer(self) -> str:
        """The last answer; the text where there are no messages."""
        return next((message.content for message in reversed(self.messages) if message.role == "assistant"), self.text)

    @property
    def identity(self) -> bytes:
        """Equal for rows that teach the same: 16 bytes."""
        from hashlib import blake2b

        digest = blake2b(digest_size=16)
        for message in (*self.messages, *self.rejected):
            digest.update(f"\x1e{message.role}\x1f".encode())
            digest.update(message.content.strip().encode("utf-8", "surrogatepass"))
            if message.extra:
                digest.update(
                    repr(sorted(message.extra.items(), key=lambda item: item[0])).encode("utf-8", "surrogatepass")
                )
        digest.update(self.text.strip().encode("utf-8", "surrogatepass"))
        if self.tokens:
            digest.update(repr(self.tokens).encode())
        if self.desirable is not None:
            digest.update(b"\x1d1" if self.desirable else b"\x1d0")
        return digest.digest()
