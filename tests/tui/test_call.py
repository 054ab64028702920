"""The training screen calls for its person when the run on it ends: once, and not for one that had ended before."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from recorded_run import record_run

from loratui.runs.status import read_status, write_status
from loratui.tui.app import LoratuiApp


@pytest.mark.parametrize("state", ["running", "failed"])
async def test_it_calls_once_when_the_run_ends_and_not_for_one_that_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path))
    (tmp_path / "settings.toml").write_text('[notify]\nterminal = "osc9"\n')
    run = record_run(tmp_path, state=state, message="It broke." * (state == "failed"))
    app = LoratuiApp(screen="training", run=str(run.path))
    written: list[str] = []
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "L Log")
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", written.append)
        if state == "running":
            now = read_status(run.status_path)
            assert now is not None
            write_status(run.status_path, now.model_copy(update={"state": "failed", "message": "It\x1b[2J broke."}))
            await until(pilot, lambda: any("]9;" in one for one in written))
        await until(pilot, "✗ failed")
        for _ in range(3):
            app.screen._tick()  # type: ignore[attr-defined]
            await pilot.pause(0.3)
    called = [one for one in written if "]9;" in one]
    assert called == ([f"\x1b]9; {run.name} failed: It␛[2J broke.\x1b\\"] if state == "running" else [])
