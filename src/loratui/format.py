"""How figures and foreign text are written: sizes, counts, durations, numbers, and lines that harm no terminal.

A dataset, a model, a log or an exception is written by strangers: `harmless` makes their control characters visible.
"""

from __future__ import annotations

import math
import re
import unicodedata

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""C0, DEL, C1, other ends of line, the marks that turn the direction of writing, and halves that no encoding can
write."""

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
    """Text from a stranger with its controls made visible (`␛`), each line cut at `longest` characters (0: whole);
    newlines stay."""
    shown = CONTROLS.sub(_visible, str(text).replace("\r\n", "\n"))
    return "\n".join(
        line if not longest or len(line) <= longest else line[: longest - 1] + "…" for line in shown.split("\n")
    )


def printable(text: object) -> str:
    """Harmless text on one line, whole: newlines become `⏎`."""
    return harmless(text, 0).replace("\n", " ⏎ ")


def one_line(text: object, longest: int = 200) -> str:
    """Harmless text on one line, cut with `…` at `longest` characters."""
    shown = printable(str(text)[: longest * 4])
    return shown if len(shown) <= longest else shown[: max(0, longest - 1)] + "…"


def harmless_json(text: str) -> str:
    """JSON text that means the same with its controls as `\\uXXXX` escapes; its own newlines and tabs stay."""

    def escaped(match: re.Match[str]) -> str:
        return match.group() if match.group() in "\n\r\t" else f"\\u{ord(match.group()):04x}"

    return CONTROLS.sub(escaped, text)


def first_line(error: BaseException | str, longest: int = 300) -> str:
    """The first line of an exception's text that says something, harmless; its type's name where there is none."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return one_line(said or (type(error).__name__ if isinstance(error, BaseException) else ""), longest)


def size(size_bytes: float) -> str:
    """Bytes in the unit that reads best: `512 B`, `3.20 MiB`, `14.7 GiB`, `1,477 GiB`."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        digits = 0 if unit == "B" else _digits(value)
        if unit == "GiB" or abs(round(value, digits)) < 1024:  # as it is written: 1,023.6 KiB is 1.00 MiB
            break
        value /= 1024
    return f"{value:,.{digits}f} {unit}"


def _digits(value: float) -> int:
    """Digits after the point, so that three figures are told."""
    return 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0


def signed_size(size_bytes: float) -> str:
    """A change in bytes with its sign: `+1.30 GiB`, `−310 MiB`."""
    return ("+" if size_bytes >= 0 else "−") + size(abs(size_bytes))


def count(number: float) -> str:
    """A large number in the field's way: `950`, `12.3 K`, `1.24 B`."""
    if abs(number) < 9_999.5:
        return f"{number:,.0f}"
    value = number
    for unit in ("K", "M", "B", "T"):
        value /= 1000
        if abs(value) < 999.5 or unit == "T":  # as it is written: 999.9 M is 1.00 B
            break
    return f"{value:,.{_digits(value)}f} {unit}"


def value_text(value: object) -> str:
    """A value of a plan as a person writes it: `2e-4`, `true`, `q_proj, v_proj`, `–` for none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items()) or "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(_part_text(item) if isinstance(item, dict) else str(item) for item in value) or "–"
    return "–" if value in ("", None) else str(value)


def _part_text(part: dict[str, object]) -> str:
    """A part of a mix: its name, with the weight and the cap that it has."""
    weight, cap = part.get("weight", 1.0), part.get("cap", "none")
    return f"{part.get('name', '')}{'' if weight == 1 else f' × {weight:g}'}{'' if cap == 'none' else f' # {cap}'}"


def number_text(value: float) -> str:
    """A float without noise: `2e-4`, `0.05`, `3`."""
    if value and (abs(value) < 1e-3 or abs(value) >= 999_999.5):
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.6g}"


def exact_text(value: float) -> str:
    """A float as it is typed, to be read as exactly this one again: as `number_text` writes it wherever that is so."""
    text = number_text(value)
    return text if float(text) == value else repr(value)


def loss_text(loss: float | None) -> str:
    """A loss as every screen and sentence tells it: `1.2345`, `1.23e+04`; `–` for none."""
    return "–" if loss is None else f"{loss:.4f}" if abs(loss) < 999.99995 else f"{loss:.3g}"


def signed(value: float, digits: int = 4) -> str:
    """A difference with its sign, and none where nothing is left of it: `+0.0123`, `-0.5000`, `0.0000`."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def in_gib(size_bytes: float) -> str:
    """Bytes as a number of GiB with a sensible number of digits, without the unit: `0.05`, `3.21`, `14.7`, `141`."""
    value = size_bytes / 2**30
    return f"{value:.{_digits(value)}f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `3 min 05 s`, `12 min`, `1 h 06 min`, `2 d 4 h`; `–` for no number."""
    if not math.isfinite(seconds):
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def duration_span(low_seconds: float, high_seconds: float) -> str:
    """A span of seconds: `8 s to 41 s`; `about 8 s` where both ends are said alike."""
    low, high = duration(low_seconds), duration(high_seconds)
    return f"about {low}" if low == high else f"{low} to {high}"


def age(seconds: float) -> str:
    """How long ago something was, in one unit: `40 s`, `5 min`, `30 h`, `3 d`."""
    if seconds < 60:
        return f"{max(0, int(seconds))} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    return f"{int(seconds // 3600)} h" if seconds < 48 * 3600 else f"{int(seconds // 86400)} d"


_PLAIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
    | {"ẞ": "SS", "Æ": "AE", "Œ": "OE", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "TH"}
)
"""Letters that Unicode does not take apart."""


def plain_letters(text: str) -> str:
    """Latin letters without their marks, for names of files: `mödel` → `model`, `Łódź` → `Lodz`; others stay."""
    apart = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def lowered(words: str) -> str:
    """A name at the beginning of a sentence, within one: only the first letter, and no abbreviation."""
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def sentence(words: str) -> str:
    """Words as a sentence of its own, its first letter large and its end marked; empty for none."""
    return f"{words[:1].upper()}{words[1:]}{'' if words[-1:] in '.!?…' else '.'}"
