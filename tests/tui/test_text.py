"""Foreign text is made harmless, numbers are made readable."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from loratui.format import (
    CONTROLS,
    count,
    duration,
    harmless,
    in_gib,
    number_text,
    one_line,
    signed_size,
    size,
    value_text,
)
from loratui.paths import home_short
from loratui.tui.common.text import NoControls, hanging, wrap

HOSTILE = "A\x1b]0;PWNED\x07B\x1b[5mC\x9b31mD\x85E\x00F\u202eG\x1b[2J[bold]H[/]I\tJ\r\nK"


def test_controls_become_visible() -> None:
    assert harmless(HOSTILE) == "A␛]0;PWNED␇B␛[5mC�31mD�E␀F�G␛[2J[bold]H[/]I    J\nK"


@given(st.text(alphabet=st.characters(), max_size=300))
def test_no_control_survives(text: str) -> None:
    assert not CONTROLS.search(harmless(text).replace("\n", ""))
    assert not CONTROLS.search(one_line(text))


def test_long_lines_are_cut() -> None:
    assert harmless("x" * 5000, 10) == "x" * 9 + "…"
    assert one_line("a\nb" * 500, 20).endswith("…")
    assert len(one_line("a\nb" * 500, 20)) == 20


def test_the_filter_drops_what_is_left() -> None:
    painted = NoControls().apply([Segment("ok"), Segment("a\x1b[2Jb\u202e")], Color(0, 0, 0))
    assert [segment.text for segment in painted] == ["ok", "a[2Jb"]


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 B"),
        (640 * 1024, "640 KiB"),
        (3.88 * 2**20, "3.88 MiB"),
        (22.5 * 2**30, "22.5 GiB"),
        (141 * 2**30, "141 GiB"),
    ],
)
def test_sizes(size_bytes: float, words: str) -> None:
    assert size(size_bytes) == words


def test_numbers() -> None:
    assert [in_gib(2**30 * value) for value in (0.05, 3.214, 14.71, 141.2)] == ["0.05", "3.21", "14.7", "141"]
    assert signed_size(-310 * 2**20) == "−310 MiB"
    assert signed_size(1.3 * 2**30) == "+1.30 GiB"
    assert [count(value) for value in (950, 163840, 1.02e6, 7.62e9)] == ["950", "164 K", "1.02 M", "7.62 B"]
    assert [number_text(value) for value in (2e-4, 0.05, 3.0, 1e-8, 0.003)] == ["2e-4", "0.05", "3", "1e-8", "0.003"]
    assert [duration(value) for value in (45, 720, 11100, 187200)] == ["45 s", "12 min", "3 h 05 min", "2 d 4 h"]
    assert [value_text(value) for value in (True, [], ["q_proj", "v_proj"], "", {"prompt": "q"}, 2e-4)] == [
        "yes",
        "–",
        "q_proj, v_proj",
        "–",
        "prompt: q",
        "2e-4",
    ]


@given(st.text(alphabet="ab 日x", max_size=80), st.integers(4, 30))
def test_wrapping_keeps_words_and_width(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert home_short("/home/ann/data/x.jsonl") == "~/data/x.jsonl"
    assert home_short("/home/anna") == "/home/anna"


@pytest.mark.parametrize("width", [30, 34, 65])
def test_what_goes_on_below_a_line_keeps_its_column(width: int) -> None:
    line = "  token accuracy: better by 66.7 points, 95 % between 66.7 and 66.7"
    first, *rest = hanging(line, width)
    assert first.startswith("  token") and rest and all(re.match(r" {4}\S", one) for one in rest), rest
    assert max(map(len, (first, *rest))) <= width and " ".join([first, *rest]).split() == line.split()
    assert hanging(line, 80) == [line]


def test_a_path_is_cut_at_its_signs_and_loses_nothing() -> None:
    path = "/tmp/walk8/a/home/runs/little-model-lora-20261127-0937/little-model-lora-20261127-0937-Q4_K_M.gguf"
    for width in range(1, 100):
        pieces = wrap(path, width)
        assert "".join(pieces) == path and max(map(len, pieces)) <= width
    for width in range(20, 100):  # at 57 columns `little-mod` stood at the end of a line
        assert all(piece[-1] in "/-_." for piece in wrap(path, width)[:-1]), wrap(path, width)
    assert wrap("x" * 10, 4) == ["xxxx", "xxxx", "xx"] and wrap("-" + "x" * 6, 4) == ["-xxx", "xxx"]
