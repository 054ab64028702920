"""Over how many computers a plan's processes are spread, and among how many of them its weights are divided."""

from __future__ import annotations

from loratui.core.plan import Parallelism, Plan


def node_count(plan: Plan) -> int:
    """Computers that train together."""
    return plan.cluster.nodes if plan.cluster.engine else 1


def shares(parallelism: Parallelism, processes: int, nodes: int) -> int:
    """Among how many of so many processes, spread evenly over so many computers, the weights are divided: all, or those
    of a computer (hybrid); 1 where each holds them whole.
    """
    return 1 if parallelism == "ddp" else max(1, processes // (nodes if parallelism == "hybrid" else 1))


def share_count(plan: Plan) -> int:
    """Processes of a plan among which the weights are divided; 1 where each holds them whole."""
    return shares(plan.hardware.parallelism, plan.processes, node_count(plan))
