"""The checks that need no torch, and what decides about torch's builds."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hub_standin import set_hub
from loratui.commands.doctor import ending_check, verdict
from loratui.core.hardware import Gpu, GpuProcess, Host, Machine
from loratui.hub.client import hub_cache
from loratui.machine.doctor import Check, hub_checks, machine_checks, terminal_checks, training_works
from loratui.worker.doctor import mend_for, runs_on

GIB = 2**30
TOKEN = "hf_thisIsNoRealToken"
ENTRY = "import sys; from loratui.cli import main; sys.argv = ['loratui', *sys.argv[1:]]; main()"


def machine(tmp_path: Path, free_gib: float = 30, disk_gib: float = 100, **more: Any) -> Machine:
    host = Host(
        hostname="box",
        cpu_name="CPU",
        cpu_count=8,
        memory_total_bytes=64 * GIB,
        memory_available_bytes=int(free_gib * GIB),
        disk_path=str(tmp_path),
        disk_total_bytes=200 * GIB,
        disk_free_bytes=int(disk_gib * GIB),
    )
    return Machine(host=host, **more)


def states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def card(free_gib: int, **more: Any) -> Gpu:
    return Gpu(
        index=0, uuid="GPU-0", name="NVIDIA L4", memory_total_bytes=22 * GIB, memory_free_bytes=free_gib * GIB, **more
    )


def test_no_gpu_is_no_fault(tmp_path: Path) -> None:
    checks = machine_checks(machine(tmp_path, problems=("No NVIDIA driver was found.",)))
    assert states(checks)["driver"] == "note" and training_works(checks)


def test_broken_driver_is_a_fault(tmp_path: Path) -> None:
    checks = machine_checks(machine(tmp_path, driver="broken", problems=("Reboot.",)))
    assert states(checks)["driver"] == "fault" and not training_works(checks)
    assert checks[0].mend == "Reboot."


def test_working_gpu(tmp_path: Path) -> None:
    checks = machine_checks(
        machine(tmp_path, driver="works", driver_version="580", cuda_version="13.0", gpus=(card(22),))
    )
    assert states(checks)["driver"] == "ok" and states(checks)["gpu"] == "ok"


def test_gpu_in_use_names_the_holder(tmp_path: Path) -> None:
    busy = card(3, processes=(GpuProcess(pid=1, name="python train.py", user="ann", memory_bytes=19 * GIB),))
    check = next(c for c in machine_checks(machine(tmp_path, driver="works", gpus=(busy,))) if c.name == "gpu")
    assert check.state == "warning" and "python train.py (ann)" in check.mend


def test_hidden_gpus_are_a_fault(tmp_path: Path) -> None:
    hidden = machine(
        tmp_path, driver="works", gpus=(card(22, visible=False),), notes=("CUDA_VISIBLE_DEVICES='' hides every GPU.",)
    )
    checks = machine_checks(hidden)
    assert not training_works(checks) and "CUDA_VISIBLE_DEVICES" in next(c for c in checks if c.state == "fault").mend


@pytest.mark.parametrize(("free", "state"), [(1, "fault"), (5, "warning"), (30, "ok")])
def test_memory(tmp_path: Path, free: float, state: str) -> None:
    assert states(machine_checks(machine(tmp_path, free_gib=free)))["memory"] == state


@pytest.mark.parametrize(("free", "state"), [(0.5, "fault"), (10, "warning"), (100, "ok")])
def test_disk(tmp_path: Path, free: float, state: str) -> None:
    assert states(machine_checks(machine(tmp_path, disk_gib=free)))["disk for runs"] == state


def test_disk_that_cannot_be_written() -> None:
    assert states(machine_checks(machine(Path("/proc"))))["disk for runs"] == "fault"


def test_where_the_hub_keeps_models(monkeypatch: pytest.MonkeyPatch) -> None:
    set_hub(monkeypatch, HF_HUB_CACHE="/a")
    assert hub_cache() == Path("/a")
    set_hub(monkeypatch, HF_HOME="/b")
    assert hub_cache() == Path("/b/hub")
    set_hub(monkeypatch, XDG_CACHE_HOME="/c")
    assert hub_cache() == Path("/c/huggingface/hub")


class Hub(BaseHTTPRequestHandler):
    """A hub that knows one token."""

    def do_GET(self) -> None:
        authorised = self.headers.get("authorization") == f"Bearer {TOKEN}"
        if self.path.startswith("/api/whoami") and not authorised:
            self.send_response(401)
            self.end_headers()
            return
        body = json.dumps({"name": "ann"} if self.path.startswith("/api/whoami") else []).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def checks_with(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> list[Check]:
    set_hub(monkeypatch, **environment)
    return hub_checks(timeout_seconds=1)


def test_hub_with_a_good_token(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = checks_with(monkeypatch, {"HF_ENDPOINT": hub, "HF_TOKEN": TOKEN})
    assert states(checks) == {"hub": "ok", "hub token": "ok"}
    assert "ann" in checks[1].meaning
    assert TOKEN not in repr(checks)


def test_hub_with_a_bad_token(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = checks_with(monkeypatch, {"HF_ENDPOINT": hub, "HUGGING_FACE_HUB_TOKEN": "hf_wrong"})
    assert states(checks)["hub token"] == "warning" and "401" in checks[1].meaning
    assert "hf_wrong" not in repr(checks)


def test_hub_with_a_token_file_and_without(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert states(checks_with(monkeypatch, {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)}))["hub token"] == "note"
    (tmp_path / "token").write_text(TOKEN + "\n")
    checks = checks_with(monkeypatch, {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)})
    assert states(checks)["hub token"] == "ok" and TOKEN not in repr(checks)


def test_hub_that_cannot_be_reached_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = checks_with(monkeypatch, {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)})
    assert states(checks)["hub"] == "warning" and training_works(checks)


def test_offline_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = checks_with(
        monkeypatch, {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    )
    assert states(checks)["hub"] == "note"


@pytest.mark.parametrize(
    ("environment", "state", "word"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "ok", "16 million"),
        ({"TERM": "xterm-256color"}, "ok", "256"),
        ({"TERM": "linux"}, "note", "16 colours"),
        ({"TERM": "dumb"}, "warning", "cannot"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "note", "without colour"),
    ],
)
def test_terminal(environment: dict[str, str], state: str, word: str) -> None:
    check = terminal_checks(environment, is_terminal=True, size=(100, 40))[0]
    assert check.state == state and word in check.meaning


def test_terminal_that_is_small_and_far_away() -> None:
    found = states(
        terminal_checks({"TERM": "xterm-256color", "SSH_CONNECTION": "a 1 b 2"}, is_terminal=True, size=(60, 20))
    )
    assert found["terminal size"] == "warning" and found["connection"] == "note"
    (only,) = terminal_checks({}, is_terminal=False)
    assert only.state == "note"


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (["sm_80", "sm_90"], (8, 6), True),
        (["sm_86"], (8, 0), False),
        (["sm_80"], (9, 0), False),
        (["sm_80", "compute_80"], (9, 0), True),
        (["sm_75", "sm_120", "compute_120"], (7, 0), False),
        (["sm_90a"], (9, 0), True),
        (["sm_90a"], (10, 0), False),
        (["sm_120"], (12, 0), True),
        (["sm_100"], (12, 0), False),
        (["compute_90"], (12, 0), True),
        ([], (8, 0), False),
    ],
)
def test_compiled_code_against_a_card(architectures: list[str], capability: tuple[int, int], runs: bool) -> None:
    assert runs_on(architectures, capability) is runs


@pytest.mark.parametrize(
    ("driver", "words"), [("13.0", "/cu130"), ("12.8", "/cu126"), ("12.2", "/cu126"), ("11.4", "driver of version 560")]
)
def test_mend_for_a_driver(driver: str, words: str) -> None:
    assert words in mend_for(driver)


def test_crashing_library_is_a_fault() -> None:
    assert list(ending_check(0)) == []
    (check,) = ending_check(-4)
    assert check.state == "fault" and "signal 4" in check.meaning and "another processor" in check.mend


@pytest.mark.worker
def test_doctor_on_the_cpu(run_python: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    result = run_python(
        "none", "-c", ENTRY, "doctor", "--json", "--offline", LD_LIBRARY_PATH=str(tmp_path), OMP_NUM_THREADS="1"
    )
    document = json.loads(result.stdout)
    found = {check["name"]: check for check in document["checks"]}
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this computer has a GPU")
    assert document["ok"] and result.returncode == 0
    assert {
        "driver",
        "memory",
        "disk for runs",
        "libraries",
        "torch",
        "bf16",
        "fp16",
        "bitsandbytes",
        "attention",
        "accelerate",
    } <= set(found)
    assert all(found[name]["state"] == "ok" for name in ("bf16", "fp16", "bitsandbytes", "attention", "accelerate")), (
        found
    )


@pytest.mark.worker
def test_doctor_finds_a_torch_that_leaves_the_gpu_idle(run_python: Any) -> None:
    torch = pytest.importorskip("torch")
    if torch.version.cuda is not None:
        pytest.skip("this torch has CUDA")
    result = run_python("t4", "-c", ENTRY, "doctor", "--offline", OMP_NUM_THREADS="1")
    assert result.returncode == 1
    assert "built without CUDA" in result.stdout and "whl/cu130" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_doctor_with_a_broken_driver_ends_with_1(run_python: Any) -> None:
    result = run_python("mismatch", "-c", ENTRY, "doctor", "--offline", "--quick")
    assert result.returncode == 1 and "different versions" in result.stdout
    assert os.linesep + "Traceback" not in result.stdout + result.stderr


def test_verdict_claims_no_more_than_was_checked() -> None:
    assert verdict(0, quick=False) == "Training works here."
    assert "torch was not checked" in verdict(0, quick=True)
    assert "1 thing to mend" in verdict(1, quick=False) and "2 things" in verdict(2, quick=True)
