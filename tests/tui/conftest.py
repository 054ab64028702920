"""No test of the interface touches a person's own files or asks the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_standin import set_hub


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Homes of loratui, of the hub's cache and of settings below the test's own folder."""
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    set_hub(monkeypatch, HF_HOME=str(tmp_path / "hub"), HF_HUB_OFFLINE="1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def knows_the_words(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sits before these screens has read every explanation; a test of them takes `new_here`."""
    if "new_here" not in request.fixturenames:
        monkeypatch.setattr("loratui.tui.wizard.words.SeenWords.unseen", lambda self, terms: ())


@pytest.fixture
def new_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has seen nothing yet, and reads at once."""
    monkeypatch.setattr("loratui.tui.frame.step.READ_SECONDS", 0.0)
