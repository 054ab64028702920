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
