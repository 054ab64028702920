"""Which device a training gets."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from loratui.core.errors import MachineError
from loratui.core.hardware import Gpu, GpuProcess, Host, Machine
from loratui.machine.device import (
    choose_gpu,
    cpu_device,
    cpu_peak_flops,
    device_for,
    parse_memory_size,
    visible_devices,
)

GIB = 2**30
HOST = Host(
    hostname="box",
    cpu_name="CPU",
    cpu_count=8,
    memory_total_bytes=64 * GIB,
    memory_available_bytes=60 * GIB,
    disk_path="/",
    disk_total_bytes=1,
    disk_free_bytes=1,
    cpu_clock_mhz=3000,
    cpu_features=("avx2",),
)


def gpu(index: int, free_gib: int, total_gib: int = 24, **more: object) -> Gpu:
    return TypeAdapter(Gpu).validate_python(
        {
            "index": index,
            "uuid": f"GPU-{index}",
            "name": "NVIDIA GeForce RTX 3090",
            "compute_capability": (8, 6),
            "memory_total_bytes": total_gib * GIB,
            "memory_free_bytes": free_gib * GIB,
            **more,
        }
    )


def box(*gpus: Gpu) -> Machine:
    return Machine(host=HOST, gpus=gpus)


def test_idle_card_is_taken_before_a_busy_one() -> None:
    machine = box(gpu(0, 6), gpu(1, 24), gpu(2, 24))
    chosen = choose_gpu(machine)
    assert chosen is not None and chosen.index == 1
    assert device_for(machine).memory_free_bytes == 24 * GIB


def test_larger_idle_card_is_taken() -> None:
    chosen = choose_gpu(box(gpu(0, 8, 8), gpu(1, 24)))
    assert chosen is not None and chosen.index == 1


def test_without_an_idle_card_the_most_free_memory_wins() -> None:
    assert device_for(box(gpu(0, 6), gpu(1, 9))).memory_free_bytes == 9 * GIB


def test_hidden_and_lost_cards_are_not_taken() -> None:
    machine = box(gpu(0, 24, visible=False), gpu(1, 0, lost=True, visible=False))
    assert choose_gpu(machine) is None
    assert device_for(machine).kind == "cpu"
    assert visible_devices(machine, []) == ""


def test_unified_memory_with_other_use_is_still_idle() -> None:
    process = GpuProcess(pid=1, name="x", user="y", memory_bytes=1)
    machine = box(gpu(0, 12, kind="unified"), gpu(1, 13, kind="unified", processes=[process]))
    chosen = choose_gpu(machine)
    assert chosen is not None and chosen.index == 0


def test_several_cards_are_as_strong_as_the_weakest() -> None:
    machine = box(gpu(0, 20), gpu(1, 10, name="NVIDIA L4", compute_capability=(8, 9)))
    device = device_for(machine, [0, 1])
    assert (device.count, device.memory_free_bytes, device.compute_capability) == (2, 10 * GIB, (8, 6))
    assert device.peak_flops == 71e12 and device.memory_bandwidth_bytes_per_second == 300e9
    assert visible_devices(machine, [1, 0]) == "GPU-1,GPU-0"


def test_one_unknown_card_makes_the_peak_unknown() -> None:
    assert device_for(box(gpu(0, 24), gpu(1, 24, name="Mystery")), [0, 1]).peak_flops is None


@pytest.mark.parametrize(
    ("devices", "words"),
    [([7], "there is no GPU 7"), ([1], "hidden"), ([2], "lost"), ([0, 0], "twice"), ([3, 4], "MIG")],
)
def test_wrong_choice_is_a_sentence(devices: list[int], words: str) -> None:
    machine = box(
        gpu(0, 24), gpu(1, 24, visible=False), gpu(2, 0, lost=True), gpu(3, 9, kind="mig"), gpu(4, 9, kind="mig")
    )
    with pytest.raises(MachineError, match=words) as caught:
        device_for(machine, devices)
    assert "hardware.devices" in caught.value.sentence and caught.value.exit_status == 2


def test_choice_on_a_machine_without_gpus_says_why() -> None:
    machine = Machine(host=HOST, problems=("No NVIDIA driver was found.",))
    with pytest.raises(MachineError, match="No NVIDIA driver was found"):
        device_for(machine, [0])


def test_planned_gpu_goes_before_the_machines_own() -> None:
    device = device_for(box(gpu(0, 24)), [0, 1], gpu="A10G")
    assert (device.name, device.count, device.simulated) == ("A10G", 2, True)


def test_the_cpu_may_be_chosen_beside_a_free_gpu() -> None:
    assert device_for(box(gpu(0, 24)), cpu=True).kind == "cpu"


def test_planned_memory() -> None:
    device = device_for(box(gpu(0, 24)), gpu_memory_bytes=16 * GIB)
    assert (device.memory_total_bytes, device.memory_free_bytes, device.compute_capability) == (
        16 * GIB,
        16 * GIB,
        (8, 6),
    )
    assert device_for(box(), gpu_memory_bytes=16 * GIB).bf16
    capped = device_for(box(), gpu="A100 80GB", gpu_memory_bytes=40 * GIB)
    assert (capped.name, capped.memory_free_bytes) == ("A100 80GB", 40 * GIB)


def test_cpu() -> None:
    device = cpu_device(HOST)
    assert (device.kind, device.memory_total_bytes, device.memory_free_bytes) == ("cpu", 64 * GIB, 60 * GIB)
    assert cpu_peak_flops(HOST) == 8 * 3e9 * 32 / 2


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16GiB", 16 * GIB),
        ("24GB", 24 * 10**9),
        ("24 gb", 24 * 10**9),
        ("24G", 24 * GIB),
        ("1.5TiB", 1536 * GIB),
        ("800MiB", 800 * 2**20),
        ("2,5GiB", int(2.5 * GIB)),
        ("17179869184", 16 * GIB),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_memory_size(text) == size


@pytest.mark.parametrize("text", ["", "lots", "16", "-4GiB", "16 GiBB", "GiB", "1e3GiB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(MachineError):
        parse_memory_size(text)


def test_slice_has_its_share_of_the_cards_speed() -> None:
    name = "NVIDIA A100-SXM4-80GB MIG 3g.40gb"
    device = device_for(box(gpu(0, 40, 40, name=name, kind="mig", mig_profile="3g.40gb")))
    assert device.peak_flops == pytest.approx(312e12 * 3 / 7)
    assert device.memory_bandwidth_bytes_per_second == pytest.approx(2039e9 / 2)
