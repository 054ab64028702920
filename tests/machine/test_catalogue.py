"""The GPU catalogue: every row makes sense, and names are found as people write them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import pytest
from click.testing import CliRunner
from pydantic import TypeAdapter

from loratui.commands.machine import command
from loratui.core.capabilities import capabilities
from loratui.machine.catalogue import CatalogueGpu, UnknownGpu, all_gpus, find_gpu, match_reported, statuses

GIB = 2**30


def test_at_least_forty_cards() -> None:
    assert len(all_gpus()) >= 40
    assert len({gpu.name for gpu in all_gpus()}) == len(all_gpus())


def test_every_row_is_plausible() -> None:
    for gpu in all_gpus():
        assert TypeAdapter(CatalogueGpu).validate_json(json.dumps(asdict(gpu)), strict=True) == gpu
        nominal = gpu.marketed_gb * GIB
        assert 0.88 * nominal < gpu.memory_usable_bytes < gpu.memory_total_bytes <= nominal * 1.01
        assert 100 < gpu.bandwidth_gb_per_second < 10_000
        assert gpu.fp32_tflops > 1 and gpu.source
        can = capabilities(gpu.compute_capability)
        assert (gpu.bf16_tflops is not None) == (can.bf16 == "yes")
        assert (gpu.fp8_tflops is not None) == (can.fp8 == "yes")
        if gpu.fp8_tflops and gpu.bf16_tflops:
            assert gpu.fp8_tflops == pytest.approx(2 * gpu.bf16_tflops, rel=0.02)
        if gpu.bf16_tflops:
            assert gpu.bf16_tflops == gpu.fp16_tflops
        assert find_gpu(gpu.name) == gpu


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("A10G", "A10G"),
        ("a10g", "A10G"),
        ("RTX 4090", "RTX 4090"),
        ("rtx4090", "RTX 4090"),
        ("rtx-4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("NVIDIA H100 80GB HBM3", "H100 80GB"),
        ("h100", "H100 80GB"),
        ("Tesla T4", "T4"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("a100 40gb", "A100 40GB"),
        ("b200", "B200"),
        ("24GB", "24 GB GPU"),
        ("80 GiB", "80 GB GPU"),
    ],
)
def test_names_as_people_write_them(written: str, name: str) -> None:
    assert find_gpu(written).name == name


def test_unknown_name_offers_near_ones() -> None:
    with pytest.raises(UnknownGpu) as caught:
        find_gpu("RTX 4091")
    assert "RTX 4090" in caught.value.sentence and caught.value.exit_status == 2


def test_size_takes_the_least_of_its_class() -> None:
    nameless = find_gpu("24GB")
    assert not nameless.exact
    same = [gpu for gpu in all_gpus() if gpu.marketed_gb == 24 and gpu.bf16_tflops]
    assert nameless.memory_usable_bytes == min(gpu.memory_usable_bytes for gpu in same)
    assert nameless.compute_capability == (8, 0)


def test_size_that_no_card_has() -> None:
    with pytest.raises(UnknownGpu, match="no GPU of the catalogue has 13 GB"):
        find_gpu("13GB")


def test_device_is_simulated_and_idle() -> None:
    device = find_gpu("A10G").device(count=2)
    assert device.simulated and device.count == 2 and device.bf16
    assert device.memory_free_bytes == 22589 * 2**20
    assert device.memory_total_bytes == 23028 * 2**20
    assert device.peak_flops == 70e12


def test_card_without_bf16_has_its_fp16_peak() -> None:
    assert find_gpu("T4").peak_flops() == 65e12
    assert find_gpu("T4").peak_flops("bf16") == 8.1e12
    assert find_gpu("P40").peak_flops() == 11.8e12


def test_driver_name_that_is_not_known() -> None:
    assert match_reported("NVIDIA Quantum 9000") is None


@pytest.mark.parametrize(
    ("name", "tflops"),
    [("H100 80GB", 1979 / 2), ("H100 PCIe", 1513 / 2), ("A100 80GB", 312), ("V100 16GB", 125), ("T4", 65)],
)
def test_dense_peaks_as_lightning_has_them(name: str, tflops: float) -> None:
    """`_CUDA_FLOPS` of lightning/fabric/utilities/throughput.py, from NVIDIA's datasheets (halved: without
    sparsity).
    """
    assert find_gpu(name).peak_flops() / 1e12 == pytest.approx(tflops, rel=0.001)


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        ("L4", 22.03),
        ("A10G", 22.06),
        ("A30", 23.53),
        ("A100 40GB", 39.38),
        ("A100 80GB", 79.14),
        ("RTX A4000", 15.61),
        ("RTX 4090", 23.64),
        ("RTX 5090", 31.36),
        ("RTX 5080", 15.46),
        ("B200", 178.35),
    ],
)
def test_usable_memory_as_out_of_memory_messages_tell_it(name: str, gib: float) -> None:
    """ "GPU 0 has a total capacity of … GiB" in public reports; drivers differ by 0.1 GiB, an older one had 39.59 on
    A100.
    """
    assert find_gpu(name).memory_usable_bytes / GIB == pytest.approx(gib, abs=0.05)


@pytest.mark.parametrize(
    ("name", "mib"),
    [
        ("H100 80GB", 81559),
        ("A100 80GB", 81920),
        ("A100 40GB", 40960),
        ("A10", 23028),
        ("L40S", 46068),
        ("L4", 23034),
        ("T4", 15360),
    ],
)
def test_totals_as_nvidia_smi_prints_them(name: str, mib: int) -> None:
    """A cloud's own list of its cards (modal-labs/modal-client, pull request 2797)."""
    assert find_gpu(name).memory_mib == mib


def test_every_row_says_how_it_is_known() -> None:
    for gpu in all_gpus():
        assert gpu.status in statuses()
        if gpu.status == "recalled":
            assert gpu.source.startswith("from memory")
        else:
            assert re.search(r"[a-z0-9-]+\.[a-z]+/?|[A-Za-z-]+/[A-Za-z-]+ ", gpu.source), "no site or file is named"
            assert not gpu.source.startswith("from memory")


def test_derived_peaks_follow_the_rule_that_is_told() -> None:
    derived = [gpu for gpu in all_gpus() if gpu.status == "derived"]
    assert len(derived) > 10
    for gpu in derived:
        geforce = gpu.name.startswith("RTX ") and not re.search(r"A\d000|Ada", gpu.name)
        factor = 1 if gpu.name.startswith("GTX") else 2 if geforce else 4 if gpu.compute_capability >= (8, 0) else 8
        assert gpu.fp16_tflops == pytest.approx(factor * gpu.fp32_tflops, rel=0.01)


@pytest.mark.parametrize("name", ["P100", "P40", "GTX 1080 Ti", "GTX 1650", "GTX 1660 Ti"])
def test_without_tensor_cores_fp16_adds_up_at_the_float32_rate(name: str) -> None:
    assert find_gpu(name).fp16_tflops == find_gpu(name).fp32_tflops


@pytest.mark.parametrize(
    ("reported", "bandwidth", "tflops"),
    [
        ("NVIDIA A100 80GB PCIe", 1935, 312),
        ("NVIDIA A100-SXM4-80GB", 2039, 312),
        ("Tesla V100-PCIE-16GB", 900, 112),
        ("Tesla V100-SXM2-16GB", 900, 125),
        ("NVIDIA GeForce RTX 4080 SUPER", 736, 104.4),
        ("NVIDIA GeForce RTX 4080", 717, 97.5),
        ("NVIDIA GeForce GTX 1660", 192, 5.0),
        ("NVIDIA GeForce GTX 1660 SUPER", 336, 5.0),
    ],
)
def test_kinds_of_a_card_keep_their_own_speed(reported: str, bandwidth: float, tflops: float) -> None:
    gpu = match_reported(reported)
    assert gpu is not None and (gpu.bandwidth_gb_per_second, gpu.peak_flops() / 1e12) == (
        bandwidth,
        pytest.approx(tflops),
    )


def test_size_is_known_no_better_than_its_cards() -> None:
    assert any(gpu.status == "recalled" for gpu in all_gpus() if gpu.marketed_gb == 24 and gpu.bf16_tflops)
    assert find_gpu("24GB").status == "recalled"
    assert find_gpu("40GB").status == find_gpu("A100 40GB").status == "read"


def test_the_list_shows_and_explains_the_status() -> None:
    text = CliRunner().invoke(command, ["--gpus"]).output
    row = next(line for line in text.splitlines() if line.startswith("A10G "))
    assert row.split()[-1] == "recalled"
    for status, meaning in statuses().items():
        assert (
            f"{status} ({sum(gpu.status == status for gpu in all_gpus())})" in text
            and meaning.split(";")[0][:40] in text
        )
    rows = json.loads(CliRunner().invoke(command, ["--gpus", "--json"]).output)
    assert all(row["status"] and row["source"] for row in rows)
