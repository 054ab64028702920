"""The memory that a plan takes here, and in the tool that it goes to: said, and mended where the tool has an option
for it."""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.memory import Budget, Estimate, Verdict, budget, estimate, verdict
from loratui.core.memory.trainers import MENDS, PROFILES, Mend, Software
from loratui.core.plan import Plan
from loratui.format import size

WORDS: dict[Verdict, str] = {"fits": "fits", "tight": "is tight", "too big": "does not fit"}
ORDER: tuple[Verdict, ...] = ("fits", "tight", "too big")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A plan's estimate here and under another tool; with the option that mends it, where one is written."""

    software: Software
    device: str
    room: Budget
    here: Estimate
    there: Estimate
    mend: Mend | None = None
    mended: Estimate | None = None

    @property
    def as_written(self) -> Estimate:
        """The estimate of what is exported."""
        return self.mended or self.there

    @property
    def verdict(self) -> Verdict:
        """Whether what is exported fits there."""
        return verdict(self.as_written, self.room)

    @property
    def sentence(self) -> str:
        """Both figures in words, and the option that was written."""
        return self.said("So {} is written")

    def said(self, writes: str) -> str:
        """Both figures in words. writes: how the option that mends it is told of, `{}` for the option."""
        words = (
            f"memory on {self.device} ({size(self.room.bytes)} to be had): here {_said(self.here, self.room)}; in "
            f"{self.software.title} about {_said(self.there, self.room)}."
        )
        if self.mend is not None and self.mended is not None:
            words += (
                f" {writes.format(self.mend.written)}: with it about {_said(self.mended, self.room)}. It needs the "
                f"package {self.mend.needs}."
            )
        elif self.verdict != "fits" and verdict(self.here, self.room) != self.verdict:
            words += (
                " It has no option that mends this for this model; shorten training.max_length or lower "
                "training.batch_size before you export."
            )
        return words


def elsewhere(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, tool: str) -> Elsewhere | None:
    """What the plan takes in a tool; None for a tool whose memory is not known.

    An option that mends it is chosen only where the plan does not fit there without, and fits better with it.
    """
    software = PROFILES.get(tool)
    if software is None:
        return None
    room = budget(device)
    here, there = estimate(spec, plan, data, device), estimate(spec, plan, data, device, software)
    known = Elsewhere(software, device.name, room, here, there)
    mend = MENDS.get(tool)
    if mend is None or spec.family not in mend.families or known.verdict == "fits":
        return known
    mended = estimate(spec, plan, data, device, mend.of(software))
    if ORDER.index(verdict(mended, room)) >= ORDER.index(known.verdict) and mended.upper_bytes >= there.upper_bytes:
        return known
    return Elsewhere(software, device.name, room, here, there, mend, mended)


def elsewhere_json(known: Elsewhere) -> dict[str, object]:
    """The object that `plan --as` and `export` print; sizes in bytes."""
    return {
        "software": known.software.name,
        "budget": known.room.bytes,
        "here": {
            "total": known.here.total_bytes,
            "upper": known.here.upper_bytes,
            "verdict": verdict(known.here, known.room),
        },
        "there": {
            "total": known.there.total_bytes,
            "upper": known.there.upper_bytes,
            "verdict": verdict(known.there, known.room),
            "parts": dict(known.there.parts),
        },
        "mended": None
        if known.mend is None or known.mended is None
        else {
            "option": known.mend.written,
            "needs": known.mend.needs,
            "total": known.mended.total_bytes,
            "upper": known.mended.upper_bytes,
            "verdict": known.verdict,
        },
    }


def _said(found: Estimate, room: Budget) -> str:
    return f"{size(found.total_bytes)}, which {WORDS[verdict(found, room)]}"
