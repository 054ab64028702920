"""What a plan takes in another trainer, for `plan --as` and `export`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loratui.core.errors import InputError
from loratui.format import printable, size
from loratui.terminal import say

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.core.proposal import Proposal
    from loratui.export.memory import Elsewhere
    from loratui.export.ways import Way


def under(proposal: Proposal, tool: str) -> Elsewhere:
    """The proposal's plan in a tool. Raises InputError for a tool that has no profile."""
    from loratui.core.memory.trainers import PROFILES
    from loratui.export.memory import elsewhere

    known = elsewhere(proposal.spec, proposal.plan, proposal.data, proposal.device, tool)
    if known is None:
        from loratui.core.near import near

        meant = near(tool, PROFILES)
        hint = f"Did you mean {meant[0]}? " if meant else ""
        raise InputError(
            f"there is no profile of {tool!r}.", where="--as", hint=f"{hint}Profiles are: {', '.join(PROFILES)}."
        )
    return known if proposal.again is None else replace(known, ways=tuple(_complete(known.ways, proposal, tool)))


def _complete(ways: Iterable[Way], proposal: Proposal, tool: str) -> Iterator[Way]:
    """Each way with all that must be set beside it, since what is planned anew fills what was freed; only those that
    were followed to their end, and fit there."""
    from loratui.core.proposal_alternatives import held_change
    from loratui.export.memory import elsewhere

    if proposal.again is None:
        return
    for way in ways:
        reached = held_change(way.change, proposal.plan, proposal.again)
        if reached is None:
            continue
        change, then = reached
        found = elsewhere(then.spec, then.plan, then.data, then.device, tool)
        if found is not None and found.fits:
            held = tuple(key for key in change if key not in way.change)
            yield replace(way, change=change, held=held, option=found.option, followed=True)


def told(known: Elsewhere) -> str:
    """What `plan --as` says of a tool: what the export would write, or what is to be set where there is none, and what
    to plan with so that it fits there."""
    from loratui.export import TOOLS

    words = known.said("`loratui export` would write {}" if known.software.name in TOOLS else "It has an option, {}")
    if not known.ways:
        return words
    if not any(way.followed for way in known.ways):
        return f"{words} To make it fit there, change the plan's file: {'; or '.join(way.text for way in known.ways)}."
    lines = "".join(f"\n  {way.settings}" for way in known.ways)
    held = ", what is in brackets holds the rest as it is" if any(way.held for way in known.ways) else ""
    return f"{words}\nTo make it fit there, plan with all of one line{held}:{lines}"


def of_plan(plan: Plan, tool: str) -> Elsewhere | None:
    """A whole plan in a tool, with its own rows, on its own devices. Raises LoratuiError where model, rows or device
    are not found."""
    from loratui.commands.situation import asked_device, facts_of
    from loratui.core.measured import learned_memory
    from loratui.core.plan_text import fields
    from loratui.core.situation import supposed_rows
    from loratui.export.memory import elsewhere
    from loratui.models.find import find_model, with_exact_shape
    from loratui.runs.measured import read_measurements

    spec = with_exact_shape(find_model(plan.model.id, revision=plan.model.revision), _told).spec
    device, _ = asked_device(plan.cluster, plan.hardware.gpu, plan.hardware.devices, cpu=plan.hardware.cpu)
    if not device.simulated:
        device = replace(device, learned=learned_memory(read_measurements(), device=device.name, family=spec.family))
    values = {key: plan.get(key) for key in fields()}
    return elsewhere(spec, plan, facts_of(values) or supposed_rows(values, spec), device, tool)


def _told(sentence: str) -> None:
    say(printable(sentence), err=True)


def memory_verdict(memory: dict[str, Any]) -> str:
    """The verdict of `plan --json`'s memory in words, with the upper end where it is not told apart by a measured
    band."""
    if memory["verdict"] == "too big":
        return f"does not fit: {size(-memory['headroom'])} too much"
    if memory["verdict"] == "tight":
        return f"tight: {size(memory['headroom'])} left, but it may need up to {size(memory['upper'])}"
    filled = memory["at_max_length"]
    if filled and filled["verdict"] != "fits":
        fault = (
            "does not fit" if filled["verdict"] == "too big" else f"tight: it may need up to {size(filled['upper'])}"
        )
        words = f"with rows of {filled['tokens']:,} tokens: {size(filled['total'])}, {fault}"
        return f"fits by lengths that are only guessed, {size(memory['headroom'])} left; {words}"
    return f"fits, {size(memory['headroom'])} left, {size(memory['budget'] - memory['upper'])} at least"


__all__ = ["memory_verdict", "of_plan", "told", "under"]
