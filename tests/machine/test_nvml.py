"""Every machine of the stand-in NVML, through the real binding."""

from __future__ import annotations

import getpass
import json
from typing import Any

import pytest

GIB = 2**30
MIB = 2**20


def test_t4(detect: Any) -> None:
    machine = detect("t4")
    gpu = machine.gpus[0]
    assert machine.problems == ()
    assert machine.driver_version == "580.95.05" and machine.cuda_version == "13.0"
    assert (gpu.index, gpu.name, gpu.kind, gpu.compute_capability) == (0, "Tesla T4", "gpu", (7, 5))
    assert gpu.memory_total_bytes == 15360 * MIB and gpu.memory_free_bytes == 15090 * MIB
    assert gpu.power_watts == pytest.approx(9.6) and gpu.power_limit_watts == 70
    assert gpu.memory_bandwidth_bytes_per_second == pytest.approx(320e9, rel=0.01)  # NVIDIA's datasheet: 320 GB/s
    assert gpu.throttle_reasons == () and gpu.processes == () and gpu.visible


def test_neighbour_is_named_with_user_and_bytes(detect: Any, neighbour: int) -> None:
    busy, idle = detect("2x3090").gpus
    process = busy.processes[0]
    assert process.pid == neighbour
    assert process.user == getpass.getuser()
    assert process.name.startswith("python")
    assert process.memory_bytes == 18000 * MIB
    assert busy.throttle_reasons == ("power cap", "too hot (software limit)")
    assert idle.processes == () and idle.memory_free_bytes > 23 * GIB


def test_nvlink_between_two_cards(detect: Any) -> None:
    (link,) = detect("2x3090").links
    assert (link.first, link.second, link.kind, link.lanes) == (0, 1, "nvlink", 4)


def test_mig_slices_are_read_by_their_own_handles(detect: Any) -> None:
    machine = detect("a100-mig")
    large, small = machine.gpus
    assert [gpu.kind for gpu in machine.gpus] == ["mig", "mig"]
    assert [gpu.index for gpu in machine.gpus] == [0, 1]
    assert [gpu.mig_profile for gpu in machine.gpus] == ["3g.40gb", "1g.10gb"]
    assert large.memory_total_bytes == 40192 * MIB and large.memory_free_bytes == (40192 - 20037) * MIB
    assert small.memory_total_bytes == 9728 * MIB
    assert large.uuid.startswith("MIG-") and large.parent.startswith("GPU-")
    assert small.compute_capability == (8, 0)  # of the card: slices do not tell
    assert small.utilization_percent is None and small.temperature_celsius == 33
    assert large.processes and not small.processes


def test_mig_mode_without_slices_is_a_sentence(detect: Any) -> None:
    machine = detect("a100-mig-empty")
    assert machine.gpus == ()
    assert "no slices" in machine.problems[0] and "nvidia-smi mig" in machine.problems[0]


def test_eight_cards_behind_a_switch(detect: Any) -> None:
    machine = detect("8xh100")
    assert [gpu.index for gpu in machine.gpus] == list(range(8))
    assert len(machine.links) == 28 and {link.kind for link in machine.links} == {"nvlink"}
    assert machine.gpus[0].memory_bandwidth_bytes_per_second == pytest.approx(3352e9, rel=0.001)


def test_unified_memory_is_the_hosts(detect: Any) -> None:
    machine = detect("gh200")
    gpu = machine.gpus[0]
    assert gpu.kind == "unified"
    assert gpu.memory_total_bytes == machine.host.memory_total_bytes
    assert 0 < gpu.memory_free_bytes <= gpu.memory_total_bytes
    assert any("shares the host's memory" in note for note in gpu.notes)


def test_old_driver_lacks_functions(detect: Any) -> None:
    machine = detect("old-driver", library="old")
    gpu = machine.gpus[0]
    assert machine.problems == ()
    assert machine.driver_version == "418.226.00" and machine.cuda_version == "10.1"
    assert gpu.memory_free_bytes == (16160 - 4000) * MIB
    assert gpu.memory_bandwidth_bytes_per_second is None and gpu.pcie_generation is None
    assert any("does not say which processes" in note for note in gpu.notes)


def test_virtual_gpu_with_a_process_from_elsewhere(detect: Any) -> None:
    gpu = detect("vgpu").gpus[0]
    assert gpu.virtualization == "vgpu"
    assert gpu.temperature_celsius is None and gpu.power_watts is None and gpu.clock_mhz is None
    process = gpu.processes[0]
    assert (process.name, process.user, process.memory_bytes) == ("not visible from here", "", None)


def test_card_that_refuses_leaves_the_others(detect: Any) -> None:
    machine = detect("refused-card")
    assert [gpu.index for gpu in machine.gpus] == [1]
    assert "GPU 0 may not be used" in machine.problems[0]


@pytest.mark.parametrize(
    ("name", "words", "remedy"),
    [
        ("mismatch", "different versions", "Reboot"),
        ("no-permission", "may not talk", "/dev/nvidiactl"),
        ("not-loaded", "not loaded", "modprobe"),
        ("unknown-error", "Unknown Error", "nvidia-smi"),
        ("no-cards", "shows no GPU", "--gpus all"),
    ],
)
def test_what_goes_wrong_is_a_sentence_with_a_remedy(detect: Any, name: str, words: str, remedy: str) -> None:
    machine = detect(name)
    assert machine.gpus == () and machine.host.memory_total_bytes > 0
    (problem,) = machine.problems
    assert words in problem and remedy in problem


def test_no_driver_at_all(run_python: Any, tmp_path: Any) -> None:
    code = "from loratui.machine.detect import detect_machine; print(*detect_machine().problems)"
    result = run_python("none", "-c", code, LD_LIBRARY_PATH=str(tmp_path), STANDIN_MACHINE="none")
    # On a computer with a real driver the sentence differs; the point is a sentence and no traceback.
    assert result.returncode == 0 and result.stderr == ""


LOST = """
from loratui.machine.nvml import NvmlReader
reader = NvmlReader()
first, second, third = reader.sample(), reader.sample(), reader.sample()
assert [gpu.lost for gpu in first.gpus] == [False, False], first
assert not first.problems
assert [gpu.lost for gpu in third.gpus] == [False, True], third
assert third.gpus[1].name == "NVIDIA L4" and third.gpus[1].memory_free_bytes == 0
assert third.gpus[1].memory_total_bytes == first.gpus[1].memory_total_bytes
assert not third.gpus[1].visible and third.gpus[0].visible
print(*third.problems)
"""


def test_card_lost_in_the_middle(run_python: Any) -> None:
    result = run_python("lost-card", "-c", LOST)
    assert result.returncode == 0, result.stderr
    assert "GPU 1 (NVIDIA L4) is lost" in result.stdout and "reset" in result.stdout


RESTARTED = """
from loratui.machine.nvml import NvmlReader
reader = NvmlReader()
first, second, third = reader.sample(), reader.sample(), reader.sample()
assert first.driver == third.driver == "works" and len(third.gpus) == 1, third
assert second.driver == "broken" and not second.gpus
print(*second.problems)
"""


def test_driver_that_is_restarted_is_opened_again(run_python: Any) -> None:
    result = run_python("restarted", "-c", RESTARTED)
    assert result.returncode == 0, result.stderr
    assert "restarted" in result.stdout


def test_memory_that_cannot_be_read_is_not_taken_for_the_hosts(detect: Any) -> None:
    gpu = detect("no-memory-figures").gpus[0]
    assert gpu.kind == "gpu" and gpu.memory_free_bytes == 0
    assert any("does not say how much memory" in note for note in gpu.notes)


HANG = """
import threading
from loratui.machine.nvml import NvmlReader
reader = NvmlReader(open_seconds=OPEN, sample_seconds=SAMPLE)
limits, wait = [], threading.Event.wait
def counted(event, limit=None):
    limits.extend([limit] if limit is not None else [])  # a thread's own start waits without one
    return wait(event, limit)
threading.Event.wait = counted
samples = [reader.sample() for _ in range(4)]
print(len(samples[0].gpus), len(samples[-1].gpus), samples[-1].problems[0])
assert limits == LIMITS, limits
reader.close()
"""


def hang(opening: float, sampling: float, *limits: float) -> str:
    """Four samples of a driver that hangs, and how long at most each of them waited for it."""
    told = HANG.replace("OPEN", str(opening)).replace("SAMPLE", str(sampling))
    return told.replace("LIMITS", str(list(limits)))


def test_driver_that_hangs_when_opened_costs_its_limit_once(run_python: Any) -> None:
    result = run_python("hang-open", "-c", hang(0.4, 60.0, 0.4, 0.0, 0.0, 0.0))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("0 0 NVIDIA's driver has not answered")


def test_driver_that_hangs_later_leaves_the_last_figures(run_python: Any) -> None:
    result = run_python("hang-later", "-c", hang(60.0, 0.4, 60.0, 0.4, 0.0, 0.0))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("1 1 NVIDIA's driver has not answered")


MACHINES = (
    "t4",
    "2x3090",
    "a100-mig",
    "a100-mig-empty",
    "8xh100",
    "gh200",
    "lost-card",
    "refused-card",
    "vgpu",
    "no-cards",
    "mismatch",
    "no-permission",
    "not-loaded",
)


@pytest.mark.parametrize("name", MACHINES)
def test_command_says_it_without_a_traceback(run_python: Any, name: str) -> None:
    result = run_python(
        name, "-c", "import sys; sys.argv = ['loratui', 'machine']; from loratui.cli import main; main()"
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert "Memory" in result.stdout and ("GPU 0" in result.stdout or "GPU 1" in result.stdout or "!" in result.stdout)


def test_command_json_has_everything(run_python: Any) -> None:
    result = run_python(
        "2x3090", "-c", "import sys; sys.argv = ['loratui', 'machine', '--json']; from loratui.cli import main; main()"
    )
    document = json.loads(result.stdout)
    busy, idle = document["gpus"]
    assert document["training_device"] == 1 and idle["idle"] and not busy["idle"]
    assert busy["capabilities"]["bf16"] == "yes" and busy["capabilities"]["fp8"] == "no"
    assert busy["capabilities"]["best_precision"] == "bf16"
    assert busy["processes"][0]["memory_bytes"] == 18000 * MIB
    assert busy["peak_flops"] == 71.0e12  # NVIDIA's GA102 whitepaper: 71 dense with float32 accumulation
    assert document["links"][0]["kind"] == "nvlink"
    assert {"host", "driver_version", "cuda_version", "problems", "notes", "visible_devices", "scheduler"} <= set(
        document
    )


def test_visible_devices_reach_the_document(detect: Any) -> None:
    machine = detect("8xh100", CUDA_VISIBLE_DEVICES="2,5")
    assert [gpu.index for gpu in machine.gpus if gpu.visible] == [2, 5]
    assert machine.visible_devices == "2,5"
    assert "hides 6 of 8" in machine.notes[0]
