"""Each fault and each strike once, at a moment of chance; `benchmarks/faults.py` makes them happen many times."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import FAULTS, CannotHappenHere, World

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]
PYTHON = sys.executable


@pytest.fixture(scope="module")
def world(ready_workers: None) -> Iterator[World]:
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # open to others, unlike pytest's own: one of the viewers is another login
        yield World(Path(folder))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost_and_the_state_is_true(fault: Callable[[World, random.Random], float], world: World) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    try:
        fault(world, random.Random(seed))
    except CannotHappenHere as reason:
        pytest.skip(str(reason))


def test_a_struck_run_equals_one_that_nothing_happened_to() -> None:
    """Every kind of strike, in a process of its own: its workers are forks."""
    benchmark = Path(__file__).parents[2] / "benchmarks" / "faults.py"
    seed = random.randrange(10**4)
    done = subprocess.run(
        [PYTHON, str(benchmark), "--kills", "8", "--seed", str(seed)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0 and "8 strikes" in done.stdout and "8 held" in done.stdout, (seed, done.stdout[-3000:])
