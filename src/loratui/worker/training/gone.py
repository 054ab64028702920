"""A process of several that is gone without a word: on which node, and what is said in its place."""

from __future__ import annotations

import time
from collections.abc import Sequence

from loratui.core.plan import Plan
from loratui.machine.memory_kills import MemoryKills, memory_killed
from loratui.runs.directory import Run
from loratui.worker.training.ending import FELLOW_LOST, GONE, Ending, endings, take_left
from loratui.worker.training.processes import job_nodes, node_name, process_count

PATIENCE_SECONDS = 10.0
"""How long the others may go on after one process has failed: they wait for it in a kernel that hears no signal."""
PERIOD_SECONDS = 0.2
CAUSE_SECONDS = 15.0
"""How long the cause is waited for where only its echo is known: another node's launcher has to notice it."""
NODE_RANKS = 1_000_000
"""Above every rank: under it a node's watch leaves what its processes did not say."""


def silent(run: Run, code: int) -> bool:
    """Whether a process of this node failed and none of this node said why."""
    return code != 0 and not any(ending.node == node_name() for _, ending in endings(run))


def gone(plan: Plan, kills: MemoryKills, *, step: int = 0, nodes: Sequence[str]) -> Ending:
    """A process said nothing. nodes: whose it was, as far as that is known."""
    by_kernel = memory_killed(kills)
    why = (
        f"it was killed {by_kernel}. Train shorter rows or smaller batches, or give it more memory."
        if by_kernel
        else "somebody killed it, or it crashed in a library; the log may say more."
    )
    named = tuple(filter(None, nodes))
    where = f" on node{'s' if len(named) > 1 else ''} {' and '.join(named)}" if named else ""
    return Ending(
        "failed", f"One of the {process_count(plan)} processes is gone{where} without a word: {why}", GONE, step=step
    )


def cause_of(run: Run) -> tuple[Ending | None, tuple[str, ...]]:
    """What ended the run on all its nodes, and the nodes that nothing was heard of: where only echoes of the cause are
    here, it is waited for.
    """
    until = time.monotonic() + CAUSE_SECONDS
    while time.monotonic() < until and all(one.code == FELLOW_LOST for _, one in endings(run)):
        time.sleep(PERIOD_SECONDS)
    heard = {ending.node for _, ending in endings(run)} | {node_name()}
    return take_left(run), tuple(name for name in job_nodes() if name not in heard)
