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
