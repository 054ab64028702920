"""Making, finding, listing and steering runs, with processes that stand in for a worker."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loratui.core.errors import DatasetError, PlanError, RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_from_toml, plan_to_toml, with_values
from loratui.format import printable
from loratui.paths import home, runs_home, state_home
from loratui.runs import start
from loratui.runs.control import save_now, stop_run, wait_ended
from loratui.runs.directory import Run, is_whole_checkpoint
from loratui.runs.events import encode, make
from loratui.runs.fingerprint import files_print, plan_values, versions, what_would_differ
from loratui.runs.follow import follow_lines, step_line
from loratui.runs.listing import find_run, list_runs
from loratui.runs.resume import change_and_resume, extend_run, resume_run
from loratui.runs.start import create_run, run_name, start_worker, wait_started, worker_command, worker_environment
from loratui.runs.status import Status, mark_of, read_status, write_status
from loratui.worker.training.processes import launched
from waiting import PATIENCE_SECONDS, wait_for


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_homes(own_home: Path) -> None:
    assert home() == own_home and runs_home() == own_home / "runs" and state_home() == own_home / "state"


def test_a_run_whose_rows_are_gone_is_not_made(tmp_path: Path) -> None:
    """It was started, failed at its rows, and could never be resumed: its path was looked for in the run's folder."""
    for values in (
        {"dataset.path": "gone.jsonl"},
        {"dataset.eval_path": str(tmp_path / "gone.jsonl")},
        {"dataset.path": "", "dataset.parts": [{"path": "demo"}, {"path": "gone.jsonl"}]},
    ):
        with pytest.raises(DatasetError, match=r"gone\.jsonl: no such file or folder"):
            create_run(with_values(Plan(), values))
    assert not runs_home().exists() or not any(runs_home().iterdir())
    assert create_run(with_values(Plan(), {"dataset.path": "somebody/rows"})).plan().dataset.path == "somebody/rows"


def test_a_new_run_holds_its_whole_plan(tmp_path: Path) -> None:
    rows = tmp_path / 'a "b".jsonl'
    rows.write_text('{"prompt": "a", "completion": "b"}\n')
    plan = with_values(Plan(), {"lora.r": 7, "dataset.path": str(rows)})
    run = create_run(plan)
    assert run.path.parent == runs_home()
    assert run.plan() == plan
    text = run.plan_path.read_text()
    assert all(f"\n{key} = " in text for key in ("r", "warmup_steps", "min_lr_ratio", "double_quantization"))
    status = run.status()
    assert status.state == "starting" and not status.over


def test_names_are_readable_and_never_taken_twice() -> None:
    plan = with_values(Plan(), {"model.id": "Qwen/Qwen3-0.6B"})
    assert run_name(plan, 0.0).startswith("qwen3-0.6b-lora-19")
    for written, named in (
        ("me/Mödel", "model"),
        ("me/mo\u0308del", "model"),
        ("Łódź-Straße", "lodz-strasse"),
        ("模型", "model"),
    ):
        assert run_name(with_values(Plan(), {"model.id": written}), 0.0).startswith(f"{named}-lora-19")
    first, second = create_run(plan), create_run(plan)
    assert first.path != second.path and second.name.startswith(first.name.rpartition("-")[0])


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "out")
    with pytest.raises(RunError, match="in use"):
        create_run(Plan(), output=run.path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="in use"):
        create_run(Plan(), output=tmp_path / "other")
    assert (tmp_path / "other" / "thesis.tex").read_text() == "x"


@pytest.mark.parametrize("name", ["../escape", "a/b", ".hidden", "new\nline", "-rf"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(RunError, match="no name"):
        create_run(Plan(), name)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        create_run(Plan(), output=tmp_path / "file" / "run")


def test_a_broken_plan_names_its_key(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    run.plan_path.write_text("[lora]\nrank = 3\n")
    with pytest.raises(PlanError, match=r"lora\.rank"):
        run.plan()
    with pytest.raises(PlanError, match=r"lora\.rank"):
        start_worker(run)


def test_finding_runs() -> None:
    with pytest.raises(RunError, match="no runs yet"):
        find_run("anything")
    one, two = create_run(Plan(), "one"), create_run(Plan(), "other")
    os.utime(one.plan_path, (1, 1))
    assert find_run("one") == one and find_run(str(two.path)) == two and find_run("oth") == two
    assert find_run("last") == two
    with pytest.raises(RunError, match="Did you mean other"):
        find_run("otter")
    assert [found.name for found in list_runs()] == ["other", "one"]


def test_a_broken_run_is_listed_with_its_problem() -> None:
    run = create_run(Plan(), "broken")
    run.plan_path.write_text("no toml")
    (found,) = list_runs()
    assert found.plan is None and "not TOML" in found.problem
    json.dumps(found.as_json())


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    for number, text in ((2, '{"global_step": 2}'), (10, '{"global_step": 10}'), (12, '{"glob'), (14, None)):
        folder = run.checkpoints_path / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        (folder / "scheduler.pt").write_bytes(b"x")
        if text is not None:
            (folder / "trainer_state.json").write_text(text)
    (run.checkpoints_path / "checkpoint-new").mkdir()
    assert [folder.name for folder in run.checkpoints()] == ["checkpoint-2", "checkpoint-10"]
    last = run.last_checkpoint()
    assert last is not None and last.name == "checkpoint-10"
    (last / "checkpoint-is-incomplete.txt").write_text("")
    assert not is_whole_checkpoint(last)


def test_the_worker_sees_only_its_gpus() -> None:
    assert (
        worker_environment(with_values(Plan(), {"hardware.cpu": True}), {"CUDA_VISIBLE_DEVICES": "0,1"})[
            "CUDA_VISIBLE_DEVICES"
        ]
        == ""
    )
    one = worker_environment(with_values(Plan(), {"hardware.devices": [2]}), {})
    assert one["CUDA_VISIBLE_DEVICES"] == "2" and one["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert worker_environment(Plan(), {"CUDA_VISIBLE_DEVICES": "3,5"})["CUDA_VISIBLE_DEVICES"] == "3"
    assert worker_environment(with_values(Plan(), {"hardware.devices": [0, 1]}), {})["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_one_command_for_one_gpu_and_for_several(tmp_path: Path) -> None:
    for name, devices in (("one", []), ("two", [0, 1])):
        run = create_run(with_values(Plan(), {"hardware.devices": devices}), output=tmp_path / name)
        assert worker_command(run)[1:] == ["-m", "loratui.worker", "train", str(run.path)]
        assert worker_command(run, rehearse=True)[-1] == "--rehearse"


def test_several_processes_are_begun_by_accelerate_with_settings_of_the_run(tmp_path: Path) -> None:
    run = create_run(with_values(Plan(), {"hardware.devices": [0, 1, 3]}), output=tmp_path / "run")
    command = launched(run, run.plan(), ["--rehearsal-into", "x"])
    assert command[1:3] == ["-m", "accelerate.commands.launch"] and command[-5:] == [
        "loratui.worker",
        "train",
        str(run.path),
        "--rehearsal-into",
        "x",
    ]
    assert json.loads((run.path / "accelerate.json").read_bytes())["num_processes"] == 3


def test_a_run_on_gpus_is_rehearsed_and_one_on_the_processor_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from loratui.machine import detect
    from loratui.runs.start import rehearses

    card = SimpleNamespace(gpus=(object(),))
    monkeypatch.setattr(detect, "detect_machine", lambda: card)
    assert rehearses(Plan()) and rehearses(with_values(Plan(), {"hardware.devices": [1]}))
    assert not rehearses(with_values(Plan(), {"hardware.cpu": True})) and rehearses(
        with_values(Plan(), {"hardware.devices": [0, 1]})
    )
    card.gpus = ()
    assert not rehearses(Plan())


def test_a_second_worker_is_refused(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    with run.lock_path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run.in_use()
        with pytest.raises(RunError, match="already has a worker"):
            start_worker(run)
    assert not run.in_use()


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(
        start, "worker_command", lambda run, rehearse=False: [sys.executable, "-c", code, str(run.path)]
    )


def test_a_worker_that_dies_at_start_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    stand_in(monkeypatch, "import sys; print('libcuda.so.1 is missing'); sys.exit(3)")
    pid = start_worker(run)
    with pytest.raises(RunError, match=r"died at start \(exit status 3\); its last line was: libcuda.so.1 is missing"):
        wait_started(run, PATIENCE_SECONDS, pid=pid)


def test_a_worker_has_a_session_of_its_own_and_no_open_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    code = (
        "import os, sys; from pathlib import Path\n"
        "print(os.getsid(0) == os.getpid(), os.readlink('/proc/self/fd/0'), sorted(map(int, "
        "os.listdir('/proc/self/fd')))[:3], flush=True)"
    )
    stand_in(monkeypatch, code)
    pid = start_worker(run)
    wait_for(lambda: start.exit_status_of(pid) is not None, "its end")
    assert run.log_path.read_text().strip() == "True /dev/null [0, 1, 2]"


def running(run: Run, code: str) -> subprocess.Popen[bytes]:
    """A process that the run's status names as its worker, once it has set its signal handlers."""
    ready = run.path / "ready"
    child = subprocess.Popen([sys.executable, "-c", code, str(ready)])
    wait_for(ready.exists, "its signal handlers")
    mark = mark_of(child.pid)
    assert mark is not None
    write_status(
        run.status_path,
        Status(
            state="running",
            pid=mark.pid,
            process_started=mark.started,
            process_ticks=mark.ticks,
            boot=mark.boot,
            host=mark.host,
        ),
    )
    return child


def test_stop_and_save_are_signals(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    code = (
        "import signal, sys, pathlib\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])\n"
        "pathlib.Path(sys.argv[1]).write_text('')\n"
        "got = [signal.sigwait([signal.SIGUSR1, signal.SIGTERM]) for _ in range(2)]\n"
        "sys.exit(0 if set(got) == {signal.SIGUSR1, signal.SIGTERM} else 1)"
    )
    child = running(run, code)
    with pytest.raises(RunError, match="still going"):
        resume_run(run)
    save_now(run)
    stop_run(run, "command")
    assert child.wait(PATIENCE_SECONDS) == 0
    assert wait_ended(run, PATIENCE_SECONDS).state == "lost"
    with pytest.raises(RunError, match="not running"):
        stop_run(run, "command")


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    write_status(run.status_path, Status(state="finished"))
    with pytest.raises(RunError, match="finished"):
        resume_run(run)


def test_a_fix_is_applied_and_the_old_plan_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    stand_in(monkeypatch, "pass")
    with pytest.raises(RunError, match="still going"):
        change_and_resume(run, {"training.batch_size": 1})
    assert run.plan() == Plan()
    write_status(run.status_path, Status(state="failed"))
    with pytest.raises(PlanError, match=r"training\.batch_size"):
        change_and_resume(run, {"training.batch_size": 0})
    change_and_resume(run, {"training.batch_size": 2, "training.accumulation": 4})
    assert (run.plan().training.batch_size, run.plan().training.accumulation) == (2, 4)
    assert plan_from_toml((run.path / "plan.1.toml").read_text()) == Plan()


def test_a_mended_run_does_not_become_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "pass")
    old, new = create_run(Plan(), name="old"), create_run(Plan(), name="new")
    for run, began in ((old, 1_000_000.0), (new, 2_000_000.0)):
        run.events_path.write_text(encode(make("started", began, total_steps=3, examples=5, device="CPU")) + "\n")
    write_status(old.status_path, Status(state="failed"))
    change_and_resume(old, {"training.batch_size": 2})
    assert old.plan().training.batch_size == 2
    assert [(one.name, one.created) for one in list_runs()] == [("new", 2_000_000.0), ("old", 1_000_000.0)]
    assert find_run("last").name == "new"


def test_a_run_was_begun_when_it_was_made_and_not_when_its_worker_was_loaded() -> None:
    run = create_run(Plan(), name="slow-to-load")
    made = run.created()
    os.utime(run.path / "origin.json", (made - 80, made - 80))
    run.events_path.write_text(encode(make("phase", made, phase="load_model")) + "\n")
    assert run.created() == pytest.approx(made - 80) == list_runs()[0].created
    os.utime(run.path / "origin.json", (made + 500, made + 500))  # a copy's files are new
    assert run.created() == pytest.approx(made)


def test_a_run_without_events_began_when_its_oldest_file_was_written() -> None:
    run = create_run(Plan(), name="waiting")
    os.utime(run.log_path, (5.0, 5.0))
    run.events_path.write_text('{"type": "sta')
    assert run.created() == 5.0
    assert Run(run.path / "gone").created() == 0.0


def test_extending_needs_a_checkpoint_and_counts_epochs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    stand_in(monkeypatch, "pass")
    write_status(run.status_path, Status(state="finished"))
    with pytest.raises(RunError, match="no checkpoint"):
        extend_run(run, 1)
    folder = run.checkpoints_path / "checkpoint-3"
    folder.mkdir(parents=True)
    (folder / "scheduler.pt").write_bytes(b"x")
    (folder / "trainer_state.json").write_text('{"global_step": 3}')
    extend_run(run, 1.5)
    assert run.plan().training.epochs == Plan().training.epochs + 1.5


def test_what_would_differ_on_resume(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n')
    run = create_run(with_values(Plan(), {"dataset.path": str(rows)}), output=tmp_path / "run")
    assert what_would_differ(run) == []
    now = {"plan": plan_values(run.plan()), "data": {"files": files_print(run.plan())}, "versions": versions()}
    run.fingerprint_path.write_text(json.dumps(now))
    assert what_would_differ(run) == []
    run.fingerprint_path.write_text(json.dumps(now | {"versions": {**versions(), "torch": "1.0"}}))
    assert [words.split(" was ")[0] for words in what_would_differ(run)] == ["torch"]
    run.fingerprint_path.write_text(json.dumps(now))
    rows.write_text('{"text": "a"}\n{"text": "b"}\n')
    run.plan_path.write_text(plan_to_toml(with_values(run.plan(), {"lora.r": 4, "saving.keep": 9})))
    assert what_would_differ(run) == ["lora.r was 16 and is 4", "the dataset's files changed"]


def test_following_prints_and_ends(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    events = [
        make("started", 1.0, total_steps=30, examples=5, device="CPU\x1b[2J"),
        make("step", 1.1, step=1, loss=2.0, learning_rate=1e-4),
        make("step", 1.2, step=2, loss=1.5),
        make("step", 1.3, step=3, loss=1.25),
        make("eval", 1.4, step=3, loss=1.0, best=True),
        make("mystery", 1.5),
        make("finished", 1.6, step=3, seconds=75.0, result="adapter"),
    ]
    run.events_path.write_text("".join(encode(event) + "\n" for event in events))
    write_status(run.status_path, Status(state="finished"))
    lines = list(follow_lines(run))
    assert [line.split(":")[0] for line in lines] == [
        "started",
        lines[1],
        lines[2],
        "evaluation at step 3",
        "finished",
    ]
    assert lines[1].startswith("step 1/30  loss 2.0000") and lines[2].startswith("step 3/30"), (
        "steps are thinned, the last one is told"
    )
    assert "\x1b" not in "".join(lines) and "1 min 15 s" in lines[-1]
    assert "–" in step_line(make("step", 0.0, step=1))  # type: ignore[arg-type]
    assert printable("a\tb\x9b31m") == "a    b�31m"


def test_the_plan_text_is_complete() -> None:
    assert plan_from_toml(plan_to_toml(Plan())) == Plan()


def test_a_full_disk_keeps_the_old_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status.json"
    write_status(path, Status(state="running", step=3))

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_status(path, Status(state="running", step=4))
    status = read_status(path)
    assert status is not None and status.step == 3
    assert [item.name for item in tmp_path.iterdir()] == ["status.json"]
