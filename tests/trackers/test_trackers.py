"""A run in each tracker's own local store has the numbers of its events, also after a crash and a resume."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import readers
from click.testing import CliRunner

from loratui.commands.tree import loratui
from loratui.core.errors import InputError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.paths import runs_home
from loratui.runs.beside import tracked
from loratui.runs.directory import Run
from loratui.runs.events import Event, encode, make
from loratui.runs.start import begin_run
from loratui.runs.status import Status, own_mark, signs_of_life, write_status
from loratui.trackers.copy import export
from loratui.trackers.rows import Replay, Row
from loratui.trackers.tracker import NAMES, require_installed

SECRETS = (
    "WANDB_API_KEY",
    "WANDB_MODE",
    "TRACKIO_SPACE_ID",
    "TRACKIO_SERVER_URL",
    "TRACKIO_DIR",
    "MLFLOW_TRACKING_URI",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # for its own reader
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    return tmp_path


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    if importlib.util.find_spec(found) is None:
        pytest.skip(f"{found} is not installed here (pip install 'loratui[{found}]'); `make apart` has it")
    return found


def write(run: Run, events: list[Event]) -> None:
    with run.events_path.open("a") as file:
        file.write("".join(f"{encode(event)}\n" for event in events))


def state(run: Run, word: str) -> None:
    mark = own_mark()
    living = {"pid": mark.pid, "process_started": mark.started, "process_ticks": mark.ticks}
    write_status(run.status_path, Status(state=word, step=1, **living, **signs_of_life()))  # type: ignore[arg-type]


def begun(name: str = "one") -> Run:
    run = Run(runs_home() / name)
    run.path.mkdir(parents=True)
    run.plan_path.write_text(
        plan_to_toml(with_values(Plan(), {"dataset.path": "demo", "training.learning_rate": 3e-4}))
    )
    run.machine_path.write_text('{"gpus": ["a card of ours"]}')
    run.fingerprint_path.write_text('{"data": {"revision": "c0ffee1"}, "plan": {}, "versions": {"torch": "2"}}')
    write(run, [make("started", 1000.0, step=0, total_steps=20), *steps(1, 13)])
    return run


def steps(first: int, last: int, *, shift: float = 0.0) -> list[Event]:
    found: list[Event] = []
    for step in range(first, last + 1):
        found.append(
            make("step", 1000.0 + step, step=step, epoch=step / 10, loss=2 / step + shift, learning_rate=1e-4 / step)
        )
        if step % 5 == 0:
            found.append(make("eval", 1000.5 + step, step=step, loss=3 / step + shift, exact_match=step / 20))
            found.append(make("sample", 1000.5 + step, step=step, prompt="Two **pizzas**?", answer=f"at {step}"))
    return found


RESUMED = [make("started", 1100.0, step=10, total_steps=20, resumed_from="checkpoint-10"), *steps(11, 20, shift=0.125)]


def look(name: str, run: Run) -> tuple[readers.Figures, str]:
    folder = Path(os.environ["LORATUI_HOME"]) / "trackers" / name
    if name == "tensorboard":
        return readers.tensorboard(folder, run.name)
    if name == "wandb":
        return readers.wandb(folder)
    if name == "trackio":
        return in_a_process(f"readers.trackio('loratui', {run.name!r})", TRACKIO_DIR=str(folder))
    return readers.mlflow(folder, "loratui")


def in_a_process(call: str, **environment: str) -> tuple[readers.Figures, str]:
    """By a process of its own: the library reads where its store is when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys, readers; sys.__stdout__.write('\\n' + json.dumps({call}))"],
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    figures, text = json.loads(done.stdout.splitlines()[-1])
    return {key: [(step, value) for step, value in points] for key, points in figures.items()}, text


def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from loratui.cli import main; main()", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


def assert_same(name: str, figures: readers.Figures, run: Run) -> None:
    """Every figure of the events that counts, once, in order, and no other."""
    expected: readers.Figures = {}
    for row in Replay(run.events_path):
        if isinstance(row, Row):
            for key, value in row.values.items():
                expected.setdefault(key, []).append((row.step, value))
    assert set(figures) == set(expected)
    for key, points in expected.items():
        assert [step for step, _ in figures[key]] == [step for step, _ in points], key
        for (_, mine), (_, theirs) in zip(points, figures[key], strict=True):
            assert math.isclose(mine, theirs, rel_tol=1e-6 if name == "tensorboard" else 0), key


def test_an_export_has_the_same_numbers_also_after_a_crash_and_once_more(name: str) -> None:
    run = begun()
    state(run, "lost")
    exported = cli("runs", "export", "one", "--to", name)
    assert exported.returncode == 0, exported.stderr
    assert "in " + name in exported.stdout
    assert_same(name, look(name, run)[0], run)
    write(run, RESUMED)
    state(run, "finished")
    for _ in range(2):
        again = cli("runs", "export", "one", "--to", name)
        assert again.returncode == 0, again.stderr
    figures, text = look(name, run)
    assert_same(name, figures, run)
    assert [step for step, _ in figures["train/loss"]] == list(range(1, 21))
    for words in ("learning_rate", "c0ffee1", "a card of ours", "at 20"):
        assert words in text, words


def test_live_it_follows_a_run_through_a_crash_and_a_kill_of_the_follower(name: str) -> None:
    run = begun()
    state(run, "running")
    command = [sys.executable, "-m", "loratui.trackers", str(run.path), name, "loratui"]
    log = (run.path / "beside.log").open("w")
    first = subprocess.Popen(command, stderr=log, stdout=log)
    waited_for(lambda: bool(list((Path(os.environ["LORATUI_HOME"]) / "trackers" / name).glob("*"))))
    time.sleep(3)
    first.kill()
    first.wait()
    second = subprocess.Popen(command, stderr=log, stdout=log)
    time.sleep(4)
    write(run, RESUMED[:4])
    time.sleep(3)
    write(run, RESUMED[4:])
    state(run, "finished")
    assert second.wait(120) == 0, (run.path / "beside.log").read_text()
    assert_same(name, look(name, run)[0], run)


def waited_for(what: object, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.2)


def test_no_tracker_is_there_unless_somebody_named_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr("loratui.runs.start.start_beside", lambda run, module, *rest: started.append((module, *rest)))
    monkeypatch.setattr("loratui.runs.start.worker_command", lambda run, rehearse: ["true"])
    plan = with_values(Plan(), {"model.id": "demo", "dataset.path": "demo", "hardware.cpu": True})
    begin_run(plan, rehearse=False)
    assert started == []
    run, _ = begin_run(plan, rehearse=False, trackers=["tensorboard"])
    assert started == [("loratui.trackers", str(run.path), "tensorboard", "loratui")] and tracked(run) == [
        "tensorboard"
    ]
    (home / "config" / "settings.toml").write_text('[track]\nlive = ["mlflow"]\nproject = "mine"\n')
    started.clear()
    run, _ = begin_run(plan, rehearse=False)
    assert started == [("loratui.trackers", str(run.path), "mlflow", "mine")]


def test_what_is_missing_or_misspelt_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    begun()
    wrong = CliRunner().invoke(loratui, ["runs", "export", "one", "--to", "tensorbord"])
    assert isinstance(wrong.exception, InputError) and "Did you mean tensorboard?" in str(wrong.exception)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'loratui\[wandb\]'"):
        require_installed("wandb")


def test_a_folder_with_event_files_of_others_is_left_alone(tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorboard") is None:
        pytest.skip("tensorboard is not installed here; `make apart` has it")
    run = begun()
    state(run, "finished")
    theirs = tmp_path / "logs" / "one" / "events.out.tfevents.1.host"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    with pytest.raises(InputError, match="not of this run"):
        export(run, "tensorboard", into=tmp_path / "logs")
    assert theirs.read_bytes() == b"theirs"


@pytest.mark.worker
def test_a_real_run_that_was_killed_and_resumed_is_followed_whole(home: Path) -> None:
    name = "tensorboard"  # one is enough: the others read the same events
    if importlib.util.find_spec(name) is None:
        pytest.skip("tensorboard is not installed here (pip install 'loratui[tensorboard]'); `make apart` has it")
    made = [
        "--set", "training.max_steps=8", "--set", "evaluation.every_steps=4", "--set", "saving.every_steps=2",
        "-o", str(home / "plan.toml"),
    ]  # fmt: skip
    assert cli("plan", "-m", "demo", "-d", "demo", *made).returncode == 0
    started = cli("train", str(home / "plan.toml"), "--detach", "--track", name)
    assert started.returncode == 0, started.stderr
    (path,) = runs_home().iterdir()
    run = Run(path)
    waited_for(lambda: run.last_checkpoint() is not None, 120)
    os.kill(run.status().pid, 9)
    waited_for(lambda: run.status().over, 30)
    if run.status().state == "lost":
        resumed = cli("resume", run.name)
        assert resumed.returncode == 0, resumed.stderr
    with (path / "trackers" / f".{name}.lock").open() as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)  # its follower has ended
    figures, _ = look(name, run)
    assert_same(name, figures, run)
    assert [step for step, _ in figures["train/loss"]] == list(range(1, 9))
