#!/usr/bin/env python3
"""How fast, how silent and how small the interface is, beside a bare Textual app in the same run.

    python benchmarks/interface.py [--runs 5] [--size 120x36] [--json]

Each program is started afresh in a pseudo-terminal, by turns; every figure is the median of the runs. `wizard` is
`loratui` with nothing chosen yet, `demo` is `loratui --demo`: model, dataset and estimate stand on its first screen
too. All modules are compiled beforehand, as pip leaves them.

first_s     process start → the first screen that is not blank, by replaying the program's own bytes
settled_s   process start → the last byte before a second of rest
rss_mib     largest resident memory of the process
idle_bytes  bytes a second written while nobody touches it, on the screen named
step_s      key → the last byte of the next step's screen (a step that was visited before)
key_s       key → the first byte back (a cursor key on the recipe screen)
edit_s      key → the first byte back (a value of the recipe, one step up or down): the new value in its line
"""

from __future__ import annotations

import argparse
import codecs
import compileall
import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

import psutil
import pyte

import loratui

BARE = """
from textual.app import App
from textual.widgets import Footer, Header, Input
class Bare(App):
    def compose(self):
        yield Header()
        field = Input()
        field.cursor_blink = False
        yield field
        yield Footer()
Bare().run()
"""
WIZARD = "import sys; from loratui.cli import main; sys.argv = ['loratui']; main()"
DEMO = "import sys; from loratui.cli import main; sys.argv = ['loratui', '--demo']; main()"
REST_SECONDS = 1.0
UNSET = ("COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
"""Variables that a program does not get: a person's terminal has none of them, or not such values."""


class Program:
    """A program in a pseudo-terminal, with every byte it wrote and when."""

    def __init__(self, code: str, columns: int, rows: int, home: str) -> None:
        self.columns, self.rows = columns, rows
        self.chunks: list[tuple[float, bytes]] = []
        self.peak_bytes = 0
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.environ |= {"TERM": "xterm-256color", "LORATUI_HOME": home}
            for name in UNSET:
                os.environ.pop(name, None)
            os.execv(sys.executable, [sys.executable, "-c", code])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = psutil.Process(self.pid)

    def read(self, seconds: float, *, until_rest: float = 0.0) -> list[tuple[float, bytes]]:
        """What was written within `seconds`; with `until_rest`, until so long a rest."""
        first, end = len(self.chunks), time.perf_counter() + seconds
        last = time.perf_counter()
        while (now := time.perf_counter()) < end:
            if until_rest and self.chunks and now - last > until_rest:  # before its first byte it only starts
                break
            if not select.select([self.fd], [], [], 0.01)[0]:
                continue
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                break
            if b"\x1b[?2026$p" in data:
                os.write(self.fd, b"\x1b[?2026;2$y")
            last = time.perf_counter()
            self.chunks.append((last - self.began, data))
            self.peak_bytes = max(self.peak_bytes, self.process.memory_info().rss)
        return self.chunks[first:]

    def press(self, keys: bytes, rest: float = 0.4) -> tuple[float, float]:
        """Seconds from the key to the first and to the last byte of the answer."""
        began = time.perf_counter() - self.began
        os.write(self.fd, keys)
        answer = self.read(3.0, until_rest=rest)
        return (answer[0][0] - began, answer[-1][0] - began) if answer else (float("nan"), float("nan"))

    def first_paint(self) -> float:
        """When the replayed screen first showed something."""
        screen = pyte.Screen(self.columns, self.rows)
        stream, decode = pyte.Stream(screen), codecs.getincrementaldecoder("utf-8")("replace")
        screen.select_graphic_rendition = lambda *attributes, **rest: None  # type: ignore[method-assign]
        for when, data in self.chunks:
            stream.feed(decode.decode(data))
            if any(line.strip() for line in screen.display):
                return when
        return float("nan")

    def end(self) -> None:
        """End the program this object started."""
        os.kill(self.pid, signal.SIGTERM)
        self.read(1.0, until_rest=0.3)
        for _ in range(50):
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                break
            time.sleep(0.02)
        else:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def start_figures(code: str, columns: int, rows: int, home: str) -> dict[str, float]:
    """First paint, settling and memory of one fresh start."""
    program = Program(code, columns, rows, home)
    try:
        program.read(15.0, until_rest=REST_SECONDS)
        return {
            "first_s": program.first_paint(),
            "settled_s": program.chunks[-1][0],
            "rss_mib": program.peak_bytes / 2**20,
        }
    finally:
        program.end()


def walk_figures(columns: int, rows: int, home: str) -> dict[str, float]:
    """Steps, keys and rest of the wizard, in one session."""
    program = Program(DEMO, columns, rows, home)
    figures: dict[str, float] = {}
    try:
        program.read(15.0, until_rest=REST_SECONDS)
        screens = {"model": b"\x1bOR", "dataset": b"\x1bOS", "recipe": b"\x1b[15~", "review": b"\x1b[17~"}
        for name, key in screens.items():
            program.press(key, rest=1.0)
            if name == "dataset":
                program.read(30.0, until_rest=4.0)
        steps = [program.press(key)[1] for _ in range(2) for key in screens.values()]
        figures["step_s"] = statistics.median(steps)
        program.press(screens["recipe"])
        figures["key_s"] = statistics.median(program.press(key)[0] for key in (b"\x1b[B", b"\x1b[A") * 4)
        figures["edit_s"] = statistics.median(program.press(key)[0] for key in (b"\x1b[C", b"\x1b[D") * 4)
        for name, key in {"machine": b"\x1bOQ", **screens}.items():
            program.press(key, rest=1.0)
            figures[f"idle_bytes_{name}"] = sum(len(data) for _, data in program.read(5.0)) / 5.0
        figures["rss_mib_walked"] = program.peak_bytes / 2**20
        return figures
    finally:
        program.end()


def median(rows: list[dict[str, float]]) -> dict[str, float]:
    """Each figure's median."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", default="120x36")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    columns, rows = (int(number) for number in options.size.split("x"))
    compileall.compile_dir(Path(loratui.__file__).parent, quiet=1)
    programs = {"bare": BARE, "wizard": WIZARD, "demo": DEMO}
    starts: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.runs):
            for name, code in programs.items():
                starts[name].append(start_figures(code, columns, rows, str(Path(folder) / f"{name}-{number}")))
        walk = walk_figures(columns, rows, str(Path(folder) / "walk"))
    figures = {name: median(rows) for name, rows in starts.items()}
    ratio = {
        name: {key: figures[name][key] / figures["bare"][key] for key in ("first_s", "settled_s")}
        for name in ("wizard", "demo")
    }
    result = {"size": options.size, "runs": options.runs, **figures, "walk": walk, "ratio": ratio}
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{options.size}, median of {options.runs} starts         bare          wizard            demo   target")
    for key, target in (("first_s", "≤ 1.4 ×"), ("settled_s", "≤ 1.7 ×"), ("rss_mib", "< 90")):
        cells = [
            f"{figures[name][key]:.3f}" + (f" ({ratio[name][key]:.2f} ×)" if key in ratio[name] else "")
            for name in ("wizard", "demo")
        ]
        print(f"{key:30s} {figures['bare'][key]:10.3f} {cells[0]:>15s} {cells[1]:>15s}   {target}")
    for key, target in (
        ("step_s", "≤ 0.120"),
        ("key_s", "≤ 0.010"),
        ("edit_s", "≤ 0.010"),
        ("rss_mib_walked", "< 90"),
        ("idle_bytes_machine", "< 1000"),
        *((f"idle_bytes_{name}", "0") for name in ("model", "dataset", "recipe", "review")),
    ):
        print(f"{key:30s} {'':10s} {'':15s} {walk[key]:15.3f}   {target}")


if __name__ == "__main__":
    main()
