"""Cards of AMD, Intel and Apple: found, named, and what does not work on them said before it fails.

No such card is here: the kernel's files are a tree of the same names, AMD's package a stand-in with its functions.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loratui.core.accelerators import ACCELERATORS, best_format, torch_build, vendor_fault
from loratui.core.attention import FLASH_KERNELS
from loratui.core.dataset import uniform
from loratui.core.families import read_config
from loratui.core.hardware import Device, Machine
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.machine import amd, detect, other_cards
from loratui.machine.device import visible_devices
from loratui.machine.doctor import machine_checks
from loratui.machine.nvml import NvmlReader, NvmlSample
from loratui.machine.report import machine_json, machine_lines

GIB, MIB = 2**30, 2**20
MI300, RDNA2 = (90402, 192 * GIB), (100300, 16 * GIB)
SPEC = read_config(
    {"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
     "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256}
)  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    yield
    amd._library.cache_clear()
    other_cards.on_bus.cache_clear()


def kernel(root: Path, *cards: tuple[int, int], vendor: str = "0x1002") -> Path:
    """/sys of a computer with these cards: version of what they compute with, bytes. Node 0 is the processor."""
    nodes = root / "sys/class/kfd/kfd/topology/nodes"
    (nodes / "0").mkdir(parents=True)
    (nodes / "0/properties").write_text("cpu_cores_count 64\nsimd_count 0\ngfx_target_version 0\n")
    for number, (version, total) in enumerate(cards, 1):
        bus = root / f"sys/devices/pci0000:00/0000:{number:02x}:00.0"
        bus.mkdir(parents=True)
        (bus / "vendor").write_text(f"{vendor}\n")
        (bus / "class").write_text("0x038000\n")
        (bus / "mem_info_vram_total").write_text(f"{total}\n")
        (bus / "mem_info_vram_used").write_text(f"{GIB // 4}\n")
        (bus / "gpu_busy_percent").write_text("7\n")
        on_bus = root / "sys/bus/pci/devices"
        on_bus.mkdir(parents=True, exist_ok=True)
        (on_bus / bus.name).symlink_to(bus)
        render = root / f"sys/class/drm/renderD{127 + number}"
        render.mkdir(parents=True)
        (render / "device").symlink_to(bus)
        node = nodes / str(number)
        node.mkdir()
        (node / "name").write_text("aqua_vanjaram\n")
        (node / "properties").write_text(
            f"simd_count 1216\ngfx_target_version {version}\ndrm_render_minor {127 + number}\nunique_id {number}\n"
        )
    return root


def machine(root: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str] | None = None) -> Machine:
    """What is detected of such a computer."""
    found = other_cards.other_cards
    monkeypatch.setattr(detect, "other_cards", lambda env: found(env, root))
    reader = NvmlReader()
    monkeypatch.setattr(reader, "sample", lambda seconds=None: NvmlSample(problems=("No NVIDIA driver was found.",)))
    return detect.snapshot(reader, environment=environment or {})


def test_amds_cards_by_the_kernels_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = machine(kernel(tmp_path, MI300, RDNA2), monkeypatch)
    first, second = found.gpus
    assert (found.driver, found.vendor, found.problems) == ("works", "amd", ())
    assert (first.architecture, second.architecture) == ("gfx942", "gfx1030")
    assert first.name == "AMD aqua_vanjaram" and first.uuid == "GPU-0000000000000001"
    assert first.memory_free_bytes == 192 * GIB - GIB // 4 and first.utilization_percent == 7
    assert "amdsmi" in first.notes[0] and first.compute_capability is None
    assert visible_devices(found, [1]) == "1" and visible_devices(found, []) == "0"
    assert any("not built for AMD's cards" in note for note in found.notes)  # torch's CPU build
    told = json.loads(json.dumps(machine_json(found)))
    assert told["gpus"][0]["capabilities"] == {"best_precision": "bf16"}
    assert any("train in bf16" in line and "flash-attention 3" in line for line in machine_lines(found))


def test_amds_own_package_adds_names_heat_and_who_holds_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(Path(__file__).with_name("standin_amdsmi.py"), tmp_path / "amdsmi.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    card = {"bdf": "0000:01:00.0", "name": "AMD Instinct MI300X", "vram_mb": [196592, 64000], "busy": 93, "watts": 410,
            "celsius": 66, "processes": [["python", 77, 60 * GIB]]}  # fmt: skip
    monkeypatch.setenv("STANDIN_AMD", json.dumps([card, {"bdf": "0000:02:00.0"}]))  # the second one says nothing
    amd._library.cache_clear()
    first, second = machine(kernel(tmp_path / "root", MI300, RDNA2), monkeypatch).gpus
    assert first.name == "AMD Instinct MI300X" and first.memory_free_bytes == (196592 - 64000) * MIB
    assert (first.utilization_percent, first.power_watts, first.temperature_celsius) == (93, 410.0, 66)
    assert [(one.name, one.pid, one.memory_bytes) for one in first.processes] == [("python", 77, 60 * GIB)]
    assert second.name == "AMD aqua_vanjaram" and second.memory_total_bytes == 16 * GIB and second.power_watts is None


def test_a_package_that_finds_no_driver_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(Path(__file__).with_name("standin_amdsmi.py"), tmp_path / "amdsmi.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("STANDIN_AMD", raising=False)
    amd._library.cache_clear()
    assert machine(kernel(tmp_path / "root", MI300), monkeypatch).gpus[0].name == "AMD aqua_vanjaram"


@pytest.mark.parametrize(
    ("environment", "visible"),
    [
        ({"HIP_VISIBLE_DEVICES": "1"}, ["GPU-0000000000000002"]),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, ["GPU-0000000000000001", "GPU-0000000000000002"]),
        ({"HIP_VISIBLE_DEVICES": "-1", "CUDA_VISIBLE_DEVICES": "0"}, []),
        ({"ROCR_VISIBLE_DEVICES": "GPU-0000000000000003,0"}, ["GPU-0000000000000003", "GPU-0000000000000001"]),
        ({"ROCR_VISIBLE_DEVICES": "2,0", "HIP_VISIBLE_DEVICES": "1"}, ["GPU-0000000000000001"]),
        ({"HIP_VISIBLE_DEVICES": "0,9,1"}, ["GPU-0000000000000001"]),
    ],
)
def test_what_is_hidden_from_hip_is_hidden_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], visible: list[str]
) -> None:
    found = machine(kernel(tmp_path, MI300, MI300, MI300), monkeypatch, environment)
    assert [gpu.uuid for gpu in found.gpus if gpu.visible] == (visible or [])
    assert [gpu.index for gpu in found.gpus] == [0, 1, 2]


def test_a_card_without_its_driver_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = kernel(tmp_path, MI300)
    shutil.rmtree(root / "sys/class/kfd")
    found = machine(root, monkeypatch)
    assert found.gpus == () and found.driver == "absent" and any("/dev/kfd" in note for note in found.notes)


def test_intels_card_is_told_with_torch_for_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = kernel(tmp_path, MI300, vendor="0x8086")
    assert not any("XPU" in note for note in machine(root, monkeypatch).notes)
    monkeypatch.setattr(other_cards, "installed_build", lambda: "XPU")
    found = machine(root, monkeypatch)
    assert found.gpus == () and any("XPU" in note and "--gpu-memory" in note for note in found.notes)


def test_apples_gpu_shares_the_hosts_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_cards.sys, "platform", "darwin")
    monkeypatch.setattr(other_cards.platform, "machine", lambda: "arm64")
    cards = other_cards.other_cards({}, tmp_path)
    monkeypatch.undo()
    (gpu,) = cards.gpus
    assert (gpu.kind, gpu.vendor) == ("unified", "apple") and gpu.memory_free_bytes > 0


def test_the_doctor_says_what_will_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = machine(kernel(tmp_path, MI300), monkeypatch)
    checks = {check.name: check for check in machine_checks(found)}
    assert checks["driver"].state == "ok" and "AMD" in checks["driver"].meaning
    said = [check.meaning for check in machine_checks(replace(found, vendor="apple"))]
    for words in ("paged optimizer does not work on Apple", "8-bit optimizer", "8 bit does not work", "several"):
        assert any(words in line for line in said), words


def proposed(vendor: Any, architecture: str = "", kernels: tuple[str, ...] = FLASH_KERNELS, **values: Any) -> Proposal:
    size = 64 * GIB
    device = Device(name="A card", vendor=vendor, architecture=architecture, attention_kernels=kernels,
                    memory_total_bytes=size, memory_free_bytes=size)  # fmt: skip
    by_hand = {key.replace("__", "."): value for key, value in values.items()}
    return propose(Situation(SPEC, uniform(2_000, 300), device), by_hand=by_hand)


@pytest.mark.parametrize(
    ("vendor", "architecture", "precision", "attention"),
    [
        ("amd", "gfx942", "bf16", "flash_attention_2"),
        ("amd", "gfx1030", "fp16", "flash_attention_2"),
        ("intel", "", "bf16", "sdpa"),
        ("apple", "", "fp32", "sdpa"),
    ],
)
def test_proposed_is_what_a_makers_cards_do(vendor: Any, architecture: str, precision: str, attention: str) -> None:
    made = proposed(vendor, architecture)
    assert (made.plan.training.precision, made.plan.model.attention) == (precision, attention)
    assert "paged" not in made.plan.training.optimizer and not vendor_fault(made.plan, vendor)
    assert made.device.bf16 is (precision == "bf16")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"training__optimizer": "paged_adamw_8bit"}, "paged memory"),
        ({"training__optimizer": "adamw_8bit"}, "no 8-bit optimizer"),
        ({"method__kind": "qlora", "method__quantization": "int8"}, "no 8-bit ones"),
        ({"model__attention": "flash_attention_2"}, "CUDA and ROCm alone"),
        ({"model__attention": "kernels-community/flash-attn2"}, "built for CUDA"),
    ],
)
def test_what_does_not_work_is_a_warning_of_the_plan_and_a_refusal_of_the_worker(
    values: dict[str, Any], words: str
) -> None:
    from loratui.core.errors import PlanError
    from loratui.worker.training.config import DeviceTraits, check

    made = proposed("apple", **values)
    assert any(words in warning for warning in made.warnings)
    with pytest.raises(PlanError, match="does not work on Apple's cards"):
        check(made.plan, DeviceTraits("mps", vendor="apple"))
    assert not any(words in warning for warning in proposed("nvidia", **values).warnings)


def test_no_way_to_less_memory_leads_into_what_does_not_work() -> None:
    full = proposed("apple", method__kind="full", training__batch_size=64, training__max_length=4096)
    changes = [one.change for one in full.alternatives]
    assert changes and not any("8bit" in str(change.get("training.optimizer", "")) for change in changes)
    for change in changes:
        assert not vendor_fault(with_values(full.plan, change), "apple")


def test_the_worker_takes_rocm_for_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """HIP answers as CUDA does, with numbers of its own, and refuses TF32."""
    import torch

    from loratui.worker.training.config import find_device

    class Properties:
        gcnArchName = "gfx1030"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "AMD Radeon RX 6800")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: (10, 3))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: Properties)
    monkeypatch.setattr(torch.version, "hip", "6.4")
    found = find_device()
    assert (found.kind, found.vendor, found.bf16, found.tf32) == ("cuda", "amd", False, False)
    monkeypatch.setattr(torch.version, "hip", None)
    assert find_device().tf32 and find_device().vendor == "nvidia"


def test_the_worker_trains_on_xpu_and_mps_where_torch_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from loratui.worker.training.config import find_device

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: True)
    assert find_device().kind == "mps" and find_device(cpu=True).kind == "cpu"
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.xpu, "get_device_name", lambda: "Intel(R) Arc(TM) B580")
    found = find_device()
    assert (found.kind, found.vendor, found.bf16, found.tf32) == ("xpu", "intel", True, False)


def test_the_peak_of_xpu_and_mps_is_what_their_torch_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from loratui.core.memory.overhead import context_bytes
    from loratui.worker.training.memory import device, forget_peak, process_peak_bytes

    gib = 2**30
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: True)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 7 * gib)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 48 * gib)
    assert process_peak_bytes() == 7 * gib
    assert 0 < process_peak_bytes(cpu=True) != 7 * gib, "of this process on the processors"
    here = device()
    assert (here.kind, here.vendor, here.memory_total_bytes) == ("gpu", "apple", 48 * gib)
    assert device(cpu=True).kind == "cpu"
    peak = [20 * gib]
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.xpu, "get_device_name", lambda: "Intel(R) Arc(TM) B580")
    monkeypatch.setattr(torch.xpu, "max_memory_reserved", lambda: peak[0])
    monkeypatch.setattr(torch.xpu, "memory_reserved", lambda: 2 * gib)
    monkeypatch.setattr(torch.xpu, "mem_get_info", lambda: (9 * gib, 12 * gib))
    monkeypatch.setattr(torch.xpu, "reset_peak_memory_stats", lambda: peak.__setitem__(0, 0))
    here = device()
    assert (here.vendor, here.memory_free_bytes, here.memory_total_bytes) == ("intel", 11 * gib, 12 * gib)
    assert process_peak_bytes() == 20 * gib + context_bytes(here)
    forget_peak()
    assert process_peak_bytes() == context_bytes(here)


def test_a_card_that_torch_does_not_see_is_no_reason_to_train_on_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.core.errors import WorkerError
    from loratui.worker.training import config

    root, found = kernel(tmp_path, MI300), other_cards.other_cards
    monkeypatch.setattr(config, "other_cards", lambda environment: found(environment, root))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(WorkerError, match="does not see the AMD card") as error:
        config.require_gpu(config.DeviceTraits("cpu"), Plan())
    assert "rocm" in error.value.hint
    config.require_gpu(config.DeviceTraits("cpu"), with_values(Plan(), {"hardware.cpu": True}))
    config.require_gpu(config.DeviceTraits("cuda", vendor="amd"), Plan())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config.require_gpu(config.DeviceTraits("cpu"), Plan())


def test_builds_of_torch_by_their_names() -> None:
    versions = ("2.13.0+cpu", "2.11.0+cu130", "2.9.1+rocm6.4", "2.11.0+xpu", "2.13.0", "2.9.0+rocm7.0.git1")
    assert [torch_build(one) for one in versions] == ["CPU", "CUDA", "ROCm", "XPU", "", "ROCm"]
    assert best_format("amd", "gfx90a:sramecc+:xnack-") == "bf16" and best_format("amd", "gfx906") == "fp16"
    assert all(one.wheels.startswith("pip install") for one in ACCELERATORS.values())
    assert vendor_fault(Plan(), "amd") is None
