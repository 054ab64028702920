"""The file of the runs that wait: put in, taken out, damaged, shared; and what each run says of itself."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.core.errors import LoratuiError, RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.beside import LOG, note_beside, start_beside, track, tracked
from loratui.runs.control import leave_queue, save_now, stop_run
from loratui.runs.directory import Run
from loratui.runs.enqueue import queue_again, queue_run
from loratui.runs.recovery import left
from loratui.runs.status import read_status, write_status
from loratui.runs.waiting import changing, held_reason, keep, place_in_queue, queue_path, read_queue, waiting_words

DEMO = with_values(Plan(), {"model.id": "demo", "dataset.path": "demo", "hardware.cpu": True})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path / "config"))
    return tmp_path


def test_a_queued_run_is_whole_and_says_its_place() -> None:
    first = queue_run(DEMO, seconds=12.34, memory=5)
    second = queue_run(DEMO, rehearse=True, auto_recover=True, trackers=["wandb"])
    one, other = read_queue()
    assert (one.path, one.seconds, one.memory, one.rehearse) == (str(first.path), 12.3, 5, None)
    assert other.rehearse is True and left(second) == 3 and tracked(second) == ["wandb"]
    assert first.status().state == "queued" and "place 1" in first.status().message
    assert place_in_queue(second.path) == 2 and "place 2" in second.status().message
    with pytest.raises(RunError, match="waits"):
        save_now(first)


def test_out_of_the_queue_and_in_again() -> None:
    first, second = queue_run(DEMO), queue_run(DEMO)
    stop_run(first, "command")
    assert (first.status().state, first.status().message) == ("stopped", "you took it out of the queue")
    assert [one.path for one in read_queue()] == [str(second.path)]
    with pytest.raises(RunError, match="does not wait"):
        leave_queue(first, "command")
    queue_again(first, seconds=1.0)
    assert [one.path for one in read_queue()] == [str(second.path), str(first.path)]
    with pytest.raises(LoratuiError, match="still going"):
        queue_again(first)
    with changing() as queue:
        queue[0] = replace(queue[0], starting=1.0)
    with pytest.raises(RunError, match="being started"):
        leave_queue(second, "command")
    finished = read_status(first.status_path)
    assert finished is not None
    write_status(first.status_path, finished.model_copy(update={"state": "finished"}))
    with pytest.raises(RunError, match="is finished"):
        queue_again(first)


def test_one_that_is_in_no_queue_any_more_is_lost_and_says_so() -> None:
    run = queue_run(DEMO)
    queue_path().unlink()
    assert run.status().state == "lost" and "queue add" in run.status().message
    assert waiting_words(run.path) is None and read_queue() == []


def test_held_ones_say_why() -> None:
    run = queue_run(DEMO)
    with changing() as queue:
        queue[0] = replace(queue[0], held=True)
    assert "It is held." in run.status().message and held_reason(run.path) == ""
    with changing() as queue:
        queue[0] = replace(queue[0], why="no such GPU")
    assert "held: no such GPU" in run.status().message and held_reason(run.path) == "no such GPU"


@pytest.mark.parametrize(
    "text",
    ['{"waiting": [{"path"', '{"waiting": 3}', '{"waiting": [{"path": 1, "host": "x"}]}', "[]", '{"waiting": [{}]}'],
)
def test_a_damaged_file_is_said_and_never_written_over(text: str) -> None:
    run = queue_run(DEMO)
    queue_path().write_text(text)
    for act in (read_queue, lambda: queue_run(DEMO), lambda: leave_queue(run, "command")):
        with pytest.raises(RunError, match="the queue cannot be read"):
            act()
    assert run.status().state == "queued" and held_reason(run.path) == ""
    assert queue_path().read_text() == text


def test_each_machine_sees_its_own_part_of_a_shared_home() -> None:
    queue_run(DEMO)
    queue_path().write_text(queue_path().read_text().replace(socket.gethostname(), "another-machine"))
    assert read_queue() == []
    mine = queue_run(DEMO)
    hosts = [one["host"] for one in json.loads(queue_path().read_text())["waiting"]]
    assert sorted(hosts) == sorted([socket.gethostname(), "another-machine"])
    keep([])
    assert [one["host"] for one in json.loads(queue_path().read_text())["waiting"]] == ["another-machine"]
    assert mine.status().state == "lost"


def test_what_is_beside_a_run_never_stands_in_its_way(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(home)
    start_beside(run, "loratui.no_such_module")
    note_beside(run, "two\nlines\x1b[2J")
    track(run, [])
    assert tracked(run) == []
    (home / "trackers").mkdir()
    (home / "trackers" / "live.json").write_text('{"live": 7}')
    assert tracked(run) == []
    monkeypatch.setattr("loratui.runs.beside.sys.executable", str(home / "gone"))
    start_beside(run, "loratui.notify")
    text = (home / LOG).read_text()
    assert "two ⏎ lines␛[2J" in text and "cannot be started" in text
    note_beside(Run(home / "gone"), "nowhere to write")
