"""CUDA_VISIBLE_DEVICES and a scheduler's share, as CUDA reads them."""

from __future__ import annotations

import pytest

from loratui.core.hardware import Gpu
from loratui.machine.visible_devices import scheduler_of, visible_gpus


def card(number: int, name: str = "NVIDIA H100 80GB HBM3") -> Gpu:
    return Gpu(index=number, uuid=f"GPU-{number}{number}aa-ff", name=name, memory_total_bytes=80, memory_free_bytes=80)


def slice_of(parent: str, uuid: str, index: int) -> Gpu:
    return Gpu(
        index=index, uuid=uuid, name="A100 MIG", kind="mig", parent=parent, memory_total_bytes=9, memory_free_bytes=9
    )


FOUR = [card(number) for number in range(4)]
SLICED = [card(0), slice_of("GPU-cafe", "MIG-one", 1), slice_of("GPU-cafe", "MIG-two", 2)]


def shown(gpus: list[Gpu], **environment: str) -> list[int]:
    visible = visible_gpus(gpus, environment).uuids
    return [gpu.index for gpu in gpus if gpu.uuid in visible]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0,2", [0, 2]),
        ("3", [3]),
        (" 1 , 3 ", [1, 3]),
        ("", []),
        ("-1", []),
        ("0,-1,2", [0]),
        ("1,9,2", [1]),
        ("9", []),
        ("0,0", []),
        ("GPU-22", [2]),
        ("GPU-11aa-ff,GPU-33", [1, 3]),
        ("gpu-22AA", [2]),
        ("GPU-", []),
        ("GPU-77", []),
        ("NoDevFiles", []),
        ("banana", []),
    ],
)
def test_values_as_cuda_reads_them(value: str, expected: list[int]) -> None:
    assert shown(FOUR, CUDA_VISIBLE_DEVICES=value) == expected


def test_not_set_shows_all() -> None:
    assert shown(FOUR) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("MIG-two", [2]), ("MIG-one", [1]), ("0", [0]), ("1", [1]), ("GPU-cafe", [1]), ("2", []), ("MIG-", [])],
)
def test_slices_by_uuid_and_cards_by_number(value: str, expected: list[int]) -> None:
    assert shown(SLICED, CUDA_VISIBLE_DEVICES=value) == expected


def test_old_slice_names() -> None:
    gpus = [slice_of("GPU-cafe", "MIG-one", 0)]
    assert shown(gpus, CUDA_VISIBLE_DEVICES="MIG-GPU-cafe/1/0") == [0]


@pytest.mark.parametrize("value", ["0,9", "0,0", "GPU-", "GPU-77"])
def test_what_means_nothing_is_a_problem(value: str) -> None:
    (problem,) = visible_gpus(FOUR, {"CUDA_VISIBLE_DEVICES": value}).problems
    assert value in problem


def test_slurm_without_confinement_is_honoured() -> None:
    assert shown(FOUR, SLURM_JOB_ID="7", SLURM_JOB_GPUS="1,2") == [1, 2]


def test_slurm_that_confines_shows_all_that_is_seen() -> None:
    """The job got GPUs 4 and 5 of the node, and NVML sees only these two."""
    assert shown(FOUR[:2], SLURM_JOB_ID="7", SLURM_JOB_GPUS="4,5") == [0, 1]


def test_cuda_visible_devices_goes_before_slurm() -> None:
    assert shown(FOUR, SLURM_JOB_GPUS="1", CUDA_VISIBLE_DEVICES="0") == [0]


def test_unlike_cards_by_number_are_noted() -> None:
    mixed = [card(0, "A"), card(1, "B")]
    assert any("CUDA_DEVICE_ORDER" in note for note in visible_gpus(mixed, {"CUDA_VISIBLE_DEVICES": "1"}).notes)
    ordered = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert not any("CUDA_DEVICE_ORDER" in note for note in visible_gpus(mixed, ordered).notes)


def test_scheduler() -> None:
    assert scheduler_of({"SLURM_JOB_ID": "1"}) == "slurm"
    assert scheduler_of({"PBS_JOBID": "1.host"}) == "pbs"
    assert scheduler_of({}) == ""
