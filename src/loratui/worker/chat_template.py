"""A tokenizer's chat template: what it writes of a conversation, and which forms of it the template understands.

Templates differ in the field that they read thinking from, in whether a call's arguments are to be an object or text,
and in whether an answer without words is null or empty. Each is found out by trying it, and every conversation is
handed over in the form that this template renders right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message
from loratui.data.reasoning import FIELD
from loratui.data.tool_text import LIFTED
from loratui.worker.marks import Marks
from loratui.worker.template_time import TIMES
from loratui.worker.tokenised import added_special_ids

ASK = Message("user", "Aq1")
ANSWER = Message("assistant", "Bq2", True)
CALLING = (
    ASK,
    Message(
        "assistant",
        "",
        True,
        {
            "tool_calls": [
                {"id": "call00007", "type": "function", "function": {"name": "fq7", "arguments": {"kq8": "vq9"}}}
            ]
        },
    ),
    Message("tool", "Tq4", False, {"name": "fq7", "tool_call_id": "call00007"}),
    ANSWER,
)
THOUGHT = "Rq5"
TOOL = {
    "type": "function",
    "function": {
        "name": "fq7",
        "description": "Dq6",
        "parameters": {"type": "object", "properties": {"kq8": {"type": "string", "description": "Dq6"}}},
    },
}


class TemplateRefusal(ModelError):
    """A template that raises on a conversation, in its own words."""


@dataclass(frozen=True, slots=True)
class ThinkingForm:
    """How a template writes thinking.

    field: whether it shows a message's `reasoning_content` (transformers hands it over under its other names too).
    filler: what it writes after the prompt, before an
    answer without thinking, where thinking would stand or end; empty where it writes nothing. misplaced: it knows a
    field, and `<think>` at the head of an answer's text is written as text of the answer.
    """

    field: bool
    filler: str
    misplaced: bool


@dataclass(frozen=True, slots=True)
class MessageForms:
    """Which forms of a message a template renders right: a call's arguments as an object, as text; content only as a
    list of parts.
    """

    object_arguments: bool
    text_arguments: bool
    content_parts: bool


class ChatTemplate:
    """The template of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @TIMES.of_a_row
    def apply(
        self,
        row: Conversation,
        messages: Sequence[Message],
        *,
        prompt: bool = False,
        marks: Marks | None = None,
    ) -> str:
        """What the template writes of some of a row's messages; ModelError with its own reason where it refuses them.

        marks: written into the messages, to find their parts again.
        """
        from jinja2 import TemplateError

        if marks is not None:
            messages = marks.marked(messages)
        turns = self.turns(messages)
        extra: dict[str, Any] = {"tools": list(row.tools)} if row.tools else {}
        try:
            text: str = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=prompt, **extra, **row.template_values
            )
        except (TemplateError, TypeError, KeyError, ValueError, AttributeError) as error:
            raise _refused(str(error)) from error
        return text

    def prompt(self, row: Conversation) -> str:
        """What the template adds where the model is to answer; empty where that cannot be told."""
        if row.template_values:
            return self._prompt(row.template_values)
        return self._plain_prompt

    @cached_property
    def _plain_prompt(self) -> str:
        return self._prompt({})

    def _prompt(self, values: Mapping[str, Any]) -> str:
        row = Conversation((ASK,), template_values=values)
        try:
            closed, opened = (self.apply(row, row.messages, prompt=prompt) for prompt in (False, True))
        except ModelError:
            return ""
        return opened[self.whole_tokens(opened, common_length(closed, opened)) :]

    def whole_tokens(self, text: str, end: int) -> int:
        """A place in a text, moved back to where the control token begins that it would tear."""
        reach = max(map(len, self.special_texts), default=0)
        first = {special[:1] for special in self.special_texts}
        for start in range(max(0, end - reach + 1), end):
            if text[start] in first and any(
                text.startswith(special, start) and start + len(special) > end for special in self.special_texts
            ):
                return start
        return end

    @cached_property
    def special_texts(self) -> tuple[str, ...]:
        """Texts of the control tokens, longest first."""
        ids = set(self.tokenizer.all_special_ids) | added_special_ids(self.tokenizer)
        texts = {str(self.tokenizer.convert_ids_to_tokens(number)) for number in ids}
        return tuple(sorted(texts, key=len, reverse=True))

    def turns(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages in the form that this template renders right."""
        return [self._turn(message) for message in messages if LIFTED not in message.extra]

    def _turn(self, message: Message) -> dict[str, Any]:
        turn = message.as_dict()
        if calls := turn.get("tool_calls"):
            turn["tool_calls"] = [self._call(call) for call in calls]
        if self.forms.content_parts:
            turn["content"] = [{"type": "text", "text": message.content}] if message.content else []
        return turn

    def _call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        function = call.get("function")
        if not isinstance(function, Mapping) or "arguments" not in function:
            return dict(call)
        arguments = function["arguments"]
        if isinstance(arguments, str) and not self.forms.text_arguments:
            arguments = _object(arguments, str(function.get("name", "")))
        elif isinstance(arguments, Mapping) and not self.forms.object_arguments:
            arguments = json.dumps(arguments, ensure_ascii=False)
        return {**call, "function": {**function, "arguments": arguments}}

    @cached_property
    def thinking(self) -> ThinkingForm:
        """How it writes thinking, found by trying: the field of an answer, and `<think>` in its text."""
        thought = self._tried((ASK, Message("assistant", "Bq2", True, {FIELD: THOUGHT})))
        inline = self._tried((ASK, Message("assistant", f"<think>\n{THOUGHT}\n</think>\n\nBq2", True)))
        field = THOUGHT in thought
        misplaced = field and THOUGHT in inline and inline.count("<think>") > thought.count("<think>")
        return ThinkingForm(field, self._filler(thought if field else inline), misplaced)

    def _filler(self, with_thought: str) -> str:
        """What stands before an answer's words where nobody thought, if it is what would close or hold a thought."""
        plain, opened = self._tried((ASK, ANSWER)), self._tried((ASK,), prompt=True)
        start = len(opened) if plain.startswith(opened) else common_length(plain, opened)
        before = plain[start : plain.find("Bq2")]
        if THOUGHT not in with_thought:
            return before if "think" in before.lower() else ""
        held, _, rest = with_thought.partition(THOUGHT)
        close = _compact(rest[: rest.find("Bq2")])
        whole = _compact(held) + close
        return before if close and _compact(before).endswith(close) and whole.endswith(_compact(before)) else ""

    def _tried(self, messages: Sequence[Message], *, prompt: bool = False) -> str:
        try:
            return self.apply(Conversation(), messages, prompt=prompt)
        except ModelError:
            return ""

    @cached_property
    def forms(self) -> MessageForms:
        """Which forms of a message it renders right."""
        parts = "Aq1" not in self._raw([{"role": "user", "content": "Aq1"}]) and "Aq1" in self._raw(
            [{"role": "user", "content": [{"type": "text", "text": "Aq1"}]}]
        )
        as_object, as_text = (self._call_rendered(given, parts) for given in ({"kq8": "vq9"}, '{"kq8": "vq9"}'))
        return MessageForms(as_object or not as_text, as_text, parts)

    def _call_rendered(self, arguments: Any, parts: bool) -> bool:
        """Whether a call with these arguments is written once and unharmed: neither escaped, nor as Python's repr."""
        call = {"id": "call00007", "type": "function", "function": {"name": "fq7", "arguments": arguments}}
        ask = {"role": "user", "content": [{"type": "text", "text": "Aq1"}] if parts else "Aq1"}
        text = self._raw([ask, {"role": "assistant", "content": [] if parts else "", "tool_calls": [call]}])
        written = text[common_length(text, self._raw([ask])) :]
        harmed = any(bad in written for bad in ('\\"kq8', "'kq8'", '{{"kq8'))
        return "fq7" in written and "vq9" in written and not harmed

    def _raw(self, turns: list[dict[str, Any]]) -> str:
        """What the template writes of these turns; empty where it refuses them."""
        from jinja2 import TemplateError

        try:
            return str(self.tokenizer.apply_chat_template(turns, tokenize=False, tools=[TOOL]))
        except (TemplateError, TypeError, KeyError, ValueError, AttributeError):
            return ""


def _object(text: str, name: str) -> Any:
    try:
        return json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"the arguments of the call of {name} are no JSON, and the chat template needs them as an object: {error}.",
            hint="Mend the row.",
        ) from None


def _refused(reason: str) -> TemplateRefusal:
    words = reason.rstrip(".")
    end = "" if words.endswith(("!", "?")) else "."
    return TemplateRefusal(
        f"the chat template refuses this conversation: {words}{end}",
        hint="Change the row, or choose another chat template.",
    )


def common_length(one: str, two: str) -> int:
    """Length of what two texts have in common at their beginning."""
    shortest = min(len(one), len(two))
    return next((at for at in range(shortest) if one[at] != two[at]), shortest)


def _compact(text: str) -> str:
    return "".join(text.split())
