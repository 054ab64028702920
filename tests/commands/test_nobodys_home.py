"""`~zz/…` where there is no person zz: a sentence about the path, and a run's name before a folder of that name."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from loratui.commands.push import _folder as sent_folder
from loratui.commands.tree import loratui
from loratui.commands.whole_model import whole_model
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
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


def test_what_is_sent_and_converted_is_the_run_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    run = create_run(with_values(Plan(), {"method.kind": "full"}), name="mine")
    for folder in (run.model_path, tmp_path / "mine"):
        folder.mkdir()
        for name in ("config.json", "model.safetensors"):
            (folder / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert whole_model("mine") == (run.model_path, "mine")
    assert whole_model("./mine") == (tmp_path / "mine", "mine")
    assert sent_folder("mine")[0] == run.model_path and sent_folder("./mine")[0] == tmp_path / "mine"
