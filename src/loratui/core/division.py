"""Over how many computers a plan's processes are spread, and among how many of them its weights are divided."""

from __future__ import annotations

from loratui.core.plan import Plan


def node_count(plan: Plan) -> int:
    """Computers that train together."""
    return plan.cluster.nodes if plan.cluster.engine else 1


def share_count(plan: Plan) -> int:
    """Processes among which the weights are divided: all, or those of a node (hybrid); 1 where each holds them
    whole.
    """
    parallelism = plan.hardware.parallelism
    return 1 if parallelism == "ddp" else plan.processes // (node_count(plan) if parallelism == "hybrid" else 1)
