"""The encodings of text files: UTF-8 unless a plan says otherwise, and which one a file looks like that is not."""

from __future__ import annotations

import codecs
import re
from itertools import pairwise

from loratui.core.errors import DatasetError

UTF8 = "utf-8"
GUESSES = (("gb18030", 0x4E00, 0x9FFF), ("shift_jis", 0x3040, 0x30FF), ("cp1251", 0x0410, 0x044F))
"""Encoding, and the range in which most of its letters lie. They must follow each other, too: in any byte from 0xC0 on
cp1251 sees a Cyrillic letter, and texts in cp1252 hold single ones of those.
"""
LEAST_SHARE = 0.8
LEAST_LETTERS = 2
LEAST_CYRILLIC = 6
"""Letters in words of Cyrillic letters alone from which on a text is taken for cp1251: in cp1252 they stand in words of
other letters.
"""
_GB2312 = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")
"""Pairs that nearly all Chinese text is made of; an accent and the letter after it are none."""
_NO_TEXT = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
"""Control characters that texts do not have."""
TEXT_SHARE = 0.98
_WORD = re.compile(r"[^\W\d_]{3,}")


def require_encoding(name: str) -> str:
    """The encoding's own name; DatasetError where there is none of this name."""
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise DatasetError(
            f"there is no encoding {name!r}.", where="dataset.encoding", hint="Usual are utf-8, cp1252, gb18030."
        ) from None


def likely_encoding(raw: bytes) -> str:
    """What bytes that are no UTF-8 look like: gb18030, shift_jis, cp1251, else cp1252 or latin-1."""
    for name, first, last in GUESSES:
        try:
            letters = [ord(letter) for letter in raw.decode(name)]
        except UnicodeDecodeError:
            continue
        alike = [first <= letter <= last for letter in letters]
        others = sum(letter > 0x7F for letter in letters)
        in_a_row = sum(one and other for one, other in pairwise(alike))
        if sum(alike) < max(LEAST_LETTERS, LEAST_SHARE * others) or 2 * in_a_row < sum(alike):
            continue
        if name == "gb18030" and len(_GB2312.findall(raw)) < LEAST_SHARE * sum(alike):
            continue
        if name == "cp1251" and not _is_cyrillic(raw.decode(name)):
            continue
        return name
    try:
        raw.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _is_cyrillic(text: str) -> bool:
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    whole = [word for word in words if not any(letter.isascii() for letter in word)]
    letters = sum(map(len, whole))
    return letters >= max(LEAST_CYRILLIC, LEAST_SHARE * sum(map(len, words)))


def is_text(head: bytes) -> bool:
    """Whether a file's first bytes can be a text's, in whatever encoding of single characters or of UTF-16 with its
    mark.
    """
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return len(head.translate(None, _NO_TEXT)) >= TEXT_SHARE * len(head)


def proposal(raw: bytes) -> str:
    """What to do about bytes that are no UTF-8, as the end of a sentence."""
    name = likely_encoding(raw[:4096])
    return f"it looks like {name}: set dataset.encoding={name}, or save the file as UTF-8."
