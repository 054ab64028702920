"""Where the characters of a row go: from its source into the conversation, and from there into the rendered text.

Both steps compare texts, not the code that did them: what a reading or a chat template drops is seen whatever dropped
it. A text that does not stand there as it was is compared word by word, so that one that was taken apart or escaped is
not taken for lost.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from loratui.data.cells import paths
from loratui.data.column_names import FLAG_PARTS, METADATA, ROLE_KEYS
from loratui.data.conversation import Conversation
from loratui.data.reasoning import FIELDS, thinking_of

LEAST_REPEATED = 16
"""Characters from which on a text of an unread column counts as said already where the conversation holds it."""
STRUCTURE = frozenset({*ROLE_KEYS, "type", "id", "tool_call_id", "name"})
"""Keys of messages and tool calls whose values are roles, kinds and references, not text."""
WORDS = r"[^\W\u2e80-\U0010ffff]+|[\u2e80-\U0010ffff]"
"""Words; of scripts without spaces each character. (No compiled pattern: whoever only reads rows would wait for it.)"""
MARKUP = (
    r"(?mi)<\|[^|>]{0,40}\|>|</?[A-Za-z_]{1,24}>|\[/?[A-Z_]{1,24}\]|"
    r"^\s*(?:#+ *)?(?:SYSTEM|USER|HUMAN|ASSISTANT|GPT|BOT|AI|MODEL|TOOL|FUNCTION(?: RESPONSE| CALL)?)\s*:"
)
"""What marks the parts of a text without being part of what it says."""
ANSWERED = frozenset({"answer", "reasoning", "tool call", "text"})


class Piece(NamedTuple):
    """One text of a conversation. part: what it is, in words. trained: it belongs to an answer that bears loss."""

    text: str
    part: str
    trained: bool


@dataclass(slots=True)
class Reading:
    """Of one row's source: characters of its texts, and of those that the conversation does not say, by column."""

    source: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    """Dropped as well, and accounted for: metadata, flags, a preference's other side, what the conversation says
    anyway.
    """

    @property
    def carried(self) -> int:
        """Characters that the conversation says."""
        return self.source - sum(self.dropped.values()) - sum(self.named.values())


@dataclass(slots=True)
class Rendering:
    """Of one row's conversation: characters that are learnt, only shown, cut off, and dropped by the template, by
    part."""

    learnt: int = 0
    shown: int = 0
    cut: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    """Characters of each part, whatever became of them."""

    @property
    def answers(self) -> tuple[int, int]:
        """Characters of the answers that are dropped, and that there are."""
        return (
            sum(count for part, count in self.dropped.items() if part in ANSWERED),
            sum(count for part, count in self.parts.items() if part in ANSWERED),
        )


def texts(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Every text in a value with its place: names joined by dots, without the numbers of list items."""
    found: list[tuple[str, str]] = []
    _collect(value, path, found)
    return found


def _collect(value: Any, path: str, found: list[tuple[str, str]]) -> None:
    if isinstance(value, str):
        if value and not value.isspace():
            found.append((path, value))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _collect(item, f"{path}.{name}" if path else str(name), found)
    elif isinstance(value, list | tuple) and value and not isinstance(value[0], int | float):
        for item in value:
            _collect(item, path, found)


def size_of(value: Mapping[str, Any] | None) -> int:
    """Characters of all texts of a row."""
    return _characters(value)


def _characters(value: Any) -> int:
    """Of the same texts as `texts` finds; their places are not made, since each row of a sample is asked."""
    if isinstance(value, str):
        return 0 if value.isspace() else len(value)
    if isinstance(value, Mapping):
        return sum(map(_characters, value.values()))
    if isinstance(value, list | tuple) and value and not isinstance(value[0], int | float):
        return sum(map(_characters, value))
    return 0


def pieces_of(conversation: Conversation) -> list[Piece]:
    """Every text of a conversation, in the order in which templates write them; the answer of its other side last."""
    found: list[Piece] = []
    if conversation.tools:
        found += [Piece(text, "tools", False) for path, text in texts(conversation.tools) if not _is_structure(path)]
    if conversation.text:
        found.append(Piece(conversation.text, "text", True))
    for message in (*conversation.messages, *conversation.rejected[len(conversation.prompt) :]):
        answers = message.role == "assistant"
        for name in message.extra:
            if name in FIELDS:
                part = "reasoning" if message.trained else "earlier reasoning"
                found += [Piece(text, part, message.trained) for _, text in texts(message.extra[name])]
        if message.content and not message.content.isspace():
            part = ("answer" if message.trained else "earlier answer") if answers else message.role
            found.append(Piece(message.content, part, message.trained))
        calls = message.extra.get("tool_calls")
        if calls:
            found += [
                Piece(text, "tool call", message.trained)
                for path, text in texts(calls)
                if not _is_structure(path) or path.endswith("function.name")
            ]
    return found


def thinking_characters(conversation: Conversation) -> int:
    """Characters of the thinking in a conversation's answers, whether a field or the text holds it."""
    return sum(len(held[1]) for message in conversation.messages if (held := thinking_of(message)))


def read_characters(
    value: Mapping[str, Any], conversation: Conversation, pieces: Sequence[Piece], columns: Mapping[str, str]
) -> Reading:
    """What of a row's source its conversation says. pieces: of the conversation. columns: part → column of the
    reading.
    """
    pool: dict[str, int] = {}
    for piece in pieces:
        stripped = piece.text.strip()
        pool[stripped] = pool.get(stripped, 0) + 1
    for _, text in texts(conversation.template_values) if conversation.template_values else ():
        pool[text.strip()] = pool.get(text.strip(), 0) + 1
    source = 0
    missing: list[tuple[str, str]] = []
    for path, text in texts(value):
        stripped = text.strip()
        if pool.get(stripped):
            source += len(text)
            pool[stripped] -= 1
        elif "." not in path or not _is_structure(path):
            source += len(text)
            missing.append((path, text))
    account = Reading(source)
    if missing:
        taken = ((part, path) for part, one in columns.items() for path in paths(one))
        apart = FLAG_PARTS if conversation.rejected else ("rejected", *FLAG_PARTS)
        used = tuple(_place_of(path) for part, path in taken if part not in apart)
        beside = tuple(_place_of(columns[part]) for part in apart if part in columns)
        _look_closer(account, missing, pieces, pool, used, beside)
    return account


def _look_closer(
    account: Reading,
    missing: Sequence[tuple[str, str]],
    pieces: Sequence[Piece],
    pool: Mapping[str, int],
    used: tuple[str, ...],
    beside: tuple[str, ...],
) -> None:
    """Texts that stand nowhere in the conversation as they are: parts of one, taken apart, repeated, or dropped. used,
    beside: places that are read, and that are not on purpose; a list of answers, of which one is learnt, is both.
    """
    words: Counter[str] | None = None
    for path, text in missing:
        stripped = text.strip()
        read = any(path == place or path.startswith(f"{place}.") for place in used)
        held = (read or len(stripped) >= LEAST_REPEATED) and any(stripped in piece.text for piece in pieces)
        if any(path == place or (not read and path.startswith(f"{place}.")) for place in beside):
            account.named[path] = account.named.get(path, 0) + len(text)
        elif held or _repeats(text, pieces):
            if not read:
                account.named[path] = account.named.get(path, 0) + len(text)
        elif not read and is_metadata(path):
            account.named[path] = account.named.get(path, 0) + len(text)
        elif read:
            if words is None:
                words = Counter(word for one, times in pool.items() if times for word in re.findall(WORDS, one) * times)
            if lost := lost_characters(text, (words,))[-1]:
                account.dropped[path] = account.dropped.get(path, 0) + lost
        else:
            account.dropped[path] = account.dropped.get(path, 0) + len(text)


def rendered_characters(pieces: Sequence[Piece], text: str, learnt: Sequence[tuple[int, int]], kept: int) -> Rendering:
    """What became of a conversation's texts in what the model reads.

    learnt: stretches of `text` that bear loss, end excluded. kept: characters within the maximum length.
    """
    account = Rendering()
    missing: list[Piece] = []
    claimed: list[tuple[int, int]] = []
    cursor = 0
    parts = account.parts
    for piece in pieces:
        size = len(piece.text)
        parts[piece.part] = parts.get(piece.part, 0) + size
        wanted = piece.text.strip()
        ordered = piece.part not in ("tools", "tool call")
        at = text.find(wanted, cursor)
        if at < 0 and not ordered:
            at, wanted = _escaped(text, wanted, cursor)
        elif at < 0:
            at = _unclaimed(text, wanted, claimed)
        if at < 0:
            missing.append(piece)
            continue
        end = at + len(wanted)
        if ordered:
            claimed.append((at, end))
            cursor = max(cursor, end)
        last = min(end, kept)
        within = max(0, last - at)
        known = 0
        for a, b in learnt:
            if a < last and b > at:
                known += min(last, b) - max(at, a)
        account.learnt += min(known, size)
        account.shown += within - known
        account.cut += len(wanted) - within
        account.shown += size - len(wanted)  # spaces that the template trims
    if missing:
        _by_words(account, missing, text, learnt, kept, claimed)
    return account


def with_other_side(chosen: Rendering, rejected: Rendering) -> Rendering:
    """What became of a pair's texts: the question and one answer by the one side, the other answer by the other."""
    answers = {part: count for part, count in rejected.parts.items() if part in ANSWERED}
    dropped = {part: count for part, count in rejected.dropped.items() if part in ANSWERED}
    cut = min(rejected.cut, sum(answers.values()) - sum(dropped.values()) - rejected.learnt)
    return Rendering(
        chosen.learnt + rejected.learnt,
        chosen.shown,
        chosen.cut + cut,
        {part: chosen.dropped.get(part, 0) + dropped.get(part, 0) for part in (*chosen.dropped, *dropped)},
        {part: chosen.parts.get(part, 0) + answers.get(part, 0) for part in (*chosen.parts, *answers)},
    )


def _by_words(
    account: Rendering,
    missing: Sequence[Piece],
    text: str,
    learnt: Sequence[tuple[int, int]],
    kept: int,
    claimed: list[tuple[int, int]],
) -> None:
    """Share out texts that the template changed: their words are looked for in what no other text claims."""
    regions: list[list[str]] = [[], [], []]  # learnt, shown, cut
    edges = sorted({0, len(text), kept, *(place for span in (*learnt, *claimed) for place in span)})
    for start, end in pairwise(edges):
        if start >= len(text) or any(a <= start < b for a, b in claimed):
            continue
        region = 2 if start >= kept else 0 if any(a <= start < b for a, b in learnt) else 1
        regions[region].append(text[start:end])
    pools = [Counter(word for part in parts for word in re.findall(WORDS, part)) for parts in regions]
    for piece in missing:
        *found, lost = lost_characters(piece.text, pools)
        account.learnt += found[0]
        account.shown += found[1]
        account.cut += found[2]
        account.dropped[piece.part] = account.dropped.get(piece.part, 0) + lost


def lost_characters(text: str, pools: Sequence[Counter[str]]) -> list[int]:
    """How many of a text's characters stand in each pool of words, which they are taken from, and in none (last).

    A text that is JSON is compared by the texts in it, and marks of parts count for nothing.
    """
    said = text
    if text.lstrip()[:1] in ("{", "["):
        said = " ".join(part for path, part in texts(_parsed(text)) if not _is_structure(path))
    words = Counter(re.findall(WORDS, re.sub(MARKUP, " ", said)))
    shares = [0] * (len(pools) + 1)
    for word, wanted in words.items():
        for number, pool in enumerate(pools):
            if taken := min(wanted, pool.get(word, 0)):
                pool[word] -= taken
                wanted -= taken
                shares[number] += taken * len(word)
        shares[-1] += wanted * len(word)
    total = sum(shares)
    if not total:
        shares[len(pools) // 2] = len(text)
        return shares
    scaled = [len(text) * share // total for share in shares]
    if shares[-1] and not scaled[-1]:
        scaled[-1] = 1
    largest = max(range(len(scaled)), key=scaled.__getitem__)
    scaled[largest] += len(text) - sum(scaled)
    return scaled


def is_metadata(path: str) -> bool:
    """Whether a column's name says that it describes the row and is no part of what it says."""
    root = path.split(".")[0].lower().strip("_")
    last = path.rsplit(".", 1)[-1].lower().strip("_")
    return root in METADATA or last in METADATA or last.endswith(("_id", "_uuid", "_hash", "_url", "_date"))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _repeats(text: str, pieces: Sequence[Piece]) -> bool:
    """Whether a text says the whole conversation again, as the `text` of instruction files does."""
    said = [piece.text.strip() for piece in pieces if piece.part != "tools"]
    return any(piece.trained for piece in pieces) and len(said) > 1 and all(one in text for one in said)


def _escaped(text: str, wanted: str, cursor: int) -> tuple[int, str]:
    """Where a text of a tool call stands as JSON writes it, from the cursor on, else anywhere; -1 where it does not."""
    forms = dict.fromkeys((wanted, json.dumps(wanted, ensure_ascii=False)[1:-1], json.dumps(wanted)[1:-1]))
    for start in (cursor, 0):
        for form in forms:
            if (at := text.find(form, start)) >= 0:
                return at, form
    return -1, wanted


def _unclaimed(text: str, wanted: str, claimed: Sequence[tuple[int, int]]) -> int:
    """Where a text stands outside of what others claim, e.g. a system message written before an earlier one; else
    -1.
    """
    at = text.find(wanted)
    while at >= 0:
        clash = next((end for start, end in claimed if at < end and at + len(wanted) > start), 0)
        if not clash:
            return at
        at = text.find(wanted, clash)
    return -1


def _is_structure(path: str) -> bool:
    return path.rpartition(".")[2] in STRUCTURE


def _place_of(column: str) -> str:
    """A column's name as `texts` writes places: without the numbers and stars of list items."""
    return ".".join(part for part in column.split(".") if part != "*" and not part.removesuffix("+").isdigit())


def characters_words(summary: Mapping[str, Any]) -> str:
    """The sums in one line; empty where there is no text."""
    source = int(summary.get("source", 0))
    if not source:
        return ""
    names = {
        "learnt": "learnt",
        "shown": "only shown",
        "cut": "cut off",
        "reading": "not read",
        "template": "dropped by the chat template",
        "unused": "in rows that are not used",
    }
    parts = [f"{summary[key] / source:.1%} {name}" for key, name in names.items() if summary[key]]
    return f"{source:,} characters: {', '.join(parts)}"
