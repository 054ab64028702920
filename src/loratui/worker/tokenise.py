"""A conversation as token ids and labels, through the model's chat template: the one way for training and inspection.

What is learnt from (`loss_on = answers`): each answer from the place where generation would begin, up to and including
the token that ends it. What a template writes after that token (a line feed, say) is never generated and not learnt
from.

Where an answer lies in what the template writes: `answer_spans`. What becomes of thinking: `thinking`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any

from loratui.core.errors import ModelError
from loratui.core.plan import DatasetSection
from loratui.data.conversation import Conversation, Message
from loratui.data.reasoning import arranged
from loratui.data.tool_text import with_calls
from loratui.worker.answer_spans import AnswerSpans
from loratui.worker.chat_template import ChatTemplate, TemplateRefusal
from loratui.worker.encoding import PIECE_CHARACTERS, encode, in_batches
from loratui.worker.marks import Part
from loratui.worker.refusals import Refusals
from loratui.worker.template_time import TIMES
from loratui.worker.thinking import account
from loratui.worker.tokenised import (
    IGNORED,
    BeyondVocabulary,
    Rendered,
    Thinking,
    Tokenised,
    added_special_ids,
    all_ids,
    require_calls,
    tokens_between,
    with_text,
)

LARGEST_VOCABULARY = 2**31
"""Where the model's is not known: ids are stored in 32 bits."""


class Tokeniser:
    """A tokenizer with its chat template, and what of it decides training."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        loss_on: str = "answers",
        max_length: int = 0,
        stop_ids: Iterable[int] = (),
        reasoning: str = "as-given",
        calls: str = "as-given",
        vocabulary: int = 0,
    ) -> None:
        """`max_length` 0: rows are not cut. `stop_ids`: what generation stops at, beside the tokenizer's own end.
        `reasoning`, `calls`: how thinking, and calls in the text, are arranged before the template sees them, as the
        plan's keys of `dataset`. `vocabulary`: rows of the model's embedding; 0: not known.
        """
        self.texts_within = 0
        """Above 0, rows keep no ids, but their text, and how much of it lies within so many tokens."""
        self.divides = False
        """Plain text longer than that is divided into pieces, and none of it is cut."""
        self.tokenizer = tokenizer
        self.reasoning = reasoning
        self.calls = calls
        self.vocabulary = vocabulary
        self._knows_more = vocabulary and len(tokenizer) > vocabulary
        """Whether the tokenizer may yield ids that the model has no row for."""
        self.template = ChatTemplate(tokenizer)
        self._refusals = Refusals(self.template)
        self.loss_on = loss_on
        self.max_length = max_length
        self.eos_id: int | None = tokenizer.eos_token_id
        self.special_ids = set(tokenizer.all_special_ids) | added_special_ids(tokenizer)
        self.stop_ids = {*stop_ids, *([self.eos_id] if self.eos_id is not None else [])}
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                "this tokenizer cannot tell where its tokens lie in the text (it is no fast one).",
                hint="Choose a model with a tokenizer.json.",
            )

    def arranging(self, section: DatasetSection) -> Tokeniser:
        """The same, arranging thinking and calls as this dataset says."""
        if (section.reasoning, section.calls) == (self.reasoning, self.calls):
            return self
        other = copy(self)
        other.reasoning, other.calls = section.reasoning, section.calls
        return other

    def render(self, row: Conversation) -> Rendered:
        """The text that the model reads, and where its answers lie. ModelError where the template refuses the row."""
        if not row.messages:
            text = self._with_ends(row.text)
            return Rendered(text, ((0, len(text)),), plain=True)
        if not self.has_template:
            return self._render_plain(row.messages)
        row = self.arranged(row)
        try:
            whole = self.template.apply(row, row.messages)
        except TemplateRefusal as error:
            raise self._refusals.explained(row, error) from error
        if self.loss_on == "all":
            return Rendered(whole, ((0, len(whole)),), account(row, whole, None, self.template, self.spans))
        found = self.spans.find(row, whole)
        require_calls(row, whole, found.spans)
        return Rendered(whole, found.spans, account(row, whole, found, self.template, self.spans))

    def arranged(self, row: Conversation) -> Conversation:
        """The row as it is handed to the chat template."""
        return arranged(with_calls(row) if self.calls == "template" else row, self.reasoning)

    @cached_property
    def spans(self) -> AnswerSpans:
        """What finds the answers in what the template writes."""
        stops = [self.tokenizer.convert_ids_to_tokens(number) for number in self.stop_ids]
        return AnswerSpans(self.template, self._first_special, tuple(stop for stop in stops if isinstance(stop, str)))

    def parts(self, row: Conversation) -> list[tuple[Part, str]]:
        """The parts of a row's messages that the model reads, and whether they are `learnt`, `shown` or `cut`, by the
        labels that training uses; what is not among them the template drops. Empty where that cannot be told.
        """
        if not row.messages or not self.has_template:
            return []
        row = self.arranged(row)
        rendered = self.render(row)
        encoding = self._encode([rendered.text])[0]
        labels = self._label(rendered, encoding).labels
        states = []
        for part in self.spans.parts(row, rendered.text) or ():
            first, last = tokens_between(encoding, part.start, part.end, len(encoding.ids), len(rendered.text))
            learnt = any(label != IGNORED for label in labels[first:last])
            states.append((part, "learnt" if learnt else "shown" if first < len(labels) else "cut"))
        return states

    def prompt_text(self, row: Conversation) -> str:
        """The text up to where the model is to answer, as the playground sends it."""
        if not row.messages:
            return row.text
        if not self.has_template:
            return self._render_plain(row.messages, prompt=True).text
        row = self.arranged(row)
        return self.template.apply(row, row.messages, prompt=True)

    def many(self, rows: Iterable[Conversation], *, whole: bool = False) -> Iterator[Tokenised | ModelError]:
        """Tokenise rows in order, many at a time; a row that the template refuses becomes its error.

        A batch is encoded on another core while the next one is rendered. whole: each row has all of its `ids`, to be
        stored, whatever the maximum length.
        """
        waiting: tuple[list[Rendered | Tokenised | ModelError], Future[list[Any]]] | None = None
        prepared_rows = (self._prepared(row, whole) for row in rows)
        prepared = ((len(row.text) if isinstance(row, Rendered) else 0, row) for row in prepared_rows)
        with TIMES.watched(), ThreadPoolExecutor(1) as pool:
            for batch in in_batches(prepared):
                future = pool.submit(self._encode, [row.text for row in batch if isinstance(row, Rendered)])
                if waiting is not None:
                    yield from self._in_order(*waiting, whole)
                waiting = batch, future
            if waiting is not None:
                yield from self._in_order(*waiting, whole)

    def _prepared(self, row: Conversation, whole: bool) -> Rendered | Tokenised | ModelError:
        try:
            return self._ready(row, whole) if row.tokens else self.render(row)
        except ModelError as error:
            return error

    @TIMES.watched()
    def one(self, row: Conversation) -> Tokenised:
        """Tokenise one row. ModelError where the template refuses it."""
        if row.tokens:
            return self._ready(row)
        rendered = self.render(row)
        return self._label(rendered, self._encode([rendered.text])[0])

    def _in_order(
        self, batch: Sequence[Rendered | Tokenised | ModelError], future: Future[list[Any]], whole: bool
    ) -> Iterator[Tokenised | ModelError]:
        encoded = iter(future.result())
        for row in batch:
            yield self._labelled(row, next(encoded), whole) if isinstance(row, Rendered) else row

    def _labelled(self, row: Rendered, encoding: Any, whole: bool) -> Tokenised | ModelError:
        try:
            return self._label(row, encoding, whole)
        except ModelError as error:
            return error

    def _require_known(self, ids: Iterable[int]) -> None:
        """BeyondVocabulary where the model has no row for one of the ids."""
        known = self.vocabulary or LARGEST_VOCABULARY
        beyond = next((number for number in ids if number != IGNORED and not 0 <= number < known), None)
        if beyond is not None:
            raise BeyondVocabulary(beyond, known)

    def _ready(self, row: Conversation, whole: bool = False) -> Tokenised:
        """A row that came as tokens. whole: uncut."""
        ids = list(row.tokens)
        labels = list(row.labels or row.tokens)
        self._require_known((*ids, *labels))
        last = max((number for number, label in enumerate(labels) if label != IGNORED), default=-1)
        limit = len(ids) if whole else self.max_length or len(ids)
        ended = last >= 0 and ids[last] in self.stop_ids
        return Tokenised(
            ids[:limit], labels[:limit], len(ids), sum(label != IGNORED for label in labels[1:]), 1, int(ended)
        )

    def _encode(self, texts: list[str]) -> list[Any]:
        return encode(self.tokenizer.backend_tokenizer, texts)

    def _label(self, row: Rendered, encoding: Any, whole: bool = False) -> Tokenised:
        ids = all_ids(encoding) if whole else encoding.ids
        if self._knows_more:
            self._require_known(ids)
        limit = 0 if self.texts_within or whole else min(self.max_length or len(ids), len(ids))
        kept = list(ids[:limit]) if limit else []
        labels = [IGNORED] * limit
        ended = trained = torn = 0
        spans = []
        for start, end in row.answers:
            first, last = tokens_between(encoding, start, end, len(ids), len(row.text))
            torn += first < len(ids) and start > encoding.token_to_chars(first)[0]
            labels[first:last] = kept[first:last]
            spans.append((first, last))
            trained += last - max(first, 1) if last > max(first, 1) else 0
            ended += last > first and ids[last - 1] in self.stop_ids
        thinking = row.thinking
        if torn:  # asked for with another token than the one that it begins within
            thinking = thinking or Thinking()
            thinking = replace(thinking, unprompted=max(thinking.unprompted, torn))
        done = Tokenised(
            kept,
            labels,
            len(ids),
            trained,
            len(row.answers),
            ended,
            tuple(spans),
            thinking,
            ids=ids if whole else (),
        )
        if not self.texts_within:
            return done
        within = 0 if row.plain and self.divides else self.texts_within
        return with_text(done, row.text, encoding, within)

    def _first_special(self, after: str) -> int:
        """Length of the text that ends a turn, at the start of what a template writes after an answer."""
        encoded = self._encode([after[:PIECE_CHARACTERS]])[0]
        for token, (_, end) in zip(encoded.ids, encoded.offsets, strict=True):
            if token in self.special_ids:
                return int(end)
            if after[:end].strip():
                break
        return 0

    def _render_plain(self, messages: Sequence[Message], *, prompt: bool = False) -> Rendered:
        """Without a chat template: a prompt and its completion one after the other, and the end token."""
        if len(messages) > 2 or any(message.role not in ("user", "assistant") for message in messages):
            raise ModelError(
                "this model has no chat template, and the data are conversations.",
                hint="Choose one: --set model.chat_template=plain (or chatml, alpaca, a .jinja file).",
            )
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
        if bos and not text.startswith(bos) and self._adds_bos:
            text = bos + text
        eos = self.tokenizer.eos_token or ""
        return text if not eos or text.endswith(eos) else text + eos

    @cached_property
    def _adds_bos(self) -> bool:
        ids = self.tokenizer("a", add_special_tokens=True, return_attention_mask=False)["input_ids"]
        return bool(ids) and ids[0] == self.tokenizer.bos_token_id
