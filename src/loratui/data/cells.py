"""Where a part of a row comes from: a column, a path into objects and lists, several columns in a template, a constant.

answer                          a column
reward_model.ground_truth       a field of an object
answers.text.0                  an item of a list, counted from 0
instances.*.output              every item of a list: each is an example of its own (see `unfold`)
output.1+                       every item of a list from number 1 on, each beside those before it
{context}\\n\\n{question}         text with columns or paths in it; \\n is a line break, \\t a tab
=You answer briefly.            the same text in every row
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from loratui.data.encodings import proposal
from loratui.data.row import RowError

MISSING = object()
EVERY = "*"
_EVERY = re.compile(r"(?:^|(?<=\.))(?:\*|(\d+)\+)(?=\.|$)")
"""A step that stands for several items: all of a list, or those from a number on."""
_PLACE = re.compile(r"\{([^{}\n]+)\}")
_ESCAPES = {"\\n": "\n", "\\t": "\t"}
TEXT_PARTS = ("text", "input_text", "output_text")
"""Kinds of content parts that hold text, below `text`, `value` or `content`."""
SEEN_PARTS = ("image", "video", "audio", "file")
"""Kinds of content parts that hold something else, by how they begin."""


class Template(NamedTuple):
    """Text with places in it: `texts` stand around `paths`, one more of them."""

    texts: tuple[str, ...]
    paths: tuple[str, ...]


def is_constant(setting: str) -> bool:
    """Whether a setting is the same text for every row."""
    return setting.startswith("=")


@cache
def template(setting: str) -> Template | None:
    """A setting with columns in braces, taken apart; None where it has none."""
    if is_constant(setting) or not _PLACE.search(setting):
        return None
    pieces = _PLACE.split(setting)
    return Template(tuple(_unescaped(text) for text in pieces[::2]), tuple(path.strip() for path in pieces[1::2]))


def _unescaped(text: str) -> str:
    for written, meant in _ESCAPES.items():
        text = text.replace(written, meant)
    return text


def paths(setting: str) -> tuple[str, ...]:
    """The columns and paths that a setting takes text from; none for a constant."""
    if is_constant(setting) or not setting:
        return ()
    parts = template(setting)
    return parts.paths if parts is not None else (setting,)


def cell_at(value: Mapping[str, Any], setting: str | None) -> Any:
    """What a row holds where a setting points: a value of any kind, or MISSING. RowError where a path is not one
    place.
    """
    if not setting:
        return MISSING
    if setting in value:
        return value[setting]
    if is_constant(setting):
        return _unescaped(setting[1:])
    parts = template(setting)
    return _follow(value, setting) if parts is None else _filled(value, parts)


def _follow(value: Any, path: str) -> Any:
    current = value
    for step in path.split("."):
        if isinstance(current, Mapping):
            if step not in current:
                return MISSING
            current = current[step]
        elif isinstance(current, list | tuple):
            if (first := _from(step)) is not None:
                if len(current) > first + 1:
                    raise RowError("several", f"{path} holds {len(current) - first} examples, and one was expected.")
                step = str(first)
            if not step.isdecimal() or int(step) >= len(current):
                return MISSING
            current = current[int(step)]
        elif step != EVERY or not isinstance(current, str):  # a text where others have lists of texts is one of them
            return MISSING
    return current


def _from(step: str) -> int | None:
    """The number from which on a step means every item of a list; None where it means one."""
    found = _EVERY.fullmatch(step)
    return int(found.group(1) or 0) if found is not None else None


def _filled(value: Mapping[str, Any], parts: Template) -> Any:
    cells = [value[path] if path in value else _follow(value, path) for path in parts.paths]
    if all(one is MISSING or one is None for one in cells):
        return MISSING
    text = parts.texts[0]
    for path, one, after in zip(parts.paths, cells, parts.texts[1:], strict=True):
        text += as_text(one, path) + after
    return text.strip()


def reaches(value: Mapping[str, Any], path: str) -> bool:
    """Whether a column or a path leads to a value of the row, through any item where it says every."""
    return path in value or _reaches(value, path.split("."))


def _reaches(current: Any, steps: list[str]) -> bool:
    if not steps:
        return True
    if isinstance(current, Mapping):
        return steps[0] in current and _reaches(current[steps[0]], steps[1:])
    if isinstance(current, list | tuple):
        if (first := _from(steps[0])) is not None:
            return any(_reaches(item, steps[1:]) for item in current[first:])
        return steps[0].isdecimal() and int(steps[0]) < len(current) and _reaches(current[int(steps[0])], steps[1:])
    return steps == [EVERY] and isinstance(current, str)


def every(settings: Mapping[str, str]) -> str:
    """The path of the list whose items are examples of their own, to its last `*` or `1+`; empty: there is none."""
    ends = [(path, mark.end()) for one in settings.values() for path in paths(one) for mark in _EVERY.finditer(path)]
    return max((path[:end] for path, end in ends), key=len, default="")


def unfold(value: Mapping[str, Any], path: str) -> Iterator[Mapping[str, Any]]:
    """The row once for each item of the list at `path` (each list on the way has that one item); the row itself where
    there is none.
    """
    if not path:
        yield value
        return
    found = False
    for one in _unfolded(value, path.split(".")):
        found = True
        yield one
    if not found:
        yield value


def _unfolded(current: Any, steps: list[str]) -> Iterator[Any]:
    if not steps:
        yield current
    elif isinstance(current, Mapping) and steps[0] in current:
        for item in _unfolded(current[steps[0]], steps[1:]):
            yield {**current, steps[0]: item}
    elif isinstance(current, list | tuple) and (first := _from(steps[0])) is not None:
        for inner in current[first:]:
            for item in _unfolded(inner, steps[1:]):
                yield [*current[:first], item]
    elif isinstance(current, str) and steps == [EVERY]:
        yield current


def as_text(cell: Any, column: str) -> str:
    """A cell as text: objects, lists and numbers as JSON, a list of content parts as their texts joined."""
    if isinstance(cell, str):
        return check_unicode(cell, column)
    if cell is None or cell is MISSING:
        return ""
    if isinstance(cell, bytes):
        raise RowError("type", f"{column} holds bytes, and text was expected.")
    if isinstance(cell, list) and cell and all(isinstance(part, Mapping) and "type" in part for part in cell):
        return check_unicode("".join(_part_text(part, column) for part in cell), column)
    try:
        return check_unicode(json.dumps(cell, ensure_ascii=False), column)
    except (TypeError, ValueError):
        return check_unicode(str(cell), column)


def _part_text(part: Mapping[str, Any], column: str) -> str:
    kind = str(part.get("type"))
    if kind.lower().startswith(SEEN_PARTS):
        raise RowError("media", f"{column} shows content of type {kind}, and only text can be trained on.")
    text = next((part[key] for key in ("text", "value", "content") if isinstance(part.get(key), str)), None)
    if text is not None and (kind in TEXT_PARTS or "text" in part):
        return str(text)
    raise RowError("type", f"{column} holds content of type {kind}, and only text can be trained on.")


def check_unicode(text: str, column: str) -> str:
    """The text itself; RowError where it cannot be written as UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            raise RowError(
                "utf-8",
                f"{column} has a byte that is not valid UTF-8, 0x{code - 0xDC00:02x}, at character {error.start + 1}; "
                f"{proposal(text[:4096].encode('utf-8', 'surrogateescape'))}",
            ) from None
        raise RowError(
            "utf-8", f"{column} has half of a surrogate pair, U+{code:04X}, at character {error.start + 1}."
        ) from None
    return text


def from_json(text: str, column: str) -> Any:
    """A cell's text as JSON; RowError where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError("json", f"{column} was expected to be JSON and is not: {error}.") from None


def kind_word(cell: Any) -> str:
    """What a cell is, within a sentence."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
        type(None): "null",
    }
    return names.get(type(cell), type(cell).__name__)
