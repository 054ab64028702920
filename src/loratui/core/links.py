"""What goes over the wires between computers that train together, and how long that takes at least and at most."""

from __future__ import annotations

from loratui.core.architecture import ModelSpec
from loratui.core.hardware import Device
from loratui.core.memory.formats import formats
from loratui.core.memory.sharding import held_formats, together, working_formats
from loratui.core.memory.states import gradients_bytes, weights_bytes
from loratui.core.plan import Plan

LINK_BYTES_PER_SECOND = (1e9, 40e9)
"""What a node's link carries, slowest and fastest: Ethernet of 10 Gbit/s and InfiniBand of 400 Gbit/s, each at about
80 % of its rate. Schedulers do not say which it is."""
LINKS = "10 to 400 Gbit/s"


def bytes_between_nodes(spec: ModelSpec, plan: Plan, device: Device) -> int:
    """Bytes that each node receives from the others in an optimizer step; 0 on one node.

    Copies sum their gradients: a ring sends each twice, less one part (Patarasu and Yuan 2009). Weights that are
    divided over all nodes come for the forward and for the backward pass, and their gradients are summed once; each
    pass of an accumulated step does so anew (accelerate's `sync_each_batch`, which keeps gradients divided).
    """
    nodes = device.nodes
    if nodes < 2:
        return 0
    others = (nodes - 1) / nodes
    shared = together(plan, device)
    whole = formats(plan)
    gradients = gradients_bytes(spec, plan, held_formats(whole, shared))
    if not shared.divided:
        return round(2 * others * gradients)
    passes = plan.training.accumulation
    if plan.hardware.parallelism == "hybrid":
        return round(passes * 2 * others * gradients)
    return round(passes * others * (2 * weights_bytes(spec, working_formats(whole, shared)) + gradients))


def seconds_between_nodes(spec: ModelSpec, plan: Plan, device: Device) -> tuple[float, float]:
    """Shortest and longest time of it in a step."""
    size = bytes_between_nodes(spec, plan, device)
    slow, fast = LINK_BYTES_PER_SECOND
    return size / fast, size / slow


def with_links(step: tuple[float, float], spec: ModelSpec, plan: Plan, device: Device) -> tuple[float, float]:
    """A step's shortest and longest time with the traffic between nodes: behind the products at best, after them at
    worst.
    """
    low, high = seconds_between_nodes(spec, plan, device)
    return max(step[0], low), step[1] + high
