"""A run's files damaged in every kind: no traceback, no defect, no wait, no escape, and nothing written through a link.

`benchmarks/damage.py` calls every command on every kind; here each kind gets the list and one command more.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from damage import HANG_SECONDS, KINDS, LIGHT, call, filled, stopped_run, wizard_faults

PATIENCE = 6 * HANG_SECONDS
"""Other tests run beside these: a pipe that is waited for never ends."""
CALLS = [name for name in LIGHT if name != "runs"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("base") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATUI_HOME", str(home))
        stopped_run(home)
    return home


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_run_is_listed_and_no_command_falls_over_it(base: Path, tmp_path: Path, kind: str) -> None:
    home = shutil.copytree(base, tmp_path / "home")
    (home / "elsewhere").mkdir()
    precious = home / "precious.txt"
    precious.write_text("precious\n")
    run = home / "runs" / "run"
    run = KINDS[kind](run) or run
    listed = call(home, LIGHT["runs"], seconds=PATIENCE)
    assert not listed.fault and listed.status == 0, listed
    assert ("run  " in listed.out or "run-A␛" in listed.out) and len(listed.out.splitlines()) == 2
    other = CALLS[list(KINDS).index(kind) % len(CALLS)]
    outcome = call(home, filled(LIGHT[other], run, home / "out"), seconds=PATIENCE)
    assert not outcome.fault, (other, outcome)
    assert precious.read_text() == "precious\n"


def test_the_wizard_lists_them_all(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "runs").mkdir(parents=True)
    shutil.copytree(base / "state", home / "state")
    monkeypatch.setenv("LORATUI_HOME", str(home))
    for kind in [one for number, one in enumerate(KINDS) if number % 8 == 0 or "pipe" in one]:
        KINDS[kind](shutil.copytree(base / "runs" / "run", home / "runs" / kind))
    assert asyncio.run(wizard_faults()) == []


REFUSED = {
    "plan-cut": "cut off",
    "plan-bad-byte": "not UTF-8",
    "plan-pipe": "named pipe",
    "events-link": "is a link to",
    "log-link": "is a link to",
    "resume-lock-link": "is a link to",
    "checkpoints-link": "is a link to",
    "events-pipe": "not a file",
    "fingerprint-wrong-types": "'plan' is no object",
    "fingerprint-cut": "not JSON",
    "first-weights-outside": "no checkpoint of this run",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_resume_says_what_it_cannot_go_on_with_and_touches_nothing(base: Path, tmp_path: Path, kind: str) -> None:
    home = shutil.copytree(base, tmp_path / "home")
    kept = home / "elsewhere" / "checkpoint-7" / "precious.txt"
    kept.parent.mkdir(parents=True)
    for file in (kept, home / "precious.txt"):
        file.write_text("precious\n")
    run = home / "runs" / "run"
    if kind == "first-weights-outside":
        shutil.rmtree(run / "checkpoints")
    KINDS[kind](run)
    outcome = call(home, ["resume", str(run), "--yes", "--detach"], seconds=PATIENCE)
    assert not outcome.fault and outcome.status in (1, 2)
    assert REFUSED[kind] in outcome.err, outcome.err
    assert kept.read_text() == (home / "precious.txt").read_text() == "precious\n"


def test_a_run_that_cannot_be_read_hides_no_other(base: Path, tmp_path: Path) -> None:
    home = shutil.copytree(base, tmp_path / "home")
    shutil.copytree(home / "runs" / "run", home / "runs" / "broken")
    KINDS["plan-bad-byte"](home / "runs" / "broken")
    import json

    listed = {one["name"]: one for one in json.loads(call(home, ["runs", "--json"], seconds=PATIENCE).out)["runs"]}
    assert set(listed) == {"run", "broken"} and listed["run"]["model"] == "demo"
    assert listed["broken"]["model"] is None and "byte 0xff in line 2" in listed["broken"]["message"]
