"""Code that a model brings is asked about in the wizard before it runs; a run from elsewhere is told of as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pictured import until
from recorded_run import record_run
from wizard import choose, screen_text, settled, wizard

from loratui.models.trust import remote_code, unanswered
from loratui.tui.app import LoratuiApp
from loratui.tui.common.dialogs import ConfirmScreen


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


async def test_start_asks_about_a_models_code_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.tui.wizard import loading

    started: list[object] = []
    monkeypatch.setattr(loading, "start_run", lambda plan: started.append(plan) or str(tmp_path / "run"))
    app = wizard(tmp_path, screen="review")
    monkeypatch.setattr(app, "open_step", lambda step: None)
    model = Path(app.state.draft.model)
    (model / "modeling_own.py").write_text("import os\n")
    choose(app, by_hand={**app.state.draft.by_hand, "model.trust_remote_code": True})
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "modeling_own.py" in screen_text(app) and "sha256" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert not started and "nobody agreed to run the code" in screen_text(app)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("enter")
        await until(pilot, lambda: bool(started))
        await settled(pilot)
        assert app.state.plan.proposal is not None and unanswered(app.state.plan.proposal.plan) is None
        await pilot.press("f9")  # no second question
        await until(pilot, lambda: len(started) == 2)
    assert remote_code(str(model)) is not None


async def test_a_run_from_elsewhere_is_marked_and_told_of_before_it_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.runs.origin import is_foreign

    record_run(home, "mine", state="stopped")
    from loratui.runs.directory import Run

    assert not is_foreign(Run(home / "runs" / "mine"))
    run = record_run(home, "strange", state="stopped", checkpoint=True, values={"dataset.eval_path": "/etc/passwd"})
    resumed: list[Run] = []
    monkeypatch.setattr("loratui.runs.resume.resume_run", resumed.append)
    assert json.loads(run.status_path.read_text())["state"] == "stopped"
    app = LoratuiApp(screen="runs", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "strange")
        while app.screen.chosen is None or app.screen.chosen.name != "strange":  # type: ignore[attr-defined]
            await pilot.press("down")
            await pilot.pause(0.1)
        await until(pilot, "not made here")
        await until(pilot, lambda: app.screen.followed.whole)  # type: ignore[attr-defined]
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "not made here" in screen_text(app) and "/etc/passwd" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert not resumed
