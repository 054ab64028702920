"""What becomes of a row's thinking: learnt, shown only, or dropped by the template; and the template's own filler."""

from __future__ import annotations

from collections.abc import Mapping

from loratui.data.conversation import Conversation
from loratui.data.reasoning import FIELD, inline_range, thinking_of
from loratui.worker.answer_spans import AnswerSpans, FoundSpans, without_thinking
from loratui.worker.chat_template import ChatTemplate
from loratui.worker.tokenised import Thinking, answers


def account(
    row: Conversation, whole: str, found: FoundSpans | None, template: ChatTemplate, finder: AnswerSpans
) -> Thinking | None:
    """The account of a rendered row; None where it has no thinking and nothing stands in for it.

    found: where its answers lie; None where every token bears loss, so that what is shown is learnt.
    """
    given = {number: held for number, message in enumerate(row.messages) if (held := thinking_of(message)) is not None}
    filler = template.thinking.filler
    trained = dict(zip(answers(row.messages), found.spans, strict=True)) if found is not None else {}
    filled = {number for number, (start, _) in trained.items() if filler and whole.startswith(filler, start)}
    unprompted = found.unprompted if found is not None else 0
    if not given:
        return Thinking(filler=len(filled), unprompted=unprompted) if filled or unprompted else None
    own = {number: trained[number] for number in given if number in trained}
    places = _verbatim(row, whole, own, filler, finder) if len(own) == len(given) else None
    if places is None:
        parts = finder.parts(row, whole) or ()
        places = {part.message: (part.start, part.end) for part in parts if part.kind == "thinking"}
    learnt = shown = dropped = lost = 0
    for number, (_, words) in given.items():
        place = places.get(number)
        if place is None:
            dropped += len(words)
            lost += 1
            continue
        kept = min(len(words), place[1] - place[0])
        dropped += len(words) - kept
        lost += kept < len(words)
        start, end = trained.get(number, (0, 0)) if found is not None else (0, len(whole))
        if start <= place[0] and place[1] <= end:
            learnt += kept
        else:
            shown += kept
    in_text = sum(source == "text" for source, _ in given.values())
    return Thinking(learnt, shown, dropped, len(given), in_text, lost, len(filled), unprompted)


def _verbatim(
    row: Conversation, whole: str, trained: Mapping[int, tuple[int, int]], filler: str, finder: AnswerSpans
) -> dict[int, tuple[int, int]] | None:
    """Where the thinking lies in answers that the template writes letter by letter, or without their thinking, each at
    its span's beginning; None where one is written otherwise, or has its thinking in a field.
    """
    places = {}
    for number, (start, end) in trained.items():
        message = row.messages[number]
        if message.extra.get(FIELD):
            return None
        if start + len(message.content) <= end and whole.startswith(message.content, start):
            held = inline_range(message.content)
            if held is not None:
                places[number] = (start + held[0], start + held[1])
            continue
        rest = without_thinking(message, whole)
        begun = whole.startswith(rest, start) or whole.startswith(filler + rest, start)
        if not (rest and begun and finder.drops_thinking):
            return None
    return places
