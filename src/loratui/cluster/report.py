"""A cluster as lines for people, and as the object that `machine --json` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from loratui.cluster.facts import Cluster, GpuKind, Partition
from loratui.cluster.gpu_types import card_of, remembered_memory
from loratui.cluster.queue import Job, Queue
from loratui.cluster.words import job_words
from loratui.format import duration, size


def cluster_json(cluster: Cluster, queue: Queue) -> dict[str, Any]:
    """Everything: partitions with their GPUs, limits and nodes, rights, and the person's jobs that are not over."""
    return {
        "scheduler": "slurm",
        "name": cluster.name,
        "version": cluster.version,
        "partitions": [_partition_json(one) for one in cluster.partitions],
        "rights": asdict(cluster.rights),
        "jobs": [asdict(job) | {"life": job.life} for job in _living(queue)],
        "problem": queue.problem,
    }


def _partition_json(one: Partition) -> dict[str, Any]:
    return {
        "name": one.name,
        "default": one.default,
        "up": one.up,
        "max_minutes": one.max_minutes,
        "default_minutes": one.default_minutes,
        "max_nodes": one.max_nodes,
        "accounts": list(one.accounts),
        "qos": list(one.qos),
        "nodes": {state: one.count(state) for state in ("idle", "mixed", "allocated", "down")}
        | {"total": len(one.nodes)},
        "down": [{"name": node.name, "state": node.said, "reason": node.reason} for node in one.down],
        "cpus_per_node": one.most_cpus,
        "memory_bytes_per_node": one.most_memory_bytes,
        "gpus": [asdict(kind) | _card(kind) for kind in one.gpus],
    }


def _card(kind: GpuKind) -> dict[str, Any]:
    card, said = card_of(kind.type), remembered_memory(kind.type)
    return {"card": card.name if card else None, "memory_bytes": said or (card.memory_usable_bytes if card else None)}


def _living(queue: Queue) -> list[Job]:
    return [job for job in queue.jobs.values() if job.life != "over"]


def cluster_lines(cluster: Cluster, queue: Queue) -> list[str]:
    """The cluster as lines of text, at most about 100 columns."""
    lines = [f"Cluster       {cluster.name or '(no name)'}, Slurm {cluster.version}"]
    for one in cluster.partitions:
        lines.append(f"  {partition_words(one)}")
        lines += [f"    {gpu_words(kind)}" for kind in one.gpus]
        for node in one.down:
            lines.append(f"    ! {node.name} is {node.said.lower()}{f': {node.reason}' if node.reason else ''}")
    if cluster.rights.accounts:
        lines.append(f"  your accounts: {', '.join(cluster.rights.accounts)}")
    if cluster.rights.qos:
        lines.append(f"  your QOS: {', '.join(cluster.rights.qos)}")
    jobs = _living(queue)
    lines += [f"  your job {job.id} ({job.name}) {job_words(job)}" for job in jobs[:20]]
    lines += [f"  and {len(jobs) - 20} jobs more"] if len(jobs) > 20 else []
    return [*lines, f"! {queue.problem}"] if queue.problem else lines


def partition_words(one: Partition) -> str:
    """`gpu (default): 2 nodes, 1 idle, 1 down; at most 2 h`."""
    nodes = len(one.nodes)
    states = [f"{one.count(state)} {state}" for state in ("idle", "mixed", "allocated", "down") if one.count(state)]
    limit = "no time limit" if one.max_minutes is None else f"at most {duration(one.max_minutes * 60)} a job"
    marks = "".join([" (default)" if one.default else "", "" if one.up else " (takes no jobs)"])
    who = f"; for {', '.join(one.accounts)}" if one.accounts else ""
    return f"{one.name}{marks}: {nodes} node{'' if nodes == 1 else 's'}, {', '.join(states) or 'none'}; {limit}{who}"


def gpu_words(kind: GpuKind) -> str:
    """`h100: 2 a node, 3 of 4 free; H100 80GB, 79.2 GiB`."""
    found = _card(kind)
    known = "memory not known"
    if found["memory_bytes"]:
        known = f"{found['card'] or 'by your word'}, {size(found['memory_bytes'])}"
    return f"{kind.type or 'GPUs of no named type'}: {kind.per_node} a node, {kind.free} of {kind.total} free; {known}"
