"""How the interface ends when its terminal goes, when it is told to, and when it is killed; and that it is silent at
rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.terminal

CODE = "import sys; from loratui.cli import main; sys.argv = ['loratui', '--demo']; main()"


class Program:
    """The wizard in a pseudo-terminal."""

    def __init__(self, home: Path, *, ignore_hup: bool = False, **environment: str) -> None:
        self.draft = home / "state" / "draft.json"
        self.defects = home / "state" / "crash.log"
        self.said = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            if ignore_hup:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.environ |= {"TERM": "xterm-256color", "LORATUI_HOME": str(home), **environment}
            os.execv(sys.executable, [sys.executable, "-c", CODE])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def read(self, seconds: float) -> bytes:
        data, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                try:
                    piece = os.read(self.fd, 1 << 16)
                except OSError:
                    break
                if not piece:
                    break
                data += piece
        self.said += data
        return data

    def read_to_end(self) -> bytes:
        """All that it writes until it has ended."""
        end = time.monotonic() + PATIENCE_SECONDS
        data = b""
        while select.select([self.fd], [], [], max(0.0, end - time.monotonic()))[0]:
            try:
                piece = os.read(self.fd, 1 << 16)
            except OSError:  # the other side is closed
                return data
            data += piece
            self.said += piece
        raise AssertionError(f"it never ended; {self.seen()}")

    def until(self, test: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not test():
            assert time.monotonic() < end, f"it never came true; {self.seen()}"
            self.read(0.1)

    def seen(self) -> str:
        """What a person would see, whether the program has ended, and its log of defects: for a failure."""
        done, status = os.waitpid(self.pid, os.WNOHANG)
        if done:
            self.pid = 0
        how = f"it has ended with {os.waitstatus_to_exitcode(status)}" if done else "it is running"
        defects = self.defects.read_text() if self.defects.exists() else "none"
        return f"{how}; its draft: {self.kept()}; the screen:\n{self.shown()}\ndefects: {defects}"

    def shown(self) -> str:
        """What stands on its screen."""
        screen = pyte.Screen(80, 24)
        with contextlib.suppress(TypeError):  # a private sequence that pyte takes for another
            pyte.ByteStream(screen).feed(self.said)
        return "\n".join(line.rstrip() for line in screen.display)

    def kept(self) -> dict[str, object]:
        return dict(json.loads(self.draft.read_text())) if self.draft.exists() else {}

    def ended(self, seconds: float = PATIENCE_SECONDS) -> int:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        raise AssertionError(f"it is still running; {self.seen()}")

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    programs: list[Program] = []

    def begin(**options: object) -> Program:
        programs.append(Program(tmp_path / "home", **options))  # type: ignore[arg-type]
        return programs[-1]

    yield begin
    for program in programs:
        program.close()


def walk_to_recipe(program: Program) -> None:
    program.until(lambda: program.kept().get("step") == "machine")
    os.write(program.fd, b"\x0e\x0e\x0e")
    program.until(lambda: program.kept().get("step") == "recipe")
    program.until(lambda: b"Rank" in program.said)


@pytest.mark.parametrize("ignored", [False, True], ids=["hangup", "hangup ignored by the parent"])
def test_a_lost_terminal_ends_it_with_the_draft_written(start: Start, ignored: bool) -> None:
    program = start(ignore_hup=ignored)
    walk_to_recipe(program)
    os.write(program.fd, b"\x1b[B9")  # the rank, typed and not yet entered
    program.until(lambda: "enter Take this" in program.shown())
    os.close(program.fd)
    program.fd = -1
    assert program.ended() == 129
    assert program.kept()["by_hand"] == {"lora.r": 9}


def test_sigterm_gives_the_screen_back(start: Start) -> None:
    program = start()
    walk_to_recipe(program)
    os.kill(program.pid, signal.SIGTERM)
    said = program.read_to_end()
    assert program.ended() == 143
    assert b"\x1b[?1049l" in said
    assert b"\x1b[?1003l" in said


def test_killed_it_comes_back_where_it_was(start: Start) -> None:
    program = start()
    walk_to_recipe(program)
    os.write(program.fd, b"\x1b[B8")
    program.until(lambda: program.kept().get("by_hand") == {"lora.r": 8})
    os.kill(program.pid, signal.SIGKILL)
    program.ended()
    again = start()
    again.until(lambda: b"How it will learn" in again.said)
    assert again.kept()["by_hand"] == {"lora.r": 8}


def test_at_rest_it_writes_nothing(start: Start) -> None:
    program = start()
    program.until(lambda: program.kept().get("step") == "machine")
    os.write(program.fd, b"\x0e")
    program.until(lambda: program.kept().get("step") == "model")
    end = time.monotonic() + PATIENCE_SECONDS
    while program.read(3):  # until its look-ups have ended, and then for good
        assert time.monotonic() < end, f"it never comes to rest; {program.seen()}"
    assert program.read(3) == b""


def test_without_colour_it_writes_none(start: Start) -> None:
    program = start(NO_COLOR="1")
    program.until(lambda: b"Machine" in program.said)
    program.read(3)
    said = program.said
    assert b"\x1b[38;" not in said and b";38;2;" not in said and b"48;2;" not in said and b"48;5;" not in said
