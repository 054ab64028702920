"""Run the tests that failed beside others once more, alone and in turn, and name them.

Tests of terminals, workers and Slurm share two cores with one another, and what a busy machine does to one of them is
no fault of the program. One that passes alone is named all the same: a name that comes back is a defect. More than a
handful of failures are not chance and are not tried again.

Exit status 0: each passed alone. 1: one failed again, or too many failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

AT_MOST = 5
"""Failures that a busy machine may explain. Of 5,900 tests, one or two failed in a run and passed in all others."""

FAILED = Path(".pytest_cache/v/cache/lastfailed")
"""pytest's own record of what failed last, by test."""


def without_group(test: str) -> str:
    """A test as pytest takes it: pytest-xdist writes `@` and the group of those that share a worker behind its name."""
    name, bracket, end = test.rpartition("]")
    return name + bracket + end.partition("@")[0]


def main() -> int:
    failed = sorted({without_group(test) for test in json.loads(FAILED.read_text())}) if FAILED.exists() else []
    if not failed or len(failed) > AT_MOST:
        print(f"{len(failed)} tests failed: they are not tried again.")
        return 1
    print("Once more, alone and in turn:", *failed, sep="\n  ", flush=True)
    status = subprocess.run([sys.executable, "-m", "pytest", *failed], check=False).returncode
    if status == 0:
        print("Failed beside other tests and passed alone:", *failed, sep="\n  ")
    return min(status, 1)


if __name__ == "__main__":
    sys.exit(main())
