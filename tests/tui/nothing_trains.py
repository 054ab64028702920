"""For tests of experiments' screens: whatever they begin waits in the queue."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from loratui.queue import wake
from loratui.tui.app import LoratuiApp

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="the extra `try` is not installed")


@pytest.fixture(autouse=True)
def nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """No check of the dataset, and nobody who starts what waits."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    monkeypatch.setattr(wake, "wake", lambda: False)
