"""Advice followed to its end, a few cases of `benchmarks/advice.py`: whole workers, real failures, what the events
show after the fix.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from advice import World, write_rows
from advice_cases import failing, first_of_each, healthy
from advice_replay import PLAIN_HEAP, Replay, alarms

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]
BY_PERSON = ("diverging early, LoRA", "oom evaluation")
BY_ITSELF = ("not-finite base weights", "oom step")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYTHONPATH", "WORLD_FAULT", "WORLD_SEEN", *PLAIN_HEAP, "OMP_NUM_THREADS"):
            patch.setenv(name, "")
            patch.delenv(name)  # whatever a replay sets is taken back
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
        yield World(tmp_path_factory.mktemp("advice"))


def test_there_are_enough_of_them() -> None:
    assert len(failing()) >= 40 and len({(case.kind, case.what) for case in failing()}) >= 10 and len(healthy()) == 30
    assert len({case.name for case in failing()}) == len(failing())


@pytest.mark.parametrize("sort", BY_PERSON)
def test_the_first_fix_helps(world: World, tmp_path: Path, sort: str) -> None:
    case = next(case for case in first_of_each() if case.name.startswith(sort))
    outcome = Replay(world, case, tmp_path / "case").by_person()
    assert outcome.held, outcome


@pytest.mark.parametrize("sort", BY_ITSELF)
def test_a_run_mends_itself_or_does_not_try_in_vain(world: World, tmp_path: Path, sort: str) -> None:
    case = next(case for case in first_of_each() if case.name.startswith(sort))
    outcome = Replay(world, case, tmp_path / "case").by_itself()
    assert outcome.held, outcome


def test_noisy_small_data_raises_no_alarm(world: World, tmp_path: Path) -> None:
    name, changes, rows = next(one for one in healthy() if one[0] == "noisy-0")
    plan = world.plan(write_rows(tmp_path / "rows.jsonl", rows, 0), world.changes(changes))
    assert alarms(world, name, plan, tmp_path / "run") == []
