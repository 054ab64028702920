"""The one way out: no control character of foreign text reaches a terminal."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings

import pytest

from loratui.format import CONTROLS
from loratui.terminal import Guarded, Styled, guard, progress, say, say_json, say_json_text

HOSTILE = "A\x1b]0;PWNED\x07B\x1b[5mC\x9b31mD\x85E\x00F\u202eG\x1b[2J"


def controls(text: str) -> list[str]:
    return [one for one in CONTROLS.findall(text) if one != "\n"]


def test_text_is_made_harmless_and_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE, "\n", Styled(HOSTILE, color="red"))
    say(HOSTILE, err=True)
    seen = capsys.readouterr()
    assert not controls(seen.out) and not controls(seen.err)
    assert seen.out.count("\n") == 2 and "␛]0;PWNED" in seen.out


def test_json_means_the_same_without_a_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"message": HOSTILE, "loss": float("nan"), "eta": [float("inf"), 1.5]})
    text = capsys.readouterr().out
    assert not controls(text)
    assert json.loads(text) == {"message": HOSTILE, "loss": None, "eta": [None, 1.5]}
    say_json_text(json.dumps([HOSTILE], ensure_ascii=False))
    text = capsys.readouterr().out
    assert not controls(text) and json.loads(text) == [HOSTILE]


def test_a_line_of_progress_has_our_own_escape_alone(capsys: pytest.CaptureFixture[str]) -> None:
    progress(f"1/2 {HOSTILE}")
    text = capsys.readouterr().err
    assert text.startswith("\r1/2 A␛]0") and not controls(text.removeprefix("\r"))  # no terminal: ours is left out


def test_what_libraries_print_warn_and_log_passes_the_filter_too(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    guard()
    guard()  # once is enough
    assert isinstance(sys.stdout, Guarded) and sys.stdout.behind is out
    print(HOSTILE)
    sys.stderr.write(warnings.formatwarning(HOSTILE, UserWarning, "file.py", 1))
    logging.StreamHandler(sys.stderr).emit(logging.makeLogRecord({"msg": HOSTILE}))
    sys.stderr.write("50 %\r100 %\n")
    say(Styled("ours", color="red"))
    assert not controls(out.getvalue())
    assert err.getvalue().endswith("50 %\r100 %\n") and not controls(err.getvalue().replace("\r", ""))
    assert err.getvalue().count("PWNED") == 2
