"""A conversation as token ids and labels, through the model's chat template: the one way for training and inspection.

What is learnt from (`loss_on = answers`): each answer from the place where generation would begin, up to and including
the token that ends it. What a template writes after that token (a line feed, say) is never generated and not learnt from.

The template is a program; where an answer lies in its output is found in two ways. First by prefixes: what the template
renders up to the answer, with the generation prompt, must be what the whole begins with. Where a template writes earlier
turns differently once later ones follow (reasoning that is dropped, say), marks are put in the answers' place and the
text between the marks is looked for instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message

IGNORED = -100
"""Label of a token that bears no loss."""
BATCH_ROWS = 512


@dataclass(frozen=True, slots=True)
class Rendered:
    """Text as the model reads it, and where in it the answers lie (character positions, end excluded)."""

    text: str
    answers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Tokenised:
    """One row, ready for the trainer.

    full_tokens: its length before it was cut. answer_tokens: tokens that bore loss before it was cut.
    answers_ended: answers whose last trained token is a stop token; answers: how many there are.
    """

    input_ids: list[int]
    labels: list[int]
    full_tokens: int
    answer_tokens: int
    answers: int
    answers_ended: int

    @property
    def cut(self) -> bool:
        """Whether the maximum length shortened the row."""
        return self.full_tokens > len(self.input_ids)

    @property
    def trained_tokens(self) -> int:
        """Tokens that bear loss. The first token of a row is never predicted."""
        return sum(label != IGNORED for label in self.labels[1:])


class Tokeniser:
    """A tokenizer with its chat template, and what of it decides training."""

    def __init__(self, tokenizer: Any, *, loss_on: str = "answers", max_length: int = 0, stop_ids: Iterable[int] = ()) -> None:
        """`max_length` 0: rows are not cut. `stop_ids`: what generation stops at, beside the tokenizer's own end."""
        self.tokenizer = tokenizer
        self.loss_on = loss_on
        self.max_length = max_length
        self.eos_id: int | None = tokenizer.eos_token_id
        self.special_ids = set(tokenizer.all_special_ids) | _added_special_ids(tokenizer)
        self.stop_ids = {*stop_ids, *([self.eos_id] if self.eos_id is not None else [])}
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError("this tokenizer cannot tell where its tokens lie in the text (it is no fast one).", hint="Choose a model with a tokenizer.json.")

    def render(self, row: Conversation) -> Rendered:
        """The text that the model reads, and where its answers lie. ModelError where the template refuses the row."""
        if not row.messages:
            text = self._with_ends(row.text)
            return Rendered(text, ((0, len(text)),))
        if not self.has_template:
            return self._render_plain(row.messages)
        whole = self._apply(row, row.messages)
        if self.loss_on == "all":
            return Rendered(whole, ((0, len(whole)),))
        spans = self._spans_by_prefix(row, whole)
        if spans is None:
            spans = self._spans_by_marks(row, whole)
        return Rendered(whole, tuple(spans))

    def prompt_text(self, row: Conversation) -> str:
        """The text up to where the model is to answer, as the playground sends it."""
        if not row.messages:
            return row.text
        if not self.has_template:
            return self._render_plain(row.messages, prompt=True).text
        return self._apply(row, row.messages, prompt=True)

    def many(self, rows: Iterable[Conversation]) -> Iterator[Tokenised | ModelError]:
        """Tokenise rows in order, many at a time; a row that the template refuses becomes its error."""
        batch: list[Rendered | Tokenised | ModelError] = []
        for row in rows:
            try:
                batch.append(self._ready(row) if row.tokens else self.render(row))
            except ModelError as error:
                batch.append(error)
            if len(batch) >= BATCH_ROWS:
                yield from self._in_order(batch)
                batch = []
        yield from self._in_order(batch)

    def one(self, row: Conversation) -> Tokenised:
        """Tokenise one row. ModelError where the template refuses it."""
        return self._ready(row) if row.tokens else next(self._encode([self.render(row)]))

    def _in_order(self, batch: Sequence[Rendered | Tokenised | ModelError]) -> Iterator[Tokenised | ModelError]:
        encoded = self._encode([row for row in batch if isinstance(row, Rendered)])
        for row in batch:
            yield next(encoded) if isinstance(row, Rendered) else row

    def _ready(self, row: Conversation) -> Tokenised:
        """A row that came as tokens."""
        ids = list(row.tokens)
        labels = list(row.labels or row.tokens)
        last = max((number for number, label in enumerate(labels) if label != IGNORED), default=-1)
        limit = self.max_length or len(ids)
        ended = last >= 0 and ids[last] in self.stop_ids
        return Tokenised(ids[:limit], labels[:limit], len(ids), sum(label != IGNORED for label in labels[1:]), 1, int(ended))

    def _encode(self, rows: Sequence[Rendered]) -> Iterator[Tokenised]:
        if not rows:
            return
        encoded = self.tokenizer([row.text for row in rows], add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False)
        for row, ids, offsets in zip(rows, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            yield self._label(row, ids, offsets)

    def _label(self, row: Rendered, ids: list[int], offsets: Sequence[tuple[int, int]]) -> Tokenised:
        labels = [IGNORED] * len(ids)
        ended = 0
        position = 0
        for start, end in row.answers:
            while position < len(ids) and offsets[position][1] <= start:
                position += 1
            last = None
            while position < len(ids) and offsets[position][0] < end:
                if offsets[position][1] > offsets[position][0] or position > 0:
                    labels[position] = ids[position]
                    last = position
                position += 1
            ended += last is not None and ids[last] in self.stop_ids
        trained = sum(label != IGNORED for label in labels[1:])
        limit = self.max_length or len(ids)
        return Tokenised(ids[:limit], labels[:limit], len(ids), trained, len(row.answers), ended)

    def _apply(self, row: Conversation, messages: Sequence[Message], *, prompt: bool = False, marked: Mapping[int, str] | None = None) -> str:
        from jinja2 import TemplateError

        turns = [message.as_dict() for message in messages]
        for number, mark in (marked or {}).items():
            turns[number]["content"] = mark
        extra: dict[str, Any] = {"tools": list(row.tools)} if row.tools else {}
        try:
            text: str = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=prompt, **extra, **row.template_values
            )
        except (TemplateError, TypeError, KeyError, ValueError) as error:
            raise ModelError(f"the chat template refuses this conversation: {str(error).rstrip('.')}.", hint="Check the order of the roles.") from error
        return text

    def _spans_by_prefix(self, row: Conversation, whole: str) -> list[tuple[int, int]] | None:
        spans = []
        for number in _answers(row.messages):
            before = self._apply(row, row.messages[:number], prompt=True)
            if not whole.startswith(before):
                return None
            through = whole if number + 1 == len(row.messages) else self._apply(row, row.messages[: number + 1])
            if not whole.startswith(through):
                return None
            spans.append((len(before), self._end_of_answer(through, len(before))))
        return spans

    def _end_of_answer(self, text: str, start: int) -> int:
        """Where the turn's stop token ends: white space after it does not belong to the answer."""
        end = len(text.rstrip())
        return end if end > start and self._ends_special(text[start:end]) else len(text)

    def _ends_special(self, text: str) -> bool:
        ids = self.tokenizer(text[-64:], add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return bool(ids) and ids[-1] in self.special_ids

    def _spans_by_marks(self, row: Conversation, whole: str) -> list[tuple[int, int]]:
        numbers = _answers(row.messages)
        pieces, rest = [], self._apply(row, row.messages, marked={number: f"⟪answer{number}⟫" for number in numbers})
        for number in numbers:
            before, mark, rest = rest.partition(f"⟪answer{number}⟫")
            if not mark:
                raise ModelError(f"the chat template leaves message {number + 1} out, an answer that is to be learnt.", hint="Choose another chat template.")
            pieces.append(before)
        pieces.append(rest)
        spans, position = [], 0
        for index, number in enumerate(numbers):
            start = whole.find(pieces[index], position) + len(pieces[index])
            content = row.messages[number].content.strip()
            found = whole.find(content, start) if content else start
            after = pieces[index + 1]
            if start < len(pieces[index]) or found < 0:
                raise ModelError(f"it cannot be told where message {number + 1} lies in what the chat template writes.", hint="Choose another chat template.")
            end = whole.find(after, found + len(content)) if after else len(whole)
            stop = self._stop_within(after)
            spans.append((start, (end if end >= 0 else len(whole)) + stop))
            position = end if end >= 0 else len(whole)
        return spans

    def _stop_within(self, after: str) -> int:
        """Length of the text that ends a turn, at the start of what a template writes after an answer."""
        encoded = self.tokenizer(after, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False)
        for token, (_, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            if token in self.special_ids:
                return int(end)
            if after[:end].strip():
                break
        return 0

    def _render_plain(self, messages: Sequence[Message], *, prompt: bool = False) -> Rendered:
        """Without a chat template: a prompt and its completion one after the other, and the end token."""
        if len(messages) > 2 or any(message.role not in ("user", "assistant") for message in messages):
            raise ModelError("this model has no chat template, and the data are conversations.", hint="Choose one with model.chat_template, e.g. chatml.")
        text, spans = "", []
        for message in messages:
            if text and not text[-1].isspace() and not message.content[:1].isspace():
                text += "\n"
            start = len(text)
            text += message.content
            if message.trained:
                spans.append((start, len(text)))
        if prompt:
            return Rendered(text if not text or text[-1].isspace() else text + "\n", ())
        whole = self._with_ends(text)
        if self.loss_on == "all":
            return Rendered(whole, ((0, len(whole)),))
        shift = whole.find(text)
        spans = [(start + shift, end + shift) for start, end in spans]
        if messages[-1].trained:
            spans[-1] = (spans[-1][0], len(whole))
        return Rendered(whole, tuple(spans))

    def _with_ends(self, text: str) -> str:
        """The text with the token that begins a text, where the tokenizer itself would put one, and the end token."""
        bos = self.tokenizer.bos_token or ""
        if bos and not text.startswith(bos) and self._adds_bos():
            text = bos + text
        eos = self.tokenizer.eos_token or ""
        return text if not eos or text.endswith(eos) else text + eos

    def _adds_bos(self) -> bool:
        ids = self.tokenizer("a", add_special_tokens=True, return_attention_mask=False)["input_ids"]
        return bool(ids) and ids[0] == self.tokenizer.bos_token_id


def _answers(messages: Sequence[Message]) -> list[int]:
    return [number for number, message in enumerate(messages) if message.trained]


def _added_special_ids(tokenizer: Any) -> set[int]:
    return {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
