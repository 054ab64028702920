"""What a plan takes in another trainer, for `plan --as` and `export`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loratui.core.errors import InputError
from loratui.format import size

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.core.proposal import Proposal
    from loratui.export.memory import Elsewhere


def under(proposal: Proposal, tool: str) -> Elsewhere:
    """The proposal's plan in a tool. Raises InputError for a tool that has no profile."""
    from loratui.core.memory.trainers import PROFILES
    from loratui.export.memory import elsewhere

    known = elsewhere(proposal.spec, proposal.plan, proposal.data, proposal.device, tool)
    if known is None:
        from difflib import get_close_matches

        near = get_close_matches(tool, PROFILES, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise InputError(
            f"there is no profile of {tool!r}.", where="--as", hint=f"{hint}Profiles are: {', '.join(PROFILES)}."
        )
    return known


def told(known: Elsewhere) -> str:
    """What `plan --as` says of a tool: what the export would write, or what is to be set where there is none."""
    from loratui.export import TOOLS

    exported = known.software.name in TOOLS
    writes = "`loratui export` would write {}" if exported else "It has an option, {}"
    return known.said(writes, exported=exported)


def of_plan(plan: Plan, tool: str) -> Elsewhere | None:
    """A whole plan in a tool, with its own rows, on its own device. Raises LoratuiError where model, rows or device
    are not found."""
    from loratui.commands.situation import facts_of
    from loratui.core.measured import learned_memory
    from loratui.export.memory import elsewhere
    from loratui.machine.detect import detect_machine
    from loratui.machine.device import device_for
    from loratui.models.find import find_model
    from loratui.runs.measured import read_measurements

    spec = find_model(plan.model.id, revision=plan.model.revision).spec
    device = device_for(detect_machine(), plan.hardware.devices, gpu=plan.hardware.gpu, cpu=plan.hardware.cpu)
    if not device.simulated:
        device = replace(device, learned=learned_memory(read_measurements(), device=device.name, family=spec.family))
    by_hand = {f"dataset.{name}": value for name, value in plan.dataset.model_dump().items()}
    return elsewhere(spec, plan, facts_of(plan.dataset.path, by_hand), device, tool)


def memory_verdict(memory: dict[str, Any]) -> str:
    """The verdict of `plan --json`'s memory in words, with the upper end where it is not told apart by a measured
    band."""
    if memory["verdict"] == "too big":
        return f"does not fit: {size(-memory['headroom'])} too much"
    if memory["verdict"] == "tight":
        return f"tight: {size(memory['headroom'])} left, but it may need up to {size(memory['upper'])}"
    return f"fits, {size(memory['headroom'])} left, {size(memory['budget'] - memory['upper'])} at least"


__all__ = ["memory_verdict", "of_plan", "told", "under"]
