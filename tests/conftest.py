"""Fixtures that tests of several floors share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from hub_standin import hub, read_environment

__all__ = ["hub"]


@pytest.fixture(autouse=True)
def hub_of_the_environment() -> Iterator[None]:
    """What a test told huggingface_hub of the environment ends with the test."""
    yield
    if "huggingface_hub.constants" in sys.modules:
        read_environment()


TRAINED_ONCE = ("divided", "learnt", "trained", "uninterrupted", "wheel")
"""Fixtures of a module that train a model or build the wheel."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share such a fixture run in one of the parallel processes, so that it is made once."""
    for item in items:
        shared = [name for name in TRAINED_ONCE if name in getattr(item, "fixturenames", ())]
        if shared:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{shared[0]}"))
