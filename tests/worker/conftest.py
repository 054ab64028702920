"""No worker of a test writes into a person's own memories and runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "runs"))  # the kinds of damage are everybody's


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home for the whole session; tests that need one of their own set another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATUI_HOME", str(tmp_path_factory.mktemp("home")))
        yield
