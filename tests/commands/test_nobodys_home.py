"""`~zz/…` where there is no person zz: a sentence about the path, and a run's name before a folder of that name."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from loratui.cli import loratui
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.runs.listing import find_run
from loratui.runs.start import create_run
from loratui.workers.target import find_target

NOBODY = "~nobody-has-this-name"


@pytest.mark.parametrize(
    "words",
    [
        f"plan -m {NOBODY}/m",
        f"plan -m demo -d {NOBODY}/rows.jsonl",
        f"plan -m demo --set lora.adapter={NOBODY}/a",
        f"plan -m demo --preset {NOBODY}/p.toml",
        f"push {NOBODY}/run a/b",
        f"card {NOBODY}/run",
    ],
)
def test_a_home_that_nobody_has_is_a_path_that_is_not_there(words: str) -> None:
    done = CliRunner().invoke(loratui, words.split())
    assert isinstance(done.exception, LoratuiError), done.exception
    assert NOBODY in done.exception.sentence


def test_a_runs_name_comes_before_a_folder_of_that_name_whichever_command_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    run = create_run(Plan(), name="mine")
    create_run(Plan(), output=tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert find_run("mine").path == run.path
    found = find_target("mine").run
    assert found is not None and found.path == run.path
    other = find_target("./mine").run
    assert other is not None and other.path == tmp_path / "mine"
