"""Fixtures of a real Slurm; its tests are skipped where none can be started, and say why."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_here import running_slurm, said, why_not

from waiting import wait_for

sys.path.append(str(Path(__file__).parents[1] / "worker"))  # the tiny model is everybody's


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running Slurm, with a tiny model and rows."""
    if reason := why_not():
        pytest.skip(reason)
    from tiny_model import write_rows, write_tiny_model

    folder = tmp_path_factory.mktemp("slurm")
    write_tiny_model(folder / "model")
    write_rows(folder / "rows.jsonl", 60)
    with running_slurm(folder):
        yield folder


@pytest.fixture
def own_home(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of this test's own; its processes speak to the Slurm of the tests."""
    monkeypatch.setenv("SLURM_CONF", str(slurm / "slurm.conf"))
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    said("scancel", "--user=root")
    wait_for(lambda: not said("squeue", "-h"), "an empty queue")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One of the parallel processes has the cluster."""
    for item in items:
        if "slurm" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("slurm"))
            item.add_marker(pytest.mark.slurm)
