"""Foreign text made harmless and numbers made readable: everything a screen shows passes through here.

A dataset, a model, a log or an exception is written by strangers. `harmless` makes their control characters visible,
`NoControls` is the last wall: nothing that is painted carries a control or a bidirectional override to the terminal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from textual.content import Content
from textual.filter import LineFilter

if TYPE_CHECKING:
    from rich.segment import Segment
    from textual.color import Color

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""C0, DEL, C1, and the marks that turn the direction of writing."""

LONGEST_LINE = 1000
"""Characters of one line that are ever shown."""


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    if character == "\t":
        return "    "
    if character == "\n":
        return character
    if character < " ":
        return chr(0x2400 + ord(character))
    return "\u2421" if character == "\x7f" else "\ufffd"


def harmless(text: object, longest: int = LONGEST_LINE) -> str:
    """Text from a stranger with its controls made visible (`␛`), each line cut at `longest` characters; newlines stay."""
    shown = CONTROLS.sub(_visible, str(text).replace("\r\n", "\n"))
    return "\n".join(line if len(line) <= longest else line[: longest - 1] + "…" for line in shown.split("\n"))


def one_line(text: object, longest: int = 200) -> str:
    """Harmless text on one line: newlines become `⏎`, the rest is cut with `…`."""
    shown = harmless(str(text)[: longest * 4], longest * 4).replace("\n", " ⏎ ")
    return shown if len(shown) <= longest else shown[: max(0, longest - 1)] + "…"


def plain(text: object) -> Content:
    """Foreign text as content: no markup in it is obeyed."""
    return Content(harmless(text))


def wrap(line: str, width: int) -> list[str]:
    """One line cut at blanks into lines of at most `width` columns; a longer word is cut where it must be."""
    from rich.cells import cell_len, chop_cells

    if cell_len(line) <= width:
        return [line]
    lines, current = [], ""
    for word in line.split(" "):
        if cell_len(current) + 1 + cell_len(word) <= width:
            current = f"{current} {word}" if current else word
            continue
        if current:
            lines.append(current)
        *whole, current = chop_cells(word, width) or [""]
        lines += whole
    return [*lines, current]


def home_short(path: object) -> str:
    """A path with the user's home folder written as `~`."""
    from pathlib import Path

    text, home = str(path), str(Path.home())
    return "~" + text[len(home):] if home != "/" and (text == home or text.startswith(home + "/")) else text


def gib(size_bytes: float) -> str:
    """Bytes as GiB with a sensible number of digits: `0.05`, `3.21`, `14.7`, `141`."""
    value = size_bytes / 2**30
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f}"


def size(size_bytes: float) -> str:
    """Bytes in the unit that reads best: `512 B`, `3.2 MiB`, `14.7 GiB`."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024 or unit == "GiB":
            break
        value /= 1024
    digits = 0 if unit == "B" or abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{digits}f} {unit}"


def signed_size(size_bytes: float) -> str:
    """A change in bytes with its sign: `+1.30 GiB`, `−310 MiB`."""
    return ("+" if size_bytes >= 0 else "−") + size(abs(size_bytes))


def count(number: float) -> str:
    """A large number in the field's way: `950`, `12.3 K`, `1.24 B`."""
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "K")):
        if abs(number) >= limit:
            value = number / (1e3 if unit == "K" else limit)
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{number:,.0f}"


def value_text(value: object) -> str:
    """A value of a plan as a person writes it: `2e-4`, `true`, `q_proj, v_proj`, `–` for none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "–"
    return "–" if value in ("", None) else str(value)


def number_text(value: float) -> str:
    """A float without noise: `2e-4`, `0.05`, `3`."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.6g}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


class NoControls(LineFilter):
    """Drops what `harmless` should have made visible: the last wall before the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if not any(CONTROLS.search(segment.text) for segment in segments):
            return segments
        from rich.segment import Segment as Painted

        return [Painted(CONTROLS.sub("", text), style, control) for text, style, control in segments]
