"""The queue of this machine: each run once and in order, whatever is killed; commands; and a real training."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from standin import UNTIL_TOLD
from watcher import STANDIN, looks

from loratui.commands.tree import loratui
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.machine.boot import boot_id, since_boot
from loratui.paths import runs_home
from loratui.queue import wake
from loratui.queue.trainings import trainings
from loratui.runs.directory import Run
from loratui.runs.enqueue import queue_run
from loratui.runs.events import Finished, Started
from loratui.runs.history import other_events
from loratui.runs.listing import list_runs
from loratui.runs.waiting import changing, queue_path, read_queue
from waiting import PATIENCE_SECONDS, wait_for

WATCHER = Path(__file__).with_name("watcher.py")
DEMO = with_values(Plan(), {"model.id": "demo", "dataset.path": "demo", "hardware.cpu": True})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(wake, "wake", lambda: False)  # its workers would be real ones
    yield tmp_path
    for one in trainings():
        os.kill(one.pid, signal.SIGKILL)


class Watchers:
    """The queue's processes that a test started."""

    def __init__(self) -> None:
        self.all: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        self.all.append(subprocess.Popen([sys.executable, str(WATCHER)], start_new_session=True))
        return self.all[-1]


@pytest.fixture
def watchers() -> Iterator[Watchers]:
    found = Watchers()
    yield found
    for one in found.all:
        one.kill()
        one.wait()


def queued(number: int, seconds: float = 0.3) -> list[Run]:
    runs = []
    for _ in range(number):
        run = queue_run(DEMO)
        (run.path / "seconds").write_text(str(seconds))
        runs.append(run)
    return runs


def waited_for(what: Any) -> None:
    wait_for(what, lambda: [(one.name, one.state, one.words) for one in list_runs()])


def times(run: Run) -> list[tuple[float, float]]:
    """When workers took the run over, and when they said that it was finished."""
    events = list(other_events(run.events_path))
    begun = [one.time for one in events if isinstance(one, Started)]
    ended = [one.time for one in events if isinstance(one, Finished)]
    return list(zip(begun, ended, strict=True))


def finished(runs: list[Run]) -> bool:
    return all(run.status().state == "finished" for run in runs)


def test_two_watchers_that_are_killed_at_random_start_each_run_once_in_order_and_never_two(watchers: Watchers) -> None:
    runs = queued(5)
    dice, kills = random.Random(21), 0
    until = time.monotonic() + 120
    while not finished(runs) and time.monotonic() < until:
        living = [one for one in watchers.all if one.poll() is None]
        while len(living) < 2 and read_queue():
            living.append(watchers.start())
        time.sleep(dice.uniform(0.2, 2.5))
        if living and kills < 8:
            dice.choice(living).kill()
            kills += 1
    assert finished(runs), [(run.name, run.status().state) for run in runs]
    spans = [times(run) for run in runs]
    assert all(len(span) == 1 for span in spans), "each was started once"
    order = [span[0] for span in spans]
    assert order == sorted(order)
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(order)), "never two at once"
    assert not queue_path().exists()


def test_everything_is_killed_and_the_rest_goes_on(watchers: Watchers) -> None:
    first, second, third = queued(3, seconds=0.2)
    (first.path / "seconds").write_text(UNTIL_TOLD)
    watchers.start()
    waited_for(lambda: first.status().state == "running")
    watchers.all[0].kill()
    os.kill(first.status().pid, signal.SIGKILL)
    watchers.all[0].wait()
    waited_for(lambda: first.status().state == "lost")
    assert [Path(one.path).name for one in read_queue()] == [second.name, third.name]
    assert second.status().state == "queued" and "place 1" in second.status().message
    watchers.start()
    waited_for(lambda: finished([second, third]))
    assert first.status().state == "lost", "a run that was killed is a person's to go on with"


def test_after_a_restart_of_the_machine_what_was_being_started_is_started(watchers: Watchers) -> None:
    run, other = queued(2)
    with changing() as queue:  # a watcher wrote down that it begins, and the machine went down
        queue[0] = replace(queue[0], starting=12.5, boot="another-boot")
    watchers.start()
    waited_for(lambda: finished([run, other]))
    assert len(times(run)) == 1


def test_a_watcher_that_was_killed_once_its_worker_had_begun_starts_no_second_one(watchers: Watchers) -> None:
    run, other = queued(2, seconds=0.2)
    (run.path / "seconds").write_text(UNTIL_TOLD)
    with changing() as queue:
        queue[0] = replace(queue[0], starting=since_boot(), boot=boot_id())
    worker = [sys.executable, str(STANDIN), "-m", "loratui.worker", "train", str(run.path)]
    process = subprocess.Popen(worker, start_new_session=True)
    watchers.start()
    waited_for(lambda: looks() > 2)
    (run.path / "may-end").touch()
    waited_for(lambda: finished([run, other]))
    assert process.wait(PATIENCE_SECONDS) == 0 and len(times(run)) == 1
    assert times(run)[0][1] <= times(other)[0][0]


def test_one_that_was_begun_by_hand_in_between_is_respected(watchers: Watchers, home: Path) -> None:
    by_hand = Run(home / "elsewhere")
    by_hand.path.mkdir()
    by_hand.plan_path.write_text(plan_to_toml(DEMO))
    (by_hand.path / "seconds").write_text(UNTIL_TOLD)
    command = [sys.executable, str(STANDIN), "-m", "loratui.worker", "train", str(by_hand.path)]
    process = subprocess.Popen(command, start_new_session=True)
    waited_for(lambda: by_hand.status().state == "running")
    (run,) = queued(1)
    watchers.start()
    waited_for(lambda: looks() > 2)
    assert run.status().state == "queued"
    (by_hand.path / "may-end").touch()
    waited_for(lambda: finished([run]))
    assert process.wait(PATIENCE_SECONDS) == 0
    assert times(by_hand)[0][1] <= times(run)[0][0]


def test_hold_release_move_drop_and_add() -> None:
    one, two, three = queued(3)

    def ask(*words: str, status: int = 0) -> str:
        result = CliRunner().invoke(loratui, ["queue", *words])
        assert result.exit_code == status, (result.output, result.exception)
        return result.output

    def order() -> list[str]:
        return [entry["name"] for entry in json.loads(ask("--json"))["waiting"]]

    ask("move", three.name, "1")
    assert order() == [three.name, one.name, two.name]
    assert "place 2" in one.status().message
    ask("hold", three.name)
    assert "held" in three.status().message and "held" in ask()
    shown = {entry["name"]: entry for entry in json.loads(ask("--json"))["waiting"]}
    assert shown[three.name]["expected_start_seconds"] is None and shown[one.name]["expected_start_seconds"] == 0
    listed = CliRunner().invoke(loratui, ["runs"]).output
    assert "starts next" in next(line for line in listed.splitlines() if line.startswith(f"{one.name} "))
    ask("release", three.name)
    ask("drop", one.name)
    assert order() == [three.name, two.name] and one.status().state == "stopped"
    CliRunner().invoke(loratui, ["stop", two.name])
    assert order() == [three.name] and two.status().state == "stopped"
    ask("add", one.name)
    assert order() == [three.name, one.name] and one.status().state == "queued"
    wrong = CliRunner().invoke(loratui, ["queue", "hold", two.name])
    assert "does not wait" in str(wrong.exception)


def test_a_held_run_is_passed_over_and_the_watcher_ends_when_nothing_else_waits(watchers: Watchers) -> None:
    one, two = queued(2)
    with changing() as queue:
        queue[0] = replace(queue[0], held=True)
    assert watchers.start().wait(PATIENCE_SECONDS) == 0
    assert one.status().state == "queued" and len(read_queue()) == 1
    waited_for(lambda: finished([two]))


def test_one_that_cannot_be_started_is_held_with_the_reason_and_the_others_go_on(watchers: Watchers) -> None:
    broken, well = queued(2)
    text = broken.plan_path.read_text()
    broken.plan_path.write_text(text.replace("[hardware]\n", "[hardware]\nno_such_key = 1\n"))
    watchers.start()
    waited_for(lambda: finished([well]))
    (left,) = read_queue()
    assert left.held and "no_such_key" in left.why and "no_such_key" in broken.status().message


def test_a_queue_that_cannot_be_read_is_one_sentence() -> None:
    queued(1)
    queue_path().write_text('{"waiting": [{"path"')
    said = CliRunner().invoke(loratui, ["queue"])
    assert "the queue cannot be read" in str(said.exception)


@pytest.mark.worker
def test_real_runs_wait_for_each_other_though_terminal_and_watcher_go(home: Path) -> None:
    program = [sys.executable, "-c", "from loratui.cli import main; main()"]
    values = {"training.max_steps": 2, "evaluation.every_steps": 0}
    (home / "plan.toml").write_text(plan_to_toml(with_values(DEMO, {**values, "hardware.cpu": False})))
    for _ in range(2):
        main, terminal = pty.openpty()
        command = [*program, "train", str(home / "plan.toml"), "--queue"]
        process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
        os.close(terminal)
        shown = b""
        while True:
            try:
                shown += os.read(main, 4096)
            except OSError:
                break
        assert process.wait(120) == 0, shown
        os.close(main)
    runs = [Run(path) for path in sorted(runs_home().iterdir())]
    waited_for(lambda: runs[0].status().state not in ("queued", "starting"))
    waited_for(lambda: len(_watchers()) == 1)  # the second command's has seen that there is one, and ended
    (watcher,) = _watchers()
    os.kill(watcher, signal.SIGKILL)
    waited_for(lambda: runs[0].status().over)
    assert runs[1].status().state == "queued"
    listed = subprocess.run([*program, "runs", "--json"], capture_output=True, text=True, timeout=120)
    assert listed.returncode == 0
    waited_for(lambda: _watchers() and watcher not in _watchers())  # any command starts it again
    waited_for(lambda: finished(runs))
    assert all(len(times(run)) == 1 for run in runs)
    waited_for(lambda: not _watchers())


def _watchers() -> list[int]:
    import psutil

    home = os.environ["LORATUI_HOME"]
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [])[-2:] == ["-m", "loratui.queue"]:
            try:
                found += [process.pid] if process.environ().get("LORATUI_HOME") == home else []
            except psutil.Error:
                continue
    return found
