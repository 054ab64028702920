"""Ctrl+c while the program is still being imported: it is out, with 130 and without a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

START = """
import os, signal, sys

MODULE = sys.argv.pop(1)

class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            del sys.meta_path[0]
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
from loratui.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("loratui.cli", ["runs"]),
        ("click", ["runs"]),
        ("loratui.tui.start", ["--help"]),
        ("loratui.commands.runs", ["runs"]),
        ("loratui.runs.listing", ["runs"]),
        ("pydantic", ["runs"]),
        ("loratui.core.recommend", ["plan", "-m", "demo", "-d", "demo"]),
    ],
)
def test_an_interrupt_during_any_import_is_130_and_silent(module: str, arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, module, *arguments],
        capture_output=True,
        text=True,
        env={"LORATUI_HOME": str(tmp_path), "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "", "")


def test_who_starts_it_deaf_keeps_it_so(tmp_path: Path) -> None:
    """A shell's background job hears no ctrl+c."""
    done = subprocess.run(
        [sys.executable, "-c", START, "click", "--version"],
        capture_output=True,
        text=True,
        env={"LORATUI_HOME": str(tmp_path), "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 0 and "loratui" in done.stdout


def test_the_command_goes_through_this_door() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"loratui": "loratui.__main__:main"}
