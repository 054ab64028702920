"""The campaign on a card, kept alive without one: what it would measure, what it keeps, and a rehearsal of it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import campaign
import memory
import own_processes
import pytest
from results import Results

from loratui.core.families import read_config
from loratui.core.memory import estimate
from loratui.machine.device import planned_device
from waiting import PATIENCE_SECONDS

CALL_SECONDS = 540
ROWS = [
    {"instruction": f"Add {n} and {n + 1}.", "input": "", "output": f"The sum of both is {2 * n + 1}."}
    for n in range(40)
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture(scope="module")
def grid() -> list[dict[str, Any]]:
    return memory.grid(planned_device("H100"))


def test_each_piece_is_there_and_fits_into_one_call() -> None:
    for piece in campaign.PIECES:
        assert callable(importlib.import_module(piece.module).run)
        assert piece.seconds + campaign.GRACE_SECONDS < CALL_SECONDS


def test_the_wizard_finds_the_terminal_that_it_is_driven_in() -> None:
    """What it takes of the tests is imported late, by a program that knows nothing of them."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import by_wizard; from console import Console"
    folder = Path(campaign.__file__).parent
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=folder)


def test_pieces_are_chosen_by_name_with_another_limit() -> None:
    found = campaign.chosen("speed:190,machine")
    assert [(piece.name, piece.seconds) for piece in found] == [("speed", 190), ("machine", 60)]
    for wrong in ("sped", "speed:soon"):
        with pytest.raises(ValueError, match=f"there is no piece '{wrong}'"):
            campaign.chosen(wrong)


def test_the_grid_is_sixty_trainings_of_seven_families_and_all_ways(grid: list[dict[str, Any]]) -> None:
    assert len(grid) == 60 and len({memory.name_of(case) for case in grid}) == 60
    specs = {case["model"]: read_config(memory.config_of(case["model"])) for case in grid}
    assert len({spec.family for spec in specs.values()}) >= 7
    sizes = [spec.total_parameters for spec in specs.values()]
    assert min(sizes) < 0.6e9 and max(sizes) > 7.9e9
    kinds = {(case["values"]["method.kind"], case["values"].get("training.checkpointing", False)) for case in grid}
    assert kinds == {(kind, again) for kind in ("full", "lora", "qlora") for again in (False, True)}
    assert {case["values"].get("method.quantization") for case in grid} == {None, "nf4", "int8"}


def test_the_grid_goes_up_to_four_fifths_of_the_card_and_not_beyond(grid: list[dict[str, Any]]) -> None:
    filled = [case["filled"] for case in grid]
    assert max(filled) <= max(memory.FILLED) and sum(share > 0.7 for share in filled) >= 8


def test_the_grid_is_done_in_two_calls(grid: list[dict[str, Any]]) -> None:
    limit = next(piece.seconds for piece in campaign.PIECES if piece.name == "memory")
    making = sum(memory.loading_seconds(name, tiny=False) + 6 for name in {case["model"] for case in grid})
    assert sum(case["expected_seconds"] for case in grid) + making < 2 * limit


def test_the_grid_is_the_same_every_time(grid: list[dict[str, Any]]) -> None:
    assert memory.grid(planned_device("H100")) == grid


def test_a_case_is_predicted_at_the_length_of_its_own_rows(grid: list[dict[str, Any]], tmp_path: Path) -> None:
    case = min((one for one in grid if one["ragged"]), key=lambda one: one["values"]["training.max_length"])
    written = memory.write_rows(tmp_path / "rows.jsonl", case).read_text().splitlines()
    lengths = {len(json.loads(line)["input_ids"]) for line in written}
    longest = case["values"]["training.max_length"]
    assert lengths == {longest, longest // 2}
    assert len(written) >= memory.STEPS * case["values"]["training.batch_size"]
    assert estimate  # the prediction itself is made of these rows, by the worker's own facts of them


def test_what_was_measured_is_kept_and_what_was_not_is_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "piece.json"
    first = Results(file, "memory", 100, rehearsal=True)
    first.case("one", 1, lambda: {"bytes": 5})
    first.case("two", 1, lambda: 1 / 0)
    first.case("three", 1000, lambda: {"bytes": 6})
    told = json.loads(file.read_text())["cases"]
    assert told["one"]["bytes"] == 5
    assert "ZeroDivisionError" in told["two"]["problem"]
    assert told["three"]["skipped"].startswith("1000 s are needed and ")

    again = Results(file, "memory", 5000, rehearsal=True)
    assert again.case("one", 1, lambda: {"bytes": 99}) == told["one"]
    again.case("two", 1, lambda: {"bytes": 7})
    again.case("three", 1000, lambda: {"bytes": 8})
    assert [case["bytes"] for case in json.loads(file.read_text())["cases"].values()] == [5, 7, 8]


def test_a_rehearsal_is_not_gone_on_with_on_a_card(tmp_path: Path) -> None:
    Results(tmp_path / "piece.json", "memory", 100, rehearsal=True).case("one", 1, lambda: {"bytes": 5})
    assert Results(tmp_path / "piece.json", "memory", 100, rehearsal=False).cases == {}


def test_another_card_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "piece.json"
    Results(file, "memory", 100, rehearsal=False).case("one", 1, lambda: {"bytes": 5})
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "card": {**told["card"], "name": "another"}}))
    assert Results(file, "memory", 100, rehearsal=False).cases == {}


@pytest.fixture
def processes() -> own_processes.Processes:
    """Without the imports, which these cases do without."""
    made = own_processes.Processes.__new__(own_processes.Processes)
    made.patience, made.forks = 1.0, True
    return made


def double(argument: dict[str, Any]) -> dict[str, Any]:
    return {"twice": 2 * argument["number"], "pid": os.getpid()}


def fail(argument: dict[str, Any]) -> dict[str, Any]:
    print("before it failed", flush=True)
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")


def hang(argument: dict[str, Any]) -> dict[str, Any]:
    child = subprocess.Popen(["sleep", "60"])
    Path(argument["told"]).write_text(str(child.pid))
    time.sleep(60)
    return {}


def die(argument: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), 9)
    return {}


def test_a_case_has_a_process_of_its_own(processes: own_processes.Processes) -> None:
    found = processes.run("test_campaign:double", {"number": 21}, limit_seconds=PATIENCE_SECONDS)
    assert found["twice"] == 42 and found["pid"] != os.getpid()


def test_what_a_case_dies_of_is_its_result(processes: own_processes.Processes) -> None:
    failed = processes.run("test_campaign:fail", {}, limit_seconds=PATIENCE_SECONDS)
    assert failed["problem"].startswith("RuntimeError: CUDA out of memory") and failed["out_of_memory"]
    assert "before it failed" in failed["log"]
    assert processes.run("test_campaign:die", {}, limit_seconds=PATIENCE_SECONDS)["problem"] == "killed by SIGKILL"


def test_a_case_that_hangs_is_ended_with_what_it_started(processes: own_processes.Processes, tmp_path: Path) -> None:
    told = tmp_path / "child"
    found = processes.run("test_campaign:hang", {"told": str(told)}, limit_seconds=2)
    assert found["problem"] == "it took longer than 2 s"
    assert gone(int(told.read_text()))


def test_a_piece_that_hangs_is_ended_with_workers_in_sessions_of_their_own(tmp_path: Path) -> None:
    told = tmp_path / "worker"
    hanging = (
        "import subprocess, sys, time\n"
        "worker = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"open({str(told)!r}, 'w').write(str(worker.pid))\n"
        "time.sleep(60)\n"
    )
    assert campaign.ended([sys.executable, "-c", hanging], 5) == 124
    assert gone(int(told.read_text()))


def test_a_piece_that_fails_says_so_by_its_status() -> None:
    assert campaign.ended([sys.executable, "-c", "raise SystemExit(3)"], PATIENCE_SECONDS) == 3


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process has ended, reaped or not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.worker
def test_machine_and_memory_are_rehearsed_on_the_processor(rows: Path, tmp_path: Path) -> None:
    """One case of either, by the very command that a card gets."""
    command = [sys.executable, str(campaign.HERE / "campaign.py"), "--rows", str(rows), "--out", str(tmp_path / "out")]
    command += ["--pieces", "machine,memory", "--cases", "1", "--rehearse"]
    own = {
        "TMPDIR": str(tmp_path),
        "LORATUI_HOME": str(tmp_path / "home"),
        "LORATUI_GPU_MODELS": str(tmp_path / "models"),
    }
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "out" / "machine.json").read_text())
    assert told["cases"]["machine"]["told"]["host"]["cpu_count"] > 0
    (case,) = json.loads((tmp_path / "out" / "memory.json").read_text())["cases"].values()
    assert len(case["loss"]) == len(case["step_seconds"]) == memory.STEPS, case
    assert sum(case["parts"].values()) == case["predicted"] and case["train"]["host"] > 0
    assert not (tmp_path / "models" / "qwen3-0.6b").exists(), "the model made room"


def test_without_a_card_the_varlen_side_is_absent_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    import speed
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert speed.measure({"side": "varlen"}) == {"absent": "torch_varlen needs a card"}
