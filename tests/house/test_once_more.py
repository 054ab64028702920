"""A test that failed beside others is found again by its name, whatever group of workers it ran in."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "once_more.py"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("tests/slurm/test_jobs.py::test_x@slurm", "tests/slurm/test_jobs.py::test_x"),
        ("tests/a.py::test_y[b@c]", "tests/a.py::test_y[b@c]"),
        ("tests/a.py::test_y[b@c]@slurm", "tests/a.py::test_y[b@c]"),
        ("tests/a.py::test_z", "tests/a.py::test_z"),
    ],
)
def test_the_group_of_a_test_is_no_part_of_its_name(told: str, name: str) -> None:
    spec = importlib.util.spec_from_file_location("once_more", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.without_group(told) == name
