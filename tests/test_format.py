"""One way to write a figure or a stranger's line, on screens, in commands, in runs' lines and in the worker."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import loratui
from loratui.format import count, duration, first_line, loss_text, number_text, plain_letters, printable, signed, size

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


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (950, "950"),
        (9_999.4, "9,999"),
        (9_999.6, "10.0 K"),
        (12_345, "12.3 K"),
        (99_949, "99.9 K"),
        (99_950, "100 K"),
        (999_499, "999 K"),
        (999_500, "1.00 M"),
        (9_994_999, "9.99 M"),
        (9_995_001, "10.0 M"),
        (999_885_952, "1.00 B"),
        (999_499_999, "999 M"),
        (1_235_814_400, "1.24 B"),
        (999_600_000_000, "1.00 T"),
        (1e15, "1,000 T"),
        (-999_885_952, "-1.00 B"),
        (-12_345, "-12.3 K"),
    ],
)
def test_counts_change_their_unit_where_they_are_written_so(number: float, said: str) -> None:
    assert count(number) == said


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [
        (1023, "1,023 B"),
        (1024, "1.00 KiB"),
        (9.994 * 1024, "9.99 KiB"),
        (9.996 * 1024, "10.0 KiB"),
        (1023.4 * 1024, "1,023 KiB"),
        (1023.6 * 1024, "1.00 MiB"),
        (2**20 - 1, "1.00 MiB"),
        (1023.6 * 2**20, "1.00 GiB"),
        (2**30 - 1, "1.00 GiB"),
        (1024 * 2**30, "1,024 GiB"),
        (-(2**30 - 1), "-1.00 GiB"),
    ],
)
def test_sizes_change_their_unit_where_they_are_written_so(size_bytes: float, said: str) -> None:
    assert size(size_bytes) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (599.4, "9 min 59 s"),
        (599.6, "10 min"),
        (3599.4, "59 min"),
        (3599.6, "1 h 00 min"),
        (48 * 3600 - 0.6, "47 h 59 min"),
        (48 * 3600 - 0.4, "2 d 0 h"),
    ],
)
def test_durations_change_their_unit_where_they_are_written_so(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_no_figure_grows_beyond_its_form_at_an_edge() -> None:
    assert [loss_text(one) for one in (999.9999, 999.99999, 1000.0)] == ["999.9999", "1e+03", "1e+03"]
    assert [number_text(one) for one in (999_999.4, 999_999.7, 1e6)] == ["999999", "1e6", "1e6"]


def test_letters_lose_their_marks_and_no_letter_is_lost() -> None:
    assert [plain_letters(one) for one in ("mödel", "Łódź-æß", "Qwen3", "模型")] == [
        "model",
        "Lodz-aess",
        "Qwen3",
        "模型",
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
