"""Where answers, their thinking and their calls lie in what a chat template writes of a conversation.

Three ways, the cheapest first, each exact or not taken: by the opening that the template writes before every answer, by
prefixes (what is rendered up to an answer is what the whole begins with), and by marks around every part, for templates
that write earlier turns differently once later ones follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message
from loratui.worker.chat_template import ANSWER, ASK, ChatTemplate, common_length
from loratui.worker.marks import Marks, Part
from loratui.worker.tokenised import Spans, answers

SHORTEST_OPENING = 4
"""Characters of a prompt that an answer's opening must share to be taken for it."""


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
    none.
    """

    def __init__(self, template: ChatTemplate, first_special: Callable[[str], int]) -> None:
        self._template = template
        self._special_texts = template.special_texts
        self._first_special = first_special
        self._found: tuple[Conversation, str, list[Part] | None] | None = None
        """What `parts` found last: who looks for answers and who accounts for thinking ask for the same row."""

    def find(self, row: Conversation, whole: str) -> FoundSpans:
        """The answers that are learnt from. ModelError where they cannot be told."""
        spans = self._by_opening(row, whole) if self._opening else None
        if spans is None and not self._rewrites(row):
            spans = self._by_prefix(row, whole)
        if spans is not None:
            return FoundSpans(spans)
        spans = self._by_marks(row, whole)
        prompt = self._template.prompt(row)
        return FoundSpans(spans, sum(not whole.endswith(prompt, 0, start) for start, _ in spans))

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
        probes = [
            Conversation((ASK, ANSWER)),
            Conversation((ASK, ANSWER, ASK, ANSWER)),
            Conversation((Message("system", "Sq3"), ASK, ANSWER)),
        ]
        opening = self._template.prompt(probes[0])
        for probe in probes if opening.strip() else ():
            try:
                whole = self._template.apply(probe, probe.messages)
                if self._find_openings(probe, whole, opening) != self._by_prefix(probe, whole):
                    return ""
            except ModelError:
                continue
        return opening if opening.strip() else ""

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
        return after if after.endswith(self._special_texts) else ""

    def _by_opening(self, row: Conversation, whole: str) -> Spans | None:
        if row.template_values or any(message.extra or self._opening in message.content for message in row.messages):
            return None
        return self._find_openings(row, whole, self._opening)

    def _find_openings(self, row: Conversation, whole: str, opening: str) -> Spans | None:
        """Each answer between the opening before it and the control token after it; None unless all is as plain as
        that.
        """
        spans, position = [], 0
        filler = self._template.thinking.filler
        for message in row.messages:
            if message.role != "assistant":
                continue
            start = whole.find(opening, position) + len(opening)
            at = start
            content = message.content if whole.startswith(message.content, at) else message.content.strip()
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
            end = self._end_of_answer(through, len(before))
            if not whole[:end].endswith(self._special_texts):  # a family whose next turn's token ends this one
                end += self._first_special(whole[end:])
            spans.append((len(before), end))
        return tuple(spans)

    def _end_of_answer(self, text: str, start: int) -> int:
        """Where the turn's stop token ends: white space after it does not belong to the answer."""
        end = len(text.rstrip())
        return end if end > start and text[start:end].endswith(self._special_texts) else len(text)

    def _by_marks(self, row: Conversation, whole: str) -> Spans:
        parts = self.parts(row, whole)
        if parts is None:
            raise ModelError(
                "it cannot be told where the answers lie in what the chat template writes: it writes these words "
                "differently from others.",
                hint="Choose another chat template.",
            )
        prompt = self._template.prompt(row)
        spans = []
        for number in answers(row.messages):
            own = [part for part in parts if part.message == number]
            if not own:
                what = "the tool call of message" if row.messages[number].extra.get("tool_calls") else "message"
                raise ModelError(
                    f"the chat template leaves out {what} {number + 1}, an answer that is to be learnt.",
                    hint="Choose another chat template.",
                )
            first, last = own[0].start, own[-1].end
            before = max((part.end for part in parts if part.message < number and part.end <= first), default=0)
            spans.append((self._begin(whole, before, first, prompt), self._end(row, whole, number, last)))
        return tuple(spans)

    def _begin(self, whole: str, before: int, first: int, prompt: str) -> int:
        """Where generation would begin, between the part before an answer and the answer's first part. Where the
        template opens an earlier turn otherwise than a prompt: after what both have in common, and its filler.
        """
        for length in range(len(prompt), 0, -1):
            at = whole.find(prompt[:length], before, first)
            if at < 0 or len(prompt[:length].strip()) < SHORTEST_OPENING:
                continue
            if length == len(prompt):
                return at + length
            start = self._template.whole_tokens(whole, at + length)
            filler = self._template.thinking.filler
            return start + len(filler) if filler and whole.startswith(filler, start) else start
        return first

    def _end(self, row: Conversation, whole: str, number: int, last: int) -> int:
        """Where the token ends that ends an answer whose last words end at `last`."""
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
        return last + same + self._first_special(after[same:])
