"""The plan's section for a batch scheduler."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from loratui.core.document import Document

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+,:@/-]*$", max_length=200)]
"""A name that a scheduler knows: nothing in it that a shell would read."""


class ClusterSection(Document):
    """Where a batch scheduler places the run; means nothing while `engine` is empty."""

    engine: Literal["", "slurm"] = Field(
        "", title="Engine", description="Scheduler that places the run: `slurm`; empty: it runs on this machine."
    )
    partition: Word = Field("", title="Partition", description="Partition of the cluster; empty: its default one.")
    account: Word = Field("", title="Account", description="Account that the job is charged to; empty: your default.")
    qos: Word = Field("", title="QOS", description="Quality of service; empty: the default one.")
    nodes: int = Field(1, ge=1, le=1024, title="Nodes", description="Computers that train together.")
    gpus_per_node: int = Field(
        1, ge=0, le=64, title="GPUs a node", description="GPUs of each node, one process each; 0: one on its CPU."
    )
    gpu_type: Word = Field("", title="GPU type", description="As the cluster names it, e.g. h100; empty: any.")
    cpus_per_gpu: int = Field(
        0, ge=0, le=512, title="CPUs a GPU", description="Processors for each process; 0: as the cluster gives."
    )
    memory_gib: int = Field(
        0, ge=0, le=65536, title="Host memory", description="GiB of each node's memory; 0: as the cluster gives."
    )
    time_limit_minutes: int = Field(
        0,
        ge=0,
        le=525_600,
        title="Time limit",
        description="Minutes a job may take; 0: the partition's own limit.",
    )
    constraint: str = Field(
        "",
        max_length=200,
        pattern=r"^[A-Za-z0-9_.,&|*()\[\]-]*$",
        title="Constraint",
        description="Features that the nodes must have, as Slurm's --constraint takes them.",
    )
    setup: list[str] = Field(
        default_factory=list, title="Set-up", description="Shell lines before the training: modules, conda."
    )
    requeue: bool = Field(
        True,
        title="Requeue",
        description="Go on by itself in a next job after the time limit, preemption or the loss of a node.",
    )
