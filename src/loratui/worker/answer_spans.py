"""Where answers, their thinking and their calls lie in what a chat template writes of a conversation.

Three ways, the cheapest first, each exact or not taken: by the opening that the template writes before every answer, by
prefixes (what is rendered up to an answer is what the whole begins with), and by marks around every part, for templates
that write earlier turns differently once later ones follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message
from loratui.data.reasoning import inline_range
from loratui.worker.chat_template import ANSWER, ASK, THOUGHT, ChatTemplate, common_length
from loratui.worker.marks import Marks, Part
from loratui.worker.tokenised import Spans, answers

SHORTEST_OPENING = 4
"""Characters of a prompt that an answer's opening must share to be taken for it."""
LONGEST_TAG = 40
_TORN = re.compile(r"<[^<>\s]*$")
"""A tag that a text ends within."""
_PIECES = re.compile(r"<[^<>\s]*>|[^<\s]+|<")
"""Tags and words: what white space may stand between."""


@dataclass(frozen=True, slots=True)
class FoundSpans:
    """Character ranges of the answers, end excluded. unprompted: those that do not follow what the template writes to
    ask for one: they are trained otherwise than they will be asked.
    """

    spans: Spans
    unprompted: int = 0


class AnswerSpans:
    """Finds the answers that a template writes.

    first_special: length of a text up to and including a control token that it begins with, 0 where it begins with
    none. stop_texts: of the tokens that generation stops at.
    """

    def __init__(
        self, template: ChatTemplate, first_special: Callable[[str], int], stop_texts: tuple[str, ...] = ()
    ) -> None:
        self._template = template
        self._special_texts = template.special_texts
        self._first_special = first_special
        self._stop_texts = stop_texts
        self._found: tuple[Conversation, str, list[Part] | None] | None = None
        """What `parts` found last: who looks for answers and who accounts for thinking ask for the same row."""

    def find(self, row: Conversation, whole: str) -> FoundSpans:
        """The answers that are learnt from. ModelError where they cannot be told."""
        spans = self._by_opening(row, whole) if self._opening else None
        if spans is None and not self._rewrites(row) and not self._asks_anyway:
            spans = self._by_prefix(row, whole)
        if spans is not None:
            return FoundSpans(spans)
        return self._by_marks(row, whole)

    def parts(self, row: Conversation, whole: str) -> list[Part] | None:
        """Every part of the row's messages that stands in the whole; None where the template looks at the words."""
        if self._found is not None and self._found[0] is row and self._found[1] == whole:
            return self._found[2]
        marks = Marks(row)
        found, parts = marks.find(self._template.apply(row, row.messages, marks=marks))
        self._found = row, whole, parts if found == whole else None
        return self._found[2]

    @cached_property
    def _opening(self) -> str:
        """What the template writes to open an answer, where answers can be found by it; "" where they cannot."""
        system = Message("system", "Sq3")
        probes = (ASK, ANSWER), (ASK, ANSWER, ASK, ANSWER), (system, ASK, ANSWER)
        opening = self._template.prompt(Conversation((ASK, ANSWER)))
        return opening if opening.strip() and self._finds(probes, opening) else ""

    @cached_property
    def drops_thinking(self) -> bool:
        """Whether answers can be found by their opening where the template leaves out the thinking in their text."""
        one, other = (Message("assistant", f"<think>\n{THOUGHT}{place}\n</think>\n\nBq2", True) for place in ("1", "2"))
        probes = (ASK, one, ASK, other), (ASK, one, ASK, ANSWER, ASK, other), (ASK, one, ASK, ANSWER)
        return bool(self._opening) and self._finds(probes, self._opening, drops=True)

    def _finds(self, probes: Iterable[tuple[Message, ...]], opening: str, *, drops: bool = False) -> bool:
        """Whether an opening finds what the other ways find, in all of these conversations that the template takes."""
        for messages in probes:
            probe = Conversation(messages)
            try:
                whole = self._template.apply(probe, messages)
                wanted = self._by_prefix(probe, whole)
                if wanted is None or drops:
                    marked = self._by_marks(probe, whole)
                    if marked.unprompted:
                        return False
                    wanted = marked.spans
            except ModelError:
                if drops:
                    return False
                continue
            if self._find_openings(probe, whole, opening, drops=drops) != wanted:
                return False
            if drops and not self._shown_verbatim(probe, whole, wanted):
                return False
        return True

    def _shown_verbatim(self, probe: Conversation, whole: str, spans: Spans) -> bool:
        """Whether the answers that keep their thinking are those that the template writes letter by letter."""
        shown = {part.message for part in self.parts(probe, whole) or () if part.kind == "thinking"}
        return shown == {
            number
            for number, (start, _) in zip(answers(probe.messages), spans, strict=True)
            if inline_range(content := probe.messages[number].content) and whole.startswith(content, start)
        }

    def _rewrites(self, row: Conversation) -> bool:
        """Whether prefixes need not be tried: several plain answers, and a template that writes earlier ones anew."""
        plain = not (row.tools or row.template_values or any(message.extra for message in row.messages))
        return plain and self._rewrites_plain and len(answers(row.messages)) > 1

    @cached_property
    def _rewrites_plain(self) -> bool:
        probe = Conversation((ASK, ANSWER, ASK, ANSWER))
        try:
            return self._by_prefix(probe, self._template.apply(probe, probe.messages)) is None
        except ModelError:
            return False

    @cached_property
    def _closing(self) -> str:
        """What the template writes after an answer's words up to its last control token; empty without one."""
        probe = Conversation((ASK, ANSWER))
        try:
            after = self._template.apply(probe, probe.messages).rpartition("Bq2")[2].rstrip()
        except ModelError:
            return ""
        return after if after.endswith(self._special_texts) and not self._asks_anyway else ""

    @cached_property
    def _asks_anyway(self) -> bool:
        """Whether the template ends every conversation with what asks for another answer, wanted or not."""
        try:
            asked, opened, whole = (
                self._template.apply(Conversation(), messages, prompt=prompt)
                for messages, prompt in (((ASK,), False), ((ASK,), True), ((ASK, ANSWER), False))
            )
        except ModelError:
            return False
        end = asked.rpartition("Aq1")[2]
        return asked == opened and whole.startswith(asked) and bool(end.strip()) and whole.endswith(end)

    @cached_property
    def _stops(self) -> tuple[str, ...]:
        """Texts that end an answer. Where a template asks anyway, and writes none of them: the first control token
        after an answer.
        """
        if not self._asks_anyway:
            return self._stop_texts
        after = self._template.apply(Conversation(), (ASK, ANSWER)).rpartition("Bq2")[2].lstrip()
        if any(stop in after for stop in self._stop_texts):
            return self._stop_texts
        return (*self._stop_texts, *[text for text in self._special_texts if after.startswith(text)][:1])

    def _by_opening(self, row: Conversation, whole: str) -> Spans | None:
        if row.template_values or any(message.extra or self._opening in message.content for message in row.messages):
            return None
        spans = self._find_openings(row, whole, self._opening)
        if spans is None and any(inline_range(message.content) for message in row.messages) and self.drops_thinking:
            spans = self._find_openings(row, whole, self._opening, drops=True)
        return spans

    def _find_openings(self, row: Conversation, whole: str, opening: str, *, drops: bool = False) -> Spans | None:
        """Each answer between the opening before it and the control token after it; None unless all is as plain as
        that. drops: an answer may stand there without the thinking in its text.
        """
        spans, position = [], 0
        filler = self._template.thinking.filler
        for message in row.messages:
            if message.role != "assistant":
                continue
            start = whole.find(opening, position) + len(opening)
            at = start
            content = message.content if whole.startswith(message.content, at) else message.content.strip()
            if drops and not whole.startswith(content, at):
                content = without_thinking(message, whole) or content
            if filler and content and not whole.startswith(content, at) and whole.startswith(filler, at):
                at += len(filler)
            if start < len(opening) or not content or not whole.startswith(content, at):
                return None
            close = at + len(content)
            while whole[close : close + 1].isspace():
                close += 1
            ending = next((text for text in self._special_texts if whole.startswith(text, close)), "")
            if not ending:
                return None
            position = close + len(ending)
            if message.trained:
                spans.append((start, position))
        return tuple(spans) if whole.find(opening, position) < 0 else None

    def _by_prefix(self, row: Conversation, whole: str) -> Spans | None:
        spans = []
        for number in answers(row.messages):
            before = self._template.apply(row, row.messages[:number], prompt=True)
            if not whole.startswith(before):
                return None
            last = number + 1 == len(row.messages)
            through = whole if last else self._template.apply(row, row.messages[: number + 1])
            if not whole.startswith(through):
                return None
            end = self._first_stop(row.messages[number], through, len(before))
            end = end or self._end_of_answer(through, len(before))
            if not whole[:end].endswith(self._special_texts):  # a family whose next turn's token ends this one
                end += self._first_special(whole[end:])
            spans.append((len(before), end))
        return tuple(spans)

    def _first_stop(self, message: Message, text: str, start: int) -> int:
        """Where the first token that generation stops at ends, after an answer's own words; 0 where none follows."""
        own = [message.content.strip()]
        for call in message.extra.get("tool_calls") or ():
            function = call.get("function") if isinstance(call, Mapping) else None
            own.append(str(function.get("name", "")) if isinstance(function, Mapping) else "")
        for words in own:
            at = text.find(words, start)
            start = at + len(words) if at >= 0 else start
        return min((at + len(stop) for stop in self._stops if (at := text.find(stop, start)) >= 0), default=0)

    def _end_of_answer(self, text: str, start: int) -> int:
        """Where the turn's stop token ends: white space after it does not belong to the answer."""
        end = len(text.rstrip())
        return end if end > start and text[start:end].endswith(self._special_texts) else len(text)

    def _by_marks(self, row: Conversation, whole: str) -> FoundSpans:
        parts = self.parts(row, whole)
        if parts is None:
            raise ModelError(
                "it cannot be told where the answers lie in what the chat template writes: it writes these words "
                "differently from others.",
                hint="Choose another chat template.",
            )
        spans: list[tuple[int, int]] = []
        unprompted = 0
        for number in answers(row.messages):
            own = [part for part in parts if part.message == number]
            if not own:
                called = row.messages[number].extra.get("tool_calls")
                what = "the tool call of message" if called else "message"
                raise ModelError(
                    f"the chat template leaves out {what} {number + 1}, an answer that is to be learnt.",
                    hint="It cannot be used with tools: choose a chat template that can."
                    if called
                    else "Choose another chat template.",
                )
            first, last = own[0].start, own[-1].end
            within = next((part for part in parts if part.message != number and first <= part.start < last), None)
            if within is not None:
                raise ModelError(
                    f"the chat template writes message {within.message + 1} into the middle of message {number + 1}, "
                    "an answer that is to be learnt.",
                    hint="Take the words beside its tool call out, or choose another chat template.",
                )
            before = max((part.end for part in parts if part.message < number and part.end <= first), default=0)
            following = min(
                (part.start for part in parts if part.start >= last and part not in own), default=len(whole)
            )
            first -= _opening_tag(row.messages[number], whole, first, own[0])
            start, prompted = self._begin(row, number, whole, before, first)
            unprompted += not prompted
            spans.append((start, self._end(row, whole, number, last, following)))
        return FoundSpans(tuple(spans), unprompted)

    def _begin(self, row: Conversation, number: int, whole: str, before: int, first: int) -> tuple[int, bool]:
        """Where generation would begin, between the part before an answer and the answer's first words, and whether
        the answer follows what it is asked with. Where the template opens an earlier turn otherwise than a prompt:
        after what both have in common, and its filler.
        """
        prompt = self._template.prompt(row)
        if prompt.strip() and (at := whole.find(prompt, before, first)) >= 0:
            return at + len(prompt), True
        plain = prompt.strip() and not row.tools and row.messages[max(0, number - 1)].role == "user"
        asked = None if plain else self._asked(row, number)  # a plain question is followed by the prompt, if at all
        if asked is not None and whole.startswith(asked, before) and before + len(asked) <= first:
            return before + len(asked), True
        if asked is not None and (spaced := _with_other_spaces(asked, whole, before, first)):
            return spaced, False
        for length in range(len(prompt) - 1, 0, -1):
            at = whole.find(prompt[:length], before, first)
            if at < 0 or len(prompt[:length].strip()) < SHORTEST_OPENING:
                continue
            return self._after_filler(whole, at + length), False
        common = common_length(asked, whole[before:first]) if asked is not None else 0
        return (self._after_filler(whole, before + common) if common else first), False

    def _after_filler(self, whole: str, end: int) -> int:
        start = self._template.whole_tokens(whole, end)
        if torn := _TORN.search(whole, max(0, start - LONGEST_TAG), start):
            start = torn.start()
        filler = self._template.thinking.filler
        return start + len(filler) if filler and whole.startswith(filler, start) else start

    def _asked(self, row: Conversation, number: int) -> str | None:
        """What the template writes after the words before an answer, to ask for it; None where that cannot be told."""
        marks = Marks(row)
        try:
            text, parts = marks.find(self._template.apply(row, row.messages[:number], prompt=True, marks=marks))
        except ModelError:
            return None
        return text[max((part.end for part in parts), default=0) :]

    def _end(self, row: Conversation, whole: str, number: int, last: int, following: int) -> int:
        """Where the token ends that ends an answer whose last words end at `last`; others' next words: `following`."""
        prompt = self._template.prompt(row)
        limit = whole.find(prompt, last, following) if prompt.strip() else -1
        limit = limit if limit >= 0 else following
        stops = [at + len(text) for text in self._stops if (at := whole.find(text, last, limit)) >= 0]
        if stops:
            return min(stops)
        after = whole[last:]
        space = len(after) - len(after.lstrip())
        if (
            self._closing
            and not row.messages[number].extra.get("tool_calls")
            and after.startswith(self._closing, space)
        ):
            return last + space + len(self._closing)
        marks = Marks(row)
        alone, parts = marks.find(self._template.apply(row, row.messages[: number + 1], marks=marks))
        own = [part for part in parts if part.message == number]
        tail = alone[own[-1].end :] if own else ""
        same = self._template.whole_tokens(after, common_length(tail, after))
        end = len(after[:same].rstrip())
        if end and after[:end].endswith(self._special_texts):
            return last + end
        closing = self._first_special(after[same:])
        if not closing and row.messages[number].extra.get("tool_calls"):  # its call is written otherwise as the last
            reach = after[same : limit - last]
            closing = min((at + len(text) for text in self._special_texts if (at := reach.find(text)) >= 0), default=0)
        return last + same + closing


def without_thinking(message: Message, whole: str) -> str:
    """An answer's words after the thinking in its text; empty without thinking, or where that stands in the whole."""
    place = inline_range(message.content)
    if place is None or message.content[place[0] : place[1]] in whole:
        return ""
    return message.content[place[2] :].strip()


def _with_other_spaces(asked: str, whole: str, start: int, end: int) -> int:
    """Where a text ends that stands at a place with other white space between and after its words; 0 where not."""
    words = _PIECES.findall(asked)
    if not words:
        return 0
    found = re.compile(r"\s*" + r"\s*".join(map(re.escape, words)) + r"\s*").match(whole, start, end)
    return found.end() if found else 0


def _opening_tag(message: Message, whole: str, first: int, part: Part) -> int:
    """Characters of the tag that opens an answer's thinking in its text, where it stands directly before the words."""
    if part.kind != "thinking" or (place := inline_range(message.content)) is None:
        return 0
    tag = message.content[: place[0]].lstrip()
    return len(tag) if whole.endswith(tag, 0, first) else 0
