"""A conversation as token ids and labels, through the model's chat template: the one way for training and inspection.

What is learnt from (`loss_on = answers`): each answer from the place where generation would begin, up to and including
the token that ends it. What a template writes after that token (a line feed, say) is never generated and not learnt
from.

The template is a program; where an answer lies in its output is found in two ways. First by prefixes: what the template
renders up to the answer, with the generation prompt, must be what the whole begins with. Where a template writes
earlier turns differently once later ones follow (reasoning that is dropped, say), marks are put in the answers' place
and the text between the marks is looked for instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message
from loratui.worker.encoding import encode, in_batches
from loratui.worker.tokenised import (
    IGNORED,
    Rendered,
    Tokenised,
    added_special_ids,
    answers,
    require_calls,
    tokens_between,
    with_text,
)


class Tokeniser:
    """A tokenizer with its chat template, and what of it decides training."""

    def __init__(
        self, tokenizer: Any, *, loss_on: str = "answers", max_length: int = 0, stop_ids: Iterable[int] = ()
    ) -> None:
        """`max_length` 0: rows are not cut. `stop_ids`: what generation stops at, beside the tokenizer's own end."""
        self.texts_within = 0
        """Above 0, rows keep no ids, but their text, and how much of it lies within so many tokens."""
        self.tokenizer = tokenizer
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
        spans = self._spans_by_opening(row, whole) if self._opening else None
        if spans is None:
            spans = self._spans_by_prefix(row, whole)
        if spans is None:
            spans = self._spans_by_turns(row, whole)
        if spans is None:
            spans = self._spans_by_marks(row, whole)
        require_calls(row, whole, spans)
        return Rendered(whole, tuple(spans))

    def prompt_text(self, row: Conversation) -> str:
        """The text up to where the model is to answer, as the playground sends it."""
        if not row.messages:
            return row.text
        if not self.has_template:
            return self._render_plain(row.messages, prompt=True).text
        return self._apply(row, row.messages, prompt=True)

    def many(self, rows: Iterable[Conversation]) -> Iterator[Tokenised | ModelError]:
        """Tokenise rows in order, many at a time; a row that the template refuses becomes its error.

        A batch is encoded on another core while the next one is rendered.
        """
        waiting: tuple[list[Rendered | Tokenised | ModelError], Future[list[Any]]] | None = None
        prepared = ((len(row.text) if isinstance(row, Rendered) else 0, row) for row in map(self._prepared, rows))
        with ThreadPoolExecutor(1) as pool:
            for batch in in_batches(prepared):
                future = pool.submit(self._encode, [row.text for row in batch if isinstance(row, Rendered)])
                if waiting is not None:
                    yield from self._in_order(*waiting)
                waiting = batch, future
            if waiting is not None:
                yield from self._in_order(*waiting)

    def _prepared(self, row: Conversation) -> Rendered | Tokenised | ModelError:
        try:
            return self._ready(row) if row.tokens else self.render(row)
        except ModelError as error:
            return error

    def one(self, row: Conversation) -> Tokenised:
        """Tokenise one row. ModelError where the template refuses it."""
        if row.tokens:
            return self._ready(row)
        rendered = self.render(row)
        return self._label(rendered, self._encode([rendered.text])[0])

    def _in_order(
        self, batch: Sequence[Rendered | Tokenised | ModelError], future: Future[list[Any]]
    ) -> Iterator[Tokenised | ModelError]:
        encoded = iter(future.result())
        for row in batch:
            yield self._label(row, next(encoded)) if isinstance(row, Rendered) else row

    def _ready(self, row: Conversation) -> Tokenised:
        """A row that came as tokens."""
        ids = list(row.tokens)
        labels = list(row.labels or row.tokens)
        last = max((number for number, label in enumerate(labels) if label != IGNORED), default=-1)
        limit = self.max_length or len(ids)
        ended = last >= 0 and ids[last] in self.stop_ids
        return Tokenised(
            ids[:limit], labels[:limit], len(ids), sum(label != IGNORED for label in labels[1:]), 1, int(ended)
        )

    def _encode(self, texts: list[str]) -> list[Any]:
        return encode(self.tokenizer.backend_tokenizer, texts)

    def _label(self, row: Rendered, encoding: Any) -> Tokenised:
        ids = encoding.ids
        limit = 0 if self.texts_within else min(self.max_length or len(ids), len(ids))
        kept: list[int] = ids[:limit]
        labels = [IGNORED] * limit
        ended = trained = 0
        spans = []
        for start, end in row.answers:
            first, last = tokens_between(encoding, start, end, len(ids), len(row.text))
            labels[first:last] = kept[first:last]
            spans.append((first, last))
            trained += last - max(first, 1) if last > max(first, 1) else 0
            ended += last > first and ids[last - 1] in self.stop_ids
        done = Tokenised(kept, labels, len(ids), trained, len(row.answers), ended, tuple(spans))
        return with_text(done, row.text, encoding, self.texts_within) if self.texts_within else done

    def _apply(
        self,
        row: Conversation,
        messages: Sequence[Message],
        *,
        prompt: bool = False,
        marked: Mapping[int, str] | None = None,
    ) -> str:
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
            raise ModelError(
                f"the chat template refuses this conversation: {str(error).rstrip('.')}.",
                hint="Check the order of the roles.",
            ) from error
        return text

    @cached_property
    def _turn_marks(self) -> tuple[str, str]:
        """What the template writes to open an answer, and the control token right after one; empty where there is
        none.
        """
        ask, answer = Message("user", "Aq1"), Message("assistant", "Bq2", True)
        row = Conversation((ask, answer))
        try:
            closed, opened = (self._apply(row, (ask,), prompt=prompt) for prompt in (False, True))
            after = self._apply(row, row.messages).partition("Bq2")[2].lstrip()
        except ModelError:
            return "", ""
        opening = opened.removeprefix(closed) if opened.startswith(closed) else ""
        return opening, next((text for text in self._special_texts if after.startswith(text)), "")

    def _spans_by_turns(self, row: Conversation, whole: str) -> list[tuple[int, int]] | None:
        """Answers between the openings and the control tokens that close them; None unless there are as many as
        answers.
        """
        opening, ending = self._turn_marks
        answers = [message for message in row.messages if message.role == "assistant"]
        if not opening.strip() or not ending or whole.count(opening) != len(answers):
            return None
        if any(ending in message.content or opening in message.content for message in row.messages):
            return None
        spans, position = [], 0
        for message in answers:
            start = whole.find(opening, position) + len(opening)
            close = whole.find(ending, start)
            if start < len(opening) or close < 0 or opening in whole[start:close]:
                return None
            position = close + len(ending)
            if message.trained:
                spans.append((start, position))
        return spans

    @cached_property
    def _opening(self) -> str:
        """What the template writes to open an answer, where answers can be found by it; "" where they cannot."""
        ask, answer = Message("user", "Aq1"), Message("assistant", "Bq2", True)
        probes = [
            Conversation((ask, answer)),
            Conversation((ask, answer, ask, answer)),
            Conversation((Message("system", "Sq3"), ask, answer)),
        ]
        opening = ""
        try:
            closed, opened = (self._apply(probes[0], (ask,), prompt=prompt) for prompt in (False, True))
            opening = opened.removeprefix(closed) if opened.startswith(closed) else ""
        except ModelError:
            return ""
        for probe in probes if opening.strip() else ():
            try:
                whole = self._apply(probe, probe.messages)
                if self._find_openings(probe, whole, opening) != self._spans_by_prefix(probe, whole):
                    return ""
            except ModelError:
                continue
        return opening if opening.strip() else ""

    def _spans_by_opening(self, row: Conversation, whole: str) -> list[tuple[int, int]] | None:
        if row.template_values or any(message.extra or self._opening in message.content for message in row.messages):
            return None
        return self._find_openings(row, whole, self._opening)

    def _find_openings(self, row: Conversation, whole: str, opening: str) -> list[tuple[int, int]] | None:
        """Each answer between the opening before it and the control token after it; None unless all is as plain as
        that.
        """
        spans, position = [], 0
        for message in row.messages:
            if message.role != "assistant":
                continue
            start = whole.find(opening, position) + len(opening)
            content = message.content if whole.startswith(message.content, start) else message.content.strip()
            if start < len(opening) or not content or not whole.startswith(content, start):
                return None
            close = start + len(content)
            while whole[close : close + 1].isspace():
                close += 1
            ending = next((text for text in self._special_texts if whole.startswith(text, close)), "")
            if not ending:
                return None
            position = close + len(ending)
            if message.trained:
                spans.append((start, position))
        return spans if whole.find(opening, position) < 0 else None

    def _spans_by_prefix(self, row: Conversation, whole: str) -> list[tuple[int, int]] | None:
        spans = []
        for number in answers(row.messages):
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

    @cached_property
    def _special_texts(self) -> tuple[str, ...]:
        """Texts of the control tokens, longest first."""
        return tuple(
            sorted(
                {str(self.tokenizer.convert_ids_to_tokens(number)) for number in self.special_ids},
                key=len,
                reverse=True,
            )
        )

    def _ends_special(self, text: str) -> bool:
        return text.endswith(self._special_texts)

    def _spans_by_marks(self, row: Conversation, whole: str) -> list[tuple[int, int]]:
        numbers = answers(row.messages)
        pieces, rest = [], self._apply(row, row.messages, marked={number: f"⟪answer{number}⟫" for number in numbers})
        for number in numbers:
            before, mark, rest = rest.partition(f"⟪answer{number}⟫")
            if not mark:
                raise ModelError(
                    f"the chat template leaves message {number + 1} out, an answer that is to be learnt.",
                    hint="Choose another chat template.",
                )
            pieces.append(before)
        pieces.append(rest)
        prompt = self._generation_prompt(row)
        spans: list[tuple[int, int]] = []
        position = 0
        for index, number in enumerate(numbers):
            before, after = pieces[index], pieces[index + 1]
            at = whole.find(before, position)
            begin = at + len(before)
            content = row.messages[number].content.strip()
            searched = begin + len(content) if content and whole.startswith(content, begin) else begin
            end = (
                len(whole) - len(after)
                if index + 1 == len(numbers) and whole.endswith(after)
                else whole.find(after, searched)
            )
            if at < 0 or end < begin:
                raise ModelError(
                    f"it cannot be told where message {number + 1} lies in what the chat template writes.",
                    hint="Choose another chat template.",
                )
            header = before.rfind(prompt)
            start = at + header + len(prompt) if prompt and header >= 0 else begin
            spans.append((start, end + self._stop_within(after)))
            position = end
        return spans

    def _generation_prompt(self, row: Conversation) -> str:
        """What the template adds where the model is to answer."""
        first = row.messages[
            : next(number for number, message in enumerate(row.messages) if message.role == "assistant")
        ]
        if not first:
            return ""
        without, with_prompt = self._apply(row, first), self._apply(row, first, prompt=True)
        return with_prompt.removeprefix(without) if with_prompt.startswith(without) else ""

    def _stop_within(self, after: str) -> int:
        """Length of the text that ends a turn, at the start of what a template writes after an answer."""
        encoded = self._encode([after])[0]
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
