"""The one place where a command writes to standard output and standard error: nothing that comes from a file, a model,
an argument or a library reaches a terminal with a control character in it.

Commands and the workers that a person calls (`merge`, `generate`) write by `say`, `say_json` and `progress`; `guard`
holds the rest: what libraries print, warn and log in this process.
"""

from __future__ import annotations

import io
import math
import signal
import sys
from typing import Any, NamedTuple, Protocol, TextIO

from loratui.format import harmless, harmless_json

PARENT_VARIABLE = "LORATUI_PARENT"
"""Set where another process of ours started this one: to that one it speaks in messages."""
CLEAR_LINE = "\r\x1b[K"


class Listener(Protocol):
    """Who hears a command in place of a terminal."""

    def told(self, text: str) -> None:
        """Text for people."""

    def printed(self, value: Any) -> None:
        """A JSON object for programs."""

    def failed(self, sentence: str) -> None:
        """What went wrong."""


_listener: Listener | None = None


def listened() -> bool:
    """Whether a process of ours hears what is said here, and no terminal."""
    return _listener is not None


def speak_to(listener: Listener | None) -> None:
    """From here on whatever is said goes to this listener."""
    global _listener
    _listener = listener


class Styled(NamedTuple):
    """Text that is painted where it is written to a terminal. color: a name that click knows."""

    text: str
    color: str = ""
    dim: bool = False


def say(*parts: object, err: bool = False, end: str = "\n") -> None:
    """Write text, one part after the other, its control characters made visible; newlines in it stay."""
    text = "".join(map(_shown, parts))
    if _listener is not None:
        import click

        _listener.told(click.unstyle(text))
        return
    _write(text + end, err=err)


def fail(sentence: str) -> None:
    """Say what went wrong, in one sentence, as every command does."""
    if _listener is not None:
        _listener.failed(harmless(sentence, 0))
        return
    say(f"loratui: {sentence}", err=True)


def _shown(part: object) -> str:
    if isinstance(part, Styled):
        import click

        return click.style(harmless(part.text, 0), fg=part.color or None, dim=part.dim or None)
    return harmless(part, 0)


def say_json(value: Any, *, indent: int | None = 2) -> None:
    """Write one JSON object on standard output. Numbers that are not finite, which JSON has not, become null."""
    if _listener is not None:
        _listener.printed(_finite(value))
        return
    import json  # not for `--help`, which writes none

    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, indent=indent)
    say_json_text(text + "\n")


def say_json_text(text: str) -> None:
    """Write text that is JSON already: its control characters become escapes that mean the same."""
    _write(harmless_json(text), err=False)


def progress(text: str) -> None:
    """Write a line of the terminal, on standard error, that the next one replaces."""
    if _listener is not None:
        _listener.told(text)
        return
    _write(CLEAR_LINE + harmless(text, 0), err=True)


def call_attention(title: str, message: str, how: str) -> str:
    """What makes a terminal call for its person: the bell, or a message of the desktop by OSC 9 or OSC 777; empty for
    `off`. Nothing of the words can end the sequence or begin another.
    """
    if how == "off":
        return ""
    if how == "bell":
        return "\a"
    words = harmless(message, 300).replace("\n", " ")
    head = harmless(title, 100).replace("\n", " ")
    if how == "osc777":
        return f"\x1b]777;notify;{head.replace(';', ',')};{words.replace(';', ',')}\x1b\\"
    said = f"{head}: {words}" if words else head
    return f"\x1b]9; {said}\x1b\\"  # the space: a number and a semicolon would be progress


def ring(title: str, message: str, how: str) -> None:
    """Call for the person at this terminal, where there is one on standard error."""
    stream = sys.stderr
    if _listener is None and stream is not None and stream.isatty():
        _write(call_attention(title, message, how), err=True)


def has_person() -> bool:
    """Whether somebody can be asked here."""
    return sys.stdin is not None and sys.stdin.isatty()


def hear_interrupts() -> None:
    """From here on ctrl+c is an exception that a command may answer; until then it ended the program at once."""
    if getattr(signal.getsignal(signal.SIGINT), "__module__", "").startswith("loratui"):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def confirm(question: str) -> bool:
    """Ask on the terminal, yes or no (no where only return is pressed). False where there is nobody to ask."""
    import click

    return has_person() and click.confirm(harmless(question, 0), default=False, err=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _write(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    if isinstance(stream, Guarded):
        stream = stream.behind
    import click  # not for the wizard, which draws

    click.echo(text, file=stream, nl=False)


class Guarded(io.TextIOBase):
    """A text stream whose control characters are made visible, but for the return to a line's begin."""

    def __init__(self, behind: TextIO) -> None:
        self.behind = behind

    def write(self, text: str) -> int:
        self.behind.write("\r".join(harmless(part, 0) for part in text.replace("\r\n", "\n").split("\r")))
        return len(text)

    def flush(self) -> None:
        self.behind.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.behind.isatty()

    def fileno(self) -> int:
        return self.behind.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.behind.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.behind.errors

    @property
    def buffer(self) -> Any:
        """The bytes behind it, for who writes a file's bytes."""
        return self.behind.buffer


def guard() -> None:
    """From here on whatever this process prints, warns or logs passes the filter, too."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Guarded):
            setattr(sys, name, Guarded(stream))
