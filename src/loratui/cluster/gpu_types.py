"""A cluster's GPU types as devices to plan for: the catalogue knows the card, or a person said its memory once."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from loratui.cluster.choose import gpu_kind, partition_of
from loratui.cluster.facts import Cluster
from loratui.cluster.slurm import ClusterError
from loratui.core.cluster_section import ClusterSection
from loratui.core.hardware import Device
from loratui.files import make_folder, read_object, write_whole
from loratui.machine.catalogue import CatalogueGpu, UnknownGpu, find_gpu
from loratui.paths import state_home

GB = 10**9


class UnknownGpuType(ClusterError):
    """A type whose memory is not known: somebody has to say it."""

    code = "gpu-type"
    exit_status = 2

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"how much memory the cluster's GPUs of type {kind or '(none named)'} have is not known.",
            where="cluster.gpu_type",
            hint="Say it once, it is remembered: --gpu-memory 40GiB.",
        )
        self.kind = kind


def card_of(kind: str) -> CatalogueGpu | None:
    """The catalogue's card of a type such as `h100`, `nvidia_a100-sxm4-80gb`, `rtx_a6000`; None where it has none."""
    plain = kind.replace("_", " ").strip()
    for name in dict.fromkeys((kind, plain, plain.removeprefix("nvidia ").removeprefix("tesla "), f"nvidia {plain}")):
        try:
            found = find_gpu(name)
        except UnknownGpu:
            continue
        if found.exact:
            return found
    return None


def device_of(kind: str, count: int = 1) -> Device:
    """`count` idle GPUs of a type. Raises UnknownGpuType."""
    memory = remembered_memory(kind)
    card = card_of(kind)
    if card is not None:
        return card.device(count, memory_bytes=memory)
    if memory is None and (slice_ := re.search(r"\d+g\.(\d+)gb", kind)):
        memory = int(slice_[1]) * GB
    if memory is None:
        raise UnknownGpuType(kind)
    return Device(
        name=kind or "GPU",
        simulated=True,
        count=count,
        memory_total_bytes=memory,
        memory_free_bytes=memory,
        compute_capability=(8, 0),
        assumed="Ampere's",
    )


def planned(section: ClusterSection, cluster: Cluster, memory_bytes: int | None = None) -> Device:
    """The device that a plan for this cluster is calculated for. memory_bytes: of a GPU, where somebody says it; it is
    remembered. Raises ClusterError.
    """
    partition = partition_of(section, cluster)
    if not section.gpus_per_node:
        memory = partition.most_memory_bytes
        return Device(
            name=f"CPU of {partition.name}",
            kind="cpu",
            simulated=True,
            count=section.nodes,
            nodes=section.nodes,
            memory_total_bytes=memory,
            memory_free_bytes=memory,
        )
    kind = gpu_kind(section, partition)
    if memory_bytes is not None:
        remember_memory(kind.type, memory_bytes)
    return replace(device_of(kind.type, section.nodes * section.gpus_per_node), nodes=section.nodes)


def remembered_memory(kind: str) -> int | None:
    """Bytes that somebody said a type has; None where nobody did."""
    found = _kept().get(kind)
    return found if isinstance(found, int) and found > 0 else None


def remember_memory(kind: str, memory_bytes: int) -> None:
    """Keep what a type's memory is. A home that cannot be written to forgets it."""
    try:
        make_folder(state_home())
        write_whole(state_home() / "gpu-types.json", json.dumps({**_kept(), kind: memory_bytes}) + "\n")
    except OSError:
        return


def _kept() -> dict[str, object]:
    try:
        return read_object(state_home() / "gpu-types.json")
    except OSError:
        return {}
