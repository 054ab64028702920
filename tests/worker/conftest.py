"""No worker of a test writes into a person's own memories and runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home for the whole session; tests that need one of their own set another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATUI_HOME", str(tmp_path_factory.mktemp("home")))
        yield
