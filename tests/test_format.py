"""One way to write a figure or a stranger's line, on screens, in commands, in runs' lines and in the worker."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import loratui
from loratui.format import duration, first_line, printable, signed, size

PACKAGE = Path(loratui.__file__).parent
OWNED = {
    "duration",
    "gib",
    "printable",
    "first_line",
    "harmless",
    "one_line",
    "size",
    "signed_size",
    "number_text",
    "value_text",
}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (75, "1 min 15 s"),
        (185, "3 min 05 s"),
        (720, "12 min"),
        (4000, "1 h 06 min"),
        (7199.6, "2 h 00 min"),
        (50 * 3600, "2 d 2 h"),
        (-3, "0 s"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, "0 s"), (59, "59 s"), (61, "1 min"), (30 * 3600, "30 h"), (50 * 3600, "2 d")]
)
def test_a_runs_age_is_the_same_on_the_screen_and_in_the_list(seconds: float, said: str) -> None:
    from loratui.commands import runs
    from loratui.tui.home.lines import age_words

    assert runs.age(seconds) == said
    assert age_words(seconds) == (f"{said} ago" if seconds >= 60 else "just now")


def test_the_same_time_is_said_alike_on_a_screen_and_on_a_line() -> None:
    from loratui.runs.events import Finished
    from loratui.runs.follow import event_line
    from loratui.tui.training import run_state

    event = Finished(type="finished", time=0.0, step=10, seconds=4000.0, result="adapter")
    assert "1 h 06 min" in event_line(event)
    assert run_state.duration is duration


def test_a_difference_of_nothing_has_no_sign() -> None:
    given = (0.01234, -0.5, -0.00003, 0.00003, -0.0, -0.00005001)
    assert [signed(one) for one in given] == ["+0.0123", "-0.5000", "0.0000", "0.0000", "0.0000", "-0.0001"]


def test_sizes() -> None:
    assert [size(number) for number in (512, 3 * 2**20, 14.7 * 2**30, 141 * 2**30, 2000 * 2**30)] == [
        "512 B",
        "3.00 MiB",
        "14.7 GiB",
        "141 GiB",
        "2,000 GiB",
    ]


def test_no_line_carries_a_control_or_what_cannot_be_written() -> None:
    foreign = "a\x1b[31m\nb\u202e\u2028\udc80"
    assert printable(foreign) == "a␛[31m ⏎ b\ufffd\ufffd\ufffd"
    printable(foreign).encode()
    assert first_line(ValueError(f"\n\n{foreign}")) == "a␛[31m" and first_line(ValueError()) == "ValueError"


# Read while tests are collected: CPython 3.11's parser is not safe beside threads that other tests leave behind.
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def test_nobody_else_writes_them() -> None:
    others = [path for path in TREES if path.name not in ("format.py", "read_json.py")]
    assert len(others) > 200
    assert not [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in others
        if path.parts[-3:-1] != ("core", "recommend")
        for node in TREES[path].body
        if isinstance(node, ast.FunctionDef) and node.name.lstrip("_") in OWNED
    ]
