"""Which partition, and which of its GPUs, a plan means."""

from __future__ import annotations

from loratui.cluster.facts import Cluster, GpuKind, Partition
from loratui.cluster.slurm import ClusterError
from loratui.core.cluster_section import ClusterSection
from loratui.core.near import near


def partition_of(section: ClusterSection, cluster: Cluster) -> Partition:
    """The partition that a plan names, or the default one. ClusterError where there is none."""
    found = cluster.partition(section.partition)
    if found is not None:
        return found
    names = [one.name for one in cluster.partitions]
    if not section.partition:
        raise ClusterError(
            "this cluster has no default partition.",
            where="cluster.partition",
            hint=f"Name one: {', '.join(names)}.",
        )
    meant = near(section.partition, names)
    raise ClusterError(
        f"there is no partition {section.partition}.",
        where="cluster.partition",
        hint=f"Did you mean {meant[0]}?" if meant else f"There are: {', '.join(names) or 'none'}.",
    )


def gpu_kind(section: ClusterSection, partition: Partition) -> GpuKind:
    """The GPUs of a partition that a plan takes: of its type, else those of which there are most. Raises
    ClusterError.
    """
    kinds = partition.gpus
    if section.gpu_type:
        for kind in kinds:
            if kind.type == section.gpu_type:
                return kind
        has = ", ".join(kind.type or "GPUs without a type" for kind in kinds) or "no GPUs"
        raise ClusterError(
            f"partition {partition.name} has no GPUs of type {section.gpu_type}.",
            where="cluster.gpu_type",
            hint=f"It has {has}.",
        )
    if not kinds:
        raise ClusterError(
            f"partition {partition.name} has no GPUs.",
            where="cluster.partition",
            hint="Take another partition, or train on its processors with cluster.gpus_per_node = 0.",
        )
    return kinds[0]
