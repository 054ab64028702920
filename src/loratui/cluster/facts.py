"""A cluster as a document: partitions, GPUs, nodes, limits, and what a person may use of it."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from loratui.core.dataclass import dataclass

NodeState = Literal["idle", "mixed", "allocated", "down"]
"""`down`: nothing can be placed there now: down, drained, failing, not answering, in maintenance."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One computer of the cluster."""

    name: str
    state: NodeState
    said: str
    """The state as Slurm writes it, e.g. `IDLE+DRAIN`."""
    partitions: tuple[str, ...]
    cpus: int
    memory_bytes: int
    gpus: dict[str, int] = field(default_factory=dict)
    """GPUs by type; an empty type where the cluster names none."""
    gpus_used: dict[str, int] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    reason: str = ""
    """Why an administrator, or Slurm, took it out."""


@dataclass(frozen=True, kw_only=True)
class GpuKind:
    """The GPUs of one type in a partition."""

    type: str
    per_node: int
    """Most of one node."""
    nodes: int
    total: int
    free: int
    """Not given to a job, on nodes that are up."""


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Nodes under one set of limits. Minutes: None where there is no limit."""

    name: str
    default: bool
    up: bool
    max_minutes: int | None
    default_minutes: int | None
    max_nodes: int | None
    accounts: tuple[str, ...] = ()
    """Who may use it; empty: everybody."""
    denied_accounts: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    """Which QOS may be used in it; empty: any."""
    nodes: tuple[Node, ...] = ()

    @property
    def gpus(self) -> tuple[GpuKind, ...]:
        """Its GPUs by type, the most first."""
        found = []
        for kind in sorted({kind for node in self.nodes for kind in node.gpus}):
            having = [node for node in self.nodes if node.gpus.get(kind)]
            free = sum(max(0, node.gpus[kind] - node.gpus_used.get(kind, 0)) for node in having if node.state != "down")
            total = sum(node.gpus[kind] for node in having)
            most = max(node.gpus[kind] for node in having)
            found.append(GpuKind(type=kind, per_node=most, nodes=len(having), total=total, free=free))
        return tuple(sorted(found, key=lambda kind: (-kind.total, kind.type)))

    def count(self, state: NodeState) -> int:
        """Nodes in this state."""
        return sum(node.state == state for node in self.nodes)

    @property
    def down(self) -> list[Node]:
        """Its nodes on which nothing can be placed now."""
        return [node for node in self.nodes if node.state == "down"]

    @property
    def most_cpus(self) -> int:
        """Processors of its largest node."""
        return max((node.cpus for node in self.nodes), default=0)

    @property
    def most_memory_bytes(self) -> int:
        """Memory of its largest node."""
        return max((node.memory_bytes for node in self.nodes), default=0)


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What a person may charge jobs to. Empty and not `known` where the cluster keeps no accounts."""

    known: bool = False
    accounts: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    default_account: str = ""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster at one moment."""

    name: str
    version: str
    partitions: tuple[Partition, ...]
    rights: Rights = Rights()

    def partition(self, name: str) -> Partition | None:
        """The partition of this name; the default one for an empty name."""
        return next((one for one in self.partitions if (one.name == name if name else one.default)), None)
