"""Whether the cluster can give what a plan asks of it: said in one sentence before anything is submitted."""

from __future__ import annotations

import re

from loratui.cluster.choose import gpu_kind, partition_of
from loratui.cluster.facts import Cluster, Partition
from loratui.cluster.slurm import ClusterError
from loratui.core.cluster_section import ClusterSection
from loratui.format import duration, size


def require_possible(section: ClusterSection, cluster: Cluster) -> Partition:
    """The plan's partition. ClusterError for the first thing that the cluster can never give."""
    partition = partition_of(section, cluster)
    if not partition.up:
        raise ClusterError(
            f"partition {partition.name} takes no jobs now.", where="cluster.partition", hint="Take another, or wait."
        )
    _check_nodes(section, partition)
    _check_features(section, partition)
    _check_time(section, partition)
    _check_rights(section, partition, cluster)
    return partition


def _check_nodes(section: ClusterSection, partition: Partition) -> None:
    nodes = len(partition.nodes)
    if section.gpus_per_node:
        kind = gpu_kind(section, partition)
        name = f" of type {kind.type}" if kind.type else ""
        if section.gpus_per_node > kind.per_node:
            raise ClusterError(
                f"no node of partition {partition.name} has {section.gpus_per_node} GPUs{name}: the most is "
                f"{kind.per_node}.",
                where="cluster.gpus_per_node",
                hint=f"Take {kind.per_node}, and more nodes (cluster.nodes).",
            )
        nodes = sum(node.gpus.get(kind.type, 0) >= section.gpus_per_node for node in partition.nodes)
    most = min(nodes, partition.max_nodes or nodes)
    if section.nodes > most:
        raise ClusterError(
            f"partition {partition.name} gives at most {most} such node{'' if most == 1 else 's'} to a job, and the "
            f"plan asks for {section.nodes}.",
            where="cluster.nodes",
        )
    cpus = section.cpus_per_gpu * max(1, section.gpus_per_node)
    if cpus > partition.most_cpus:
        raise ClusterError(
            f"no node of partition {partition.name} has {cpus} processors: the most is {partition.most_cpus}.",
            where="cluster.cpus_per_gpu",
        )
    if section.memory_gib << 30 > partition.most_memory_bytes:
        raise ClusterError(
            f"no node of partition {partition.name} has {section.memory_gib} GiB of memory: the most is "
            f"{size(partition.most_memory_bytes)}.",
            where="cluster.memory_gib",
        )


def _check_features(section: ClusterSection, partition: Partition) -> None:
    """Of features that are put together (`a&b`, `[x|y]`, `a*2`) Slurm alone knows what they mean."""
    there = sorted({feature for node in partition.nodes for feature in node.features})
    if re.fullmatch(r"[\w.:-]+", section.constraint) and section.constraint not in there:
        raise ClusterError(
            f"no node of partition {partition.name} has the feature {section.constraint}.",
            where="cluster.constraint",
            hint=f"There are: {', '.join(there)}." if there else "Its nodes have no features: leave it empty.",
        )


def _check_time(section: ClusterSection, partition: Partition) -> None:
    most = partition.max_minutes
    if most is not None and section.time_limit_minutes > most and not section.requeue:
        raise ClusterError(
            f"partition {partition.name} ends a job after {duration(most * 60)}, and the plan asks for "
            f"{duration(section.time_limit_minutes * 60)}.",
            where="cluster.time_limit_minutes",
            hint=f"Set it to {most}, or cluster.requeue = true: then it goes on in a next job.",
        )


def _check_rights(section: ClusterSection, partition: Partition, cluster: Cluster) -> None:
    rights, account = cluster.rights, section.account
    if account and rights.known and rights.accounts and account not in rights.accounts:
        raise ClusterError(
            f"account {account} is not yours.", where="cluster.account", hint=f"Yours: {', '.join(rights.accounts)}."
        )
    used = account or rights.default_account
    if partition.accounts and not used:
        raise ClusterError(
            f"partition {partition.name} is not for everybody, and the plan names no account.",
            where="cluster.account",
            hint=f"It is for: {', '.join(partition.accounts)}.",
        )
    if partition.accounts and used not in partition.accounts:
        raise ClusterError(
            f"partition {partition.name} is not for account {used}.",
            where="cluster.account",
            hint=f"It is for: {', '.join(partition.accounts)}.",
        )
    if used and used in partition.denied_accounts:
        raise ClusterError(f"partition {partition.name} is closed to account {used}.", where="cluster.account")
    qos = section.qos
    if qos and rights.known and rights.qos and qos not in rights.qos:
        raise ClusterError(f"QOS {qos} is not yours.", where="cluster.qos", hint=f"Yours: {', '.join(rights.qos)}.")
    if qos and partition.qos and qos not in partition.qos:
        raise ClusterError(
            f"partition {partition.name} does not take QOS {qos}.",
            where="cluster.qos",
            hint=f"It takes: {', '.join(partition.qos)}.",
        )


def job_minutes(section: ClusterSection, partition: Partition) -> int:
    """Minutes that one job asks for: the plan's, at most the partition's limit; 0: the partition's default."""
    most = partition.max_minutes
    if section.time_limit_minutes and most is not None:
        return min(section.time_limit_minutes, most)
    return section.time_limit_minutes


def chain_words(section: ClusterSection, partition: Partition) -> str:
    """That a run will need several jobs; empty where one may be enough."""
    most = partition.max_minutes
    if most is None or section.time_limit_minutes <= most:
        return ""
    jobs = -(-section.time_limit_minutes // most)
    return (
        f"Partition {partition.name} ends a job after {duration(most * 60)}: the run may take about {jobs} jobs, each "
        "of which goes on where the last one saved."
    )
