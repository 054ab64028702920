"""Several wizards with one draft: the newer choices win, the others are kept and can be taken up; nothing is lost by a
kill.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pictured import until
from wizard import wizard

from loratui.tui.wizard.draft import Draft
from loratui.tui.wizard.state import WizardState
from work_done import calls_of


def opened(folder: Path, **options: Any) -> WizardState:
    state = WizardState(folder / "draft.json", **options)
    state.restore()
    state.file.changed.subscribe(state.file.save)
    return state


def kept(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "draft.json").read_text()))


def others(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("draft.other-*.json"))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    first = opened(tmp_path)
    first.choices.choose_model("acme/first")
    return tmp_path


def test_a_stale_wizard_that_ends_overwrites_nothing(folder: Path) -> None:
    stale, newer = opened(folder), opened(folder)
    stale.choices.set_step("model")
    newer.choices.choose_model("acme/newer")
    stale.file.save()  # as when its connection is lost
    stale.choices.set_step("recipe")
    stale.file.save()
    assert kept(folder)["model"] == "acme/newer" and others(folder) == []


def test_the_newer_choice_wins_and_the_other_is_kept_and_said(folder: Path) -> None:
    stale, between = opened(folder), opened(folder)
    between.choices.choose_model("acme/between")
    stale.choices.choose_dataset("/data/rows.jsonl")
    assert (kept(folder)["model"], kept(folder)["dataset"]) == ("acme/first", "/data/rows.jsonl")
    (other,) = others(folder)
    assert other["model"] == "acme/between"
    said = stale.file.take_notice()
    assert "Another wizard has changed the draft" in said and "draft.other-" in said and "ctrl+o" in said
    assert stale.file.take_notice() == "", "said once"


def test_two_that_take_turns_leave_one_file_each(folder: Path) -> None:
    one, two = opened(folder), opened(folder)
    for turn in range(10):
        one.choices.set_value("lora.r", 8 + turn)
        two.choices.set_value("lora.r", 80 + turn)
    assert kept(folder)["by_hand"] == {"lora.r": 89} and len(others(folder)) == 2


def test_a_successor_that_only_moved_about_is_no_other(folder: Path) -> None:
    one, two = opened(folder), opened(folder)
    two.choices.set_step("review")
    two.choices.set_theme("ansi-dark")
    one.choices.set_value("lora.r", 8)
    assert kept(folder)["by_hand"] == {"lora.r": 8} and others(folder) == []


def test_the_first_draft_of_two_is_not_lost_either(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.choices.choose_model("acme/one")
    two.choices.set_step("model")
    assert kept(tmp_path)["model"] == "acme/one"
    two.choices.choose_model("acme/two")
    assert kept(tmp_path)["model"] == "acme/two" and others(tmp_path)[0]["model"] == "acme/one"


def test_the_demo_keeps_the_draft_that_was_there(folder: Path) -> None:
    demo = opened(folder, demo=True)
    demo.choices.set_step("machine")
    assert kept(folder)["model"] == "demo" and others(folder)[0]["model"] == "acme/first"
    assert "There was a draft" in demo.file.take_notice()


def test_each_file_names_its_predecessor_and_its_session(folder: Path) -> None:
    before = (folder / "draft.json").read_bytes()
    state = opened(folder)
    state.choices.set_value("lora.r", 8)

    assert kept(folder)["after"] == hashlib.sha256(before).hexdigest()[:16] and len(kept(folder)["session"]) == 8


def test_a_draft_kept_aside_is_offered_and_taken_up(folder: Path) -> None:
    stale, between = opened(folder), opened(folder)
    between.choices.choose_model("acme/between")
    stale.choices.set_value("lora.r", 8)
    later = WizardState(folder / "draft.json")
    assert later.restore() == ""
    assert later.file.others_words().startswith("Another draft was kept aside (acme/between)")
    (offered,) = later.file.others()
    assert later.file.take_up(offered) and later.draft.model == "acme/between"
    assert kept(folder)["model"] == "acme/between"
    (back,) = later.file.others()
    assert back.draft.by_hand == {"lora.r": 8} and back.words == "acme/first · 1 value set by hand"
    assert later.file.take_up(back) and later.draft.by_hand == {"lora.r": 8}
    assert [one.draft.model for one in later.file.others()] == ["acme/between"], "nothing is ever lost"


def test_a_pipe_in_its_place_does_not_hold_the_wizard_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "draft.json")
    state = WizardState(tmp_path / "draft.json")
    assert "it is a named pipe, not a file" in state.restore()
    state.choices.choose_model("acme/x")
    assert state.file.save() and kept(tmp_path)["model"] == "acme/x"


async def test_the_palette_offers_it(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    path = app.state.file.path
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name("draft.other-abc.json").write_text(json.dumps({"model": "acme/other"}))
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press("ctrl+o")
        await pilot.press(*"the other draft")
        await until(pilot, "acme/other")
        await pilot.press("enter")
        await until(pilot, lambda: app.state.draft.model == "acme/other")
        assert json.loads(path.read_text())["model"] == "acme/other"


async def test_every_change_is_on_the_disk_when_the_next_line_runs(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test() as pilot:
        await pilot.pause()
        for number in (7, 9, 11):
            app.state.choices.set_value("lora.r", number)
            assert app.state.file.path is not None
            assert json.loads(app.state.file.path.read_text())["by_hand"] == {"lora.r": number}


KILLED = """
import os, sys, signal, time
from pathlib import Path
from loratui.tui.app import LoratuiApp
from loratui.tui.wizard.state import WizardState
state = WizardState(Path(sys.argv[1]))
app = LoratuiApp(state=state)
async def act(pilot):
    await pilot.pause()
    state.choices.set_value("lora.r", 77)
    os.kill(os.getpid(), signal.SIGKILL)
app.run(headless=True, auto_pilot=act)
"""


def test_a_change_the_moment_before_a_kill_is_kept(tmp_path: Path) -> None:
    """Half a second's changes were lost (0 of 4 kept)."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "draft.json")], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert kept(tmp_path)["by_hand"] == {"lora.r": 77}


def test_saving_costs_little(tmp_path: Path) -> None:
    """It is done at every key: a screen is painted in 16 ms."""
    state = opened(tmp_path)
    state.choices.restore(Draft(by_hand={"lora.r": 1}))
    assert state.file.save()
    state.choices.restore(Draft(by_hand={"lora.r": 2}))
    state.file._unsaved = True
    calls = calls_of(state.file.save)
    assert kept(tmp_path)["by_hand"] == {"lora.r": 2}
    assert calls < 3_000, "some 600"
