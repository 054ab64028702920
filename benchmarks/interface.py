#!/usr/bin/env python3
"""How fast, how silent and how small the interface is, beside a bare Textual app in the same run.

    python benchmarks/interface.py [--runs 5] [--size 120x36] [--beside SRC] [--json] [--save]

Each program is started afresh in a pseudo-terminal, by turns; every figure is the median of the runs, every ratio the
median of the ratios to the bare app of the same turn. `wizard` is `loratui` with nothing chosen yet, `demo` is
`loratui --demo`: model, dataset and estimate stand on its first screen too. All modules are compiled beforehand, as pip
leaves them. No Slurm is on the programs' path.

first_s     process start → the first screen that is not blank, by replaying the program's own bytes
settled_s   process start → the last byte before a second in which it writes nothing and works next to nothing
            These two are what a person waits for, and the targets are theirs: to be measured on a quiet machine
first_cpu_s, settled_cpu_s    processor time of the process, all its threads, until then; told beside, for work of
            other programs lengthens the time on the wall more than it does these
rss_mib     largest resident memory of the process
idle_bytes  bytes a second written while nobody touches it, on the screen named
step_s      key → the last byte of the next step's screen (a step that was visited before)
key_s       key → the first byte back (a cursor key on the recipe screen)
edit_s      key → the first byte back (a value of the recipe, one step up or down): the new value in its line
key_cpu_s, edit_cpu_s    processor time of the process until that byte, by which their targets are told

--beside: the `src` folder of another state of this program, started by turns with this one. --save: keep the figures in
benchmarks/results/interface.json. What the training's monitor writes is measured by `benchmarks/monitor.py`.
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
from typing import NamedTuple

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
FROM = "import sys; sys.path.insert(0, {!r})\n"
"""Before a program: have it take another state of loratui."""
RESULTS = Path(__file__).parent / "results" / "interface.json"
REST_SECONDS = 1.0
AT_WORK_SECONDS = 0.03
"""Processor time within a rest from which it is none: on a machine with other work a start may pause for long."""
UNSET = ("COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
"""Variables that a program does not get: a person's terminal has none of them, or not such values."""


class Answer(NamedTuple):
    """Seconds from a key to the first and to the last byte of the answer; processor time until the first."""

    first: float
    last: float
    processor: float


class Program:
    """A program in a pseudo-terminal, with every byte it wrote and when."""

    def __init__(self, code: str, columns: int, rows: int, home: str) -> None:
        self.columns, self.rows = columns, rows
        self.chunks: list[tuple[float, bytes]] = []
        self.processor: list[float] = []
        """Processor time (seconds) of the process at each of them."""
        self.peak_bytes = 0
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.environ |= {"TERM": "xterm-256color", "LORATUI_HOME": home, "PATH": str(Path(sys.executable).parent)}
            for name in UNSET:
                os.environ.pop(name, None)
            os.execv(sys.executable, [sys.executable, "-c", code])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = psutil.Process(self.pid)

    def read(self, seconds: float, *, until_rest: float = 0.0) -> list[tuple[float, bytes]]:
        """What was written within `seconds`; with `until_rest`, until so long a rest: no byte, and next to no work."""
        first, end = len(self.chunks), time.perf_counter() + seconds
        last, used = time.perf_counter(), self.processor_seconds()
        while (now := time.perf_counter()) < end:
            if until_rest and self.chunks and now - last > until_rest:  # before its first byte it only starts
                break
            if not select.select([self.fd], [], [], 0.01)[0]:
                if until_rest and (so_far := self.processor_seconds()) - used > AT_WORK_SECONDS:
                    last, used = time.perf_counter(), so_far
                continue
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                break
            if b"\x1b[?2026$p" in data:
                os.write(self.fd, b"\x1b[?2026;2$y")
            last = time.perf_counter()
            self.processor.append(self.processor_seconds())
            self.chunks.append((last - self.began, data))
            self.peak_bytes = max(self.peak_bytes, self.process.memory_info().rss)
        return self.chunks[first:]

    def processor_seconds(self) -> float:
        """Processor time of the process and all its threads (clock_getcpuclockid of Linux)."""
        return time.clock_gettime(~self.pid << 3 | 2)

    def press(self, keys: bytes, rest: float = 0.4) -> Answer:
        """How long the answer to a key takes."""
        number, used = len(self.chunks), self.processor_seconds()
        began = time.perf_counter() - self.began
        os.write(self.fd, keys)
        answer = self.read(3.0, until_rest=rest)
        if not answer:
            return Answer(float("nan"), float("nan"), float("nan"))
        return Answer(answer[0][0] - began, answer[-1][0] - began, self.processor[number] - used)

    def first_paint(self) -> tuple[float, float]:
        """When the replayed screen first showed something, and the processor time until then."""
        screen = pyte.Screen(self.columns, self.rows)
        stream, decode = pyte.Stream(screen), codecs.getincrementaldecoder("utf-8")("replace")
        screen.select_graphic_rendition = lambda *attributes, **rest: None  # type: ignore[method-assign]
        for (when, data), used in zip(self.chunks, self.processor, strict=True):
            stream.feed(decode.decode(data))
            if any(line.strip() for line in screen.display):
                return when, used
        return float("nan"), float("nan")

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
        program.read(60.0, until_rest=REST_SECONDS)
        first, first_processor = program.first_paint()
        return {
            "first_cpu_s": first_processor,
            "settled_cpu_s": program.processor[-1],
            "first_s": first,
            "settled_s": program.chunks[-1][0],
            "rss_mib": program.peak_bytes / 2**20,
        }
    finally:
        program.end()


def walk_figures(code: str, columns: int, rows: int, home: str) -> dict[str, float]:
    """Steps, keys and rest of the wizard, in one session."""
    program = Program(code, columns, rows, home)
    figures: dict[str, float] = {}
    try:
        program.read(60.0, until_rest=REST_SECONDS)
        screens = {"model": b"\x1bOR", "dataset": b"\x1bOS", "recipe": b"\x1b[15~", "review": b"\x1b[17~"}
        for name, key in screens.items():
            program.press(key, rest=1.0)
            if name == "dataset":
                program.read(30.0, until_rest=4.0)
        steps = [program.press(key).last for _ in range(2) for key in screens.values()]
        figures["step_s"] = statistics.median(steps)
        program.press(screens["recipe"])
        for name, keys in {"key": (b"\x1b[B", b"\x1b[A"), "edit": (b"\x1b[C", b"\x1b[D")}.items():
            answers = [program.press(key) for key in keys * 8]
            figures[f"{name}_s"] = statistics.median(answer.first for answer in answers)
            figures[f"{name}_cpu_s"] = statistics.median(answer.processor for answer in answers)
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


def ratios(rows: list[dict[str, float]], bare: list[dict[str, float]]) -> dict[str, float]:
    """Each time's median ratio to the bare app of the same turn."""
    keys = [key for key in rows[0] if key.endswith("_s")]
    return {key: statistics.median(row[key] / one[key] for row, one in zip(rows, bare, strict=True)) for key in keys}


def verdict(value: float, most: float) -> str:
    """The target beside a figure, and whether it was met."""
    return f"≤ {most:g}  {'met' if value <= most else 'NOT MET'}"


STARTS = {"first_s": 1.4, "settled_s": 1.7, "first_cpu_s": None, "settled_cpu_s": None}
"""Largest ratio to the bare app; None: told beside, without a target of its own."""
WALKED = {
    "step_s": 0.120,
    "key_cpu_s": 0.010,
    "key_s": None,
    "edit_cpu_s": 0.010,
    "edit_s": None,
    "rss_mib_walked": 90.0,
    "idle_bytes_machine": 1000.0,
    **{f"idle_bytes_{name}": 0.0 for name in ("model", "dataset", "recipe", "review")},
}
"""Largest figure; None: told beside, without a target of its own."""


def tell(
    figures: dict[str, dict[str, float]], ratio: dict[str, dict[str, float]], walks: dict[str, dict[str, float]]
) -> None:
    """Print all figures, each beside its target."""
    print(f"{'':20s} {'bare':>8s}" + "".join(f"{name:>18s}" for name in ratio) + "   target of the demo")
    for key, most in STARTS.items():
        cells = "".join(f"{figures[name][key]:9.3f} ({ratio[name][key]:.2f} ×)" for name in ratio)
        told = "" if most is None else f"{verdict(ratio['demo'][key], most)} (×)"
        print(f"{key:20s} {figures['bare'][key]:8.3f}{cells}   {told}")
    cells = "".join(f"{figures[name]['rss_mib']:18.1f}" for name in ratio)
    print(f"{'rss_mib':20s} {figures['bare']['rss_mib']:8.1f}{cells}   {verdict(figures['demo']['rss_mib'], 90)}")
    for key, most in WALKED.items():
        cells = "".join(f"{walks[name][key]:18.4f}" if name in walks else f"{'':18s}" for name in ratio)
        print(f"{key:20s} {'':8s}{cells}   {'' if most is None else verdict(walks['demo'][key], most)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", default="120x36")
    parser.add_argument("--beside", metavar="SRC", default="")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    columns, rows = (int(number) for number in options.size.split("x"))
    compileall.compile_dir(Path(loratui.__file__).parent, quiet=1)
    programs = {"bare": BARE, "wizard": WIZARD, "demo": DEMO}
    if options.beside:
        compileall.compile_dir(Path(options.beside), quiet=1)
        other = FROM.format(str(Path(options.beside).resolve()))
        programs |= {"wizard beside": other + WIZARD, "demo beside": other + DEMO}
    starts: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.runs):
            for name, code in programs.items():
                starts[name].append(start_figures(code, columns, rows, str(Path(folder) / f"{name}-{number}")))
        walks = {
            name: walk_figures(code, columns, rows, str(Path(folder) / f"walk-{name}"))
            for name, code in programs.items()
            if name.startswith("demo")
        }
    figures = {name: median(made) for name, made in starts.items()}
    ratio = {name: ratios(made, starts["bare"]) for name, made in starts.items() if name != "bare"}
    load = os.getloadavg()[0]
    result = {"size": options.size, "runs": options.runs, "load": load, **figures, "walk": walks, "ratio": ratio}
    if options.save:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{options.size}, median of {options.runs} starts by turns, load of the machine {load:.1f}")
    tell(figures, ratio, walks)


if __name__ == "__main__":
    main()
