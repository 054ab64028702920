"""A person at a terminal, for tests: starts a program in a pseudo-terminal, presses keys, reads the screen."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence

import pyte

from waiting import PATIENCE_SECONDS

KEYS = {
    "enter": "\r",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "escape": "\x1b",
    "space": " ",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "ctrl+pageup": "\x1b[5;5~",
    "ctrl+pagedown": "\x1b[6;5~",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    "f5": "\x1b[15~",
    "f6": "\x1b[17~",
    "f7": "\x1b[18~",
    "f8": "\x1b[19~",
    "f9": "\x1b[20~",
    "f10": "\x1b[21~",
}


class _Screen(pyte.Screen):
    """pyte's screen, deaf to private sequences that it would misread."""

    def report_device_attributes(self, *args: object, **kwargs: object) -> None:
        return

    def select_graphic_rendition(self, *attributes: int, private: bool = False, **kwargs: object) -> None:
        if not private:
            super().select_graphic_rendition(*attributes)


class Console:
    """One program in one pseudo-terminal."""

    def __init__(
        self, command: Sequence[str], *, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None
    ) -> None:
        self.screen = _Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self.bytes_written = 0
        self.raw = bytearray()
        self.alive = True
        self.exit_status: int | None = None
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                os.environ.update(environment or {}, TERM="xterm-256color")
                os.execvp(command[0], list(command))
            os._exit(127)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def pump(self, seconds: float) -> None:
        """Read what the program writes for so long, or until it ends."""
        end = time.monotonic() + seconds
        while self.alive and (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self._fd], [], [], left)
            if not ready:
                return
            try:
                chunk = os.read(self._fd, 65536)
            except OSError:
                chunk = b""
            if not chunk:
                self.alive = False
                return
            self.bytes_written += len(chunk)
            self.raw += chunk
            self._stream.feed(self._decode.decode(chunk))

    def until(self, *words: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until one of the words is on the screen and return it; AssertionError with the screen otherwise."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for word in words:
                if word in self.text:
                    return word
            if not self.alive:
                break
            self.pump(0.05)
        raise AssertionError(f"waited {seconds} s for {words}; the screen shows:\n{self.text}")

    def press(self, *keys: str) -> None:
        """Press named keys (`enter`, `ctrl+n`, …) or single characters."""
        for key in keys:
            code = KEYS.get(key)
            if code is None and key.startswith("ctrl+"):
                code = chr(ord(key[-1]) & 0x1F)
            elif code is None and key.startswith("alt+"):
                code = "\x1b" + key[4:]
            os.write(self._fd, (code or key).encode())
            self.pump(0.12)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())
        self.pump(0.2)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The exit status, once the program has ended; AssertionError if it does not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_status = os.waitstatus_to_exitcode(status)
                return self.exit_status
            time.sleep(0.02)
        raise AssertionError(f"the program did not end in {seconds} s; the screen shows:\n{self.text}")

    def close(self) -> None:
        if self.exit_status is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        os.close(self._fd)
