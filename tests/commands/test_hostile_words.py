"""What a person or a stranger writes into arguments, plans and states reaches no terminal with a control character."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs"))

from damage import HOSTILE, call

from loratui.format import CONTROLS

PATIENCE = 30.0


@pytest.mark.parametrize(
    "arguments",
    [
        [HOSTILE],
        ["runs", HOSTILE],
        ["runs", f"--{HOSTILE}"],
        ["attach", HOSTILE],
        ["card", f"{HOSTILE}/x"],
        ["stop", "x", "--wait", HOSTILE],
        ["export", "x", "--to", HOSTILE, "-o", "y"],
        ["train", f"{HOSTILE}.toml"],
        ["resume", "x", "--set", f"{HOSTILE}=1"],
        ["plan", "-m", HOSTILE],
        ["plan", "-m", "demo", "--gpu", HOSTILE],
        ["plan", "-m", "demo", "--set", f"lora.r={HOSTILE}"],
        ["plan", "-m", "demo", "--preset", HOSTILE],
        ["chat", HOSTILE, "-q", "x"],
        ["chat", "demo", "-s", HOSTILE, "-q", "x"],
        ["push", HOSTILE],
        ["serve", HOSTILE, "--print"],
        ["gguf", HOSTILE, "-o", "x"],
        ["inspect", "-m", "demo", "-d", HOSTILE],
    ],
    ids=lambda arguments: arguments[0][:8] if arguments[0] != HOSTILE else "command",
)
def test_arguments_are_quoted_without_their_controls(tmp_path: Path, arguments: list[str]) -> None:
    outcome = call(tmp_path, arguments, seconds=PATIENCE)
    assert outcome.status in (0, 1, 2) and not outcome.fault, outcome


def test_a_traceback_that_was_asked_for_is_filtered_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError(HOSTILE)

    monkeypatch.setenv("LORATUI_TRACEBACK", "1")
    monkeypatch.setattr("loratui.runs.listing.runs_home", broken)
    outcome = call(tmp_path, ["runs"], seconds=PATIENCE)
    said = outcome.out + outcome.err
    assert outcome.status == 1 and "RuntimeError: A␛]0;PWNED" in said
    assert [one for one in CONTROLS.findall(said) if one != "\n"] == []


def test_pipes_in_place_of_our_own_files_are_never_waited_for(tmp_path: Path) -> None:
    state, presets = tmp_path / "state", tmp_path / "config" / "presets"
    for folder in (state, presets):
        folder.mkdir(parents=True)
    for pipe in (state / "measured.jsonl", state / "installation.json", state / "draft.json", presets / "mine.toml"):
        os.mkfifo(pipe)
    os.environ["LORATUI_CONFIG"] = str(tmp_path / "config")
    try:
        for arguments in (
            ["runs"],
            ["plan", "-m", "demo"],
            ["plan", "-m", "demo", "--preset", str(presets / "mine.toml")],
        ):
            outcome = call(tmp_path, arguments, seconds=PATIENCE)
            assert not outcome.fault, (arguments, outcome)
        assert "named pipe" in outcome.err
    finally:
        del os.environ["LORATUI_CONFIG"]


def test_a_pipe_in_place_of_the_draft_is_kept_aside_and_the_wizard_begins(tmp_path: Path) -> None:
    from loratui.tui.wizard.state import WizardState

    draft = tmp_path / "draft.json"
    os.mkfifo(draft)
    os.mkfifo(tmp_path / "dataset-facts.json")
    state = WizardState(draft)
    assert "named pipe" in state.restore()
    assert (tmp_path / "draft.torn-1.json").exists()
