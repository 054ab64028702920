"""The memory that a plan takes here, and in the tool that it goes to: said, and mended where the tool has an option
for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.memory import Budget, Estimate, Verdict, budget, estimate, verdict
from loratui.core.memory.sharding import together
from loratui.core.memory.trainers import MENDS, PROFILES, Mend, Software
from loratui.core.plan import Plan
from loratui.core.plan_text import fields, with_values
from loratui.core.situation import supposed_rows
from loratui.export.ways import Change, Way, ways_of
from loratui.format import size

WORDS: dict[Verdict, str] = {"fits": "fits", "tight": "is tight", "too big": "does not fit"}
ORDER: tuple[Verdict, ...] = ("fits", "tight", "too big")


@dataclass(frozen=True, slots=True)
class Judged:
    """A plan's estimates for rows of up to `tokens` tokens: here, in the tool, and there with the option on."""

    tokens: int
    here: Estimate
    there: Estimate
    mended: Estimate | None

    @property
    def as_written(self) -> Estimate:
        """The estimate of what is exported."""
        return self.mended or self.there


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A plan here and under another tool; with the option that mends it, where one is written."""

    software: Software
    device: str
    room: Budget
    rows: Judged
    """The dataset's own rows."""
    filled: Judged | None = None
    """Rows as long as `training.max_length`; None where the dataset's own come to the same."""
    mend: Mend | None = None
    ways: tuple[Way, ...] = ()
    """What makes it fit there, where it does not as it is written: each way is enough."""
    whole_copies: bool = False
    """Whether each GPU holds all weights there, while here each holds a share of them."""

    @property
    def here(self) -> Estimate:
        """The estimate of the dataset's own rows in this program."""
        return self.rows.here

    @property
    def there(self) -> Estimate:
        """The estimate of the dataset's own rows in the tool, without its option."""
        return self.rows.there

    @property
    def verdict(self) -> Verdict:
        """Whether what is exported fits there with the dataset's own rows."""
        return verdict(self.rows.as_written, self.room)

    @property
    def judged(self) -> Judged:
        """The rows that decide: as long as `training.max_length` where that makes a difference."""
        return self.filled or self.rows

    @property
    def fits(self) -> bool:
        """Whether what is exported fits there, whatever the rows."""
        return verdict(self.judged.as_written, self.room) == "fits"

    @property
    def worse(self) -> bool:
        """Whether it does not fit there, and is judged otherwise here, by either rows."""
        told = (one for one in (self.rows, self.filled) if one is not None)
        return not self.fits and any(verdict(one.here, self.room) != verdict(one.as_written, self.room) for one in told)

    @property
    def option(self) -> str:
        """The option with which it is judged, as it reads in the tool's file; "" without one."""
        return "" if self.mend is None else self.mend.written

    @property
    def sentence(self) -> str:
        """The figures in words, the option that was written, and what in the plan's file makes it fit there."""
        words, ways = self.said("So {} is written"), "; or ".join(way.text for way in self.ways)
        return f"{words} To make it fit there, change the plan before you export: {ways}." if ways else words

    def said(self, writes: str) -> str:
        """The figures in words, each with the row length that it stands for; the ways apart.

        writes: how the option that mends it is told of, `{}` for the option.
        """
        rows, filled = self.rows, self.filled
        words = (
            f"memory on {self.device} ({size(self.room.bytes)} to be had), rows of up to {rows.tokens:,} tokens: here "
            f"{_said(rows.here, self.room)}; in {self.software.title} about {_said(rows.there, self.room)}."
        )
        if filled is not None:
            words += (
                f" With rows as long as training.max_length, {filled.tokens:,} tokens: here "
                f"{_said(filled.here, self.room)}; there about {_said(filled.there, self.room)}."
            )
        if self.whole_copies:
            words += (
                " The exported file does not divide the weights (hardware.parallelism = fsdp): there each GPU holds a "
                "whole copy."
            )
        if self.mend is not None:
            told = [(one.tokens, one.mended) for one in (rows, filled) if one is not None and one.mended is not None]
            lengths = " (rows of up to {:,} tokens)" if filled is not None else ""
            figures = " and ".join(f"{_said(found, self.room)}{lengths.format(tokens)}" for tokens, found in told)
            words += f" {writes.format(self.mend.written)}: with it about {figures}."
            words += f" It needs the package {self.mend.needs}." if self.mend.needs else ""
        if self.worse:
            if self.mend is None and not self.whole_copies:
                words += " It has no option that mends this for this model."
            words += "" if self.ways else " Neither shorter rows nor a smaller batch makes it fit there."
        return words


def elsewhere(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, tool: str) -> Elsewhere | None:
    """What the plan takes in a tool; None for a tool whose memory is not known.

    It is judged by the dataset's own rows and by rows as long as `training.max_length`: the file outlives the rows that
    it was written with. An option that mends it is chosen where the plan does not fit there without, by either, and
    fits better with it. Each way is judged as the plan will be that follows it.
    """
    software = PROFILES.get(tool)
    if software is None:
        return None
    known = _judged_in(spec, plan, data, device, software)
    if not known.worse:
        return known

    def tried(change: Change) -> str | None:
        then = with_values(plan, change)
        rows = supposed_rows({key: then.get(key) for key in fields()}, spec) if data.supposed else data
        found = _judged_in(spec, then, rows, device, software)
        return found.option if found.fits else None

    return replace(known, ways=tuple(ways_of(plan, data, tried)))


def _judged_in(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, software: Software) -> Elsewhere:
    """The plan in the tool, without ways to make it fit."""
    room, length = budget(device), plan.training.max_length
    by_rows = [data, data.filled(length)] if data.longest < length else [data]
    pairs = [
        (facts, estimate(spec, plan, facts, device), estimate(spec, plan, facts, device, software)) for facts in by_rows
    ]
    facts, _, worst = pairs[-1]
    mend = MENDS.get(software.name) if verdict(worst, room) != "fits" else None
    if mend is not None and spec.family in mend.families:
        better = estimate(spec, plan, facts, device, mend.of(software))
        if ORDER.index(verdict(better, room)) >= ORDER.index(verdict(worst, room)) and (
            better.upper_bytes >= worst.upper_bytes
        ):
            mend = None
    else:
        mend = None
    as_written = software if mend is None else mend.of(software)
    own, *longer = (
        Judged(
            length if plan.training.packing and software.packs else min(facts.longest, length),
            here,
            there,
            None if mend is None else estimate(spec, plan, facts, device, as_written),
        )
        for facts, here, there in pairs
    )
    filled = next((one for one in longer if _figures(one) != _figures(own)), None)
    whole = together(plan, device).divided and not software.divides
    return Elsewhere(software, device.name, room, own, filled, mend, whole_copies=whole)


def elsewhere_json(known: Elsewhere) -> dict[str, object]:
    """The object that `plan --as` and `export` print; sizes in bytes."""
    return {
        "software": known.software.name,
        "budget": known.room.bytes,
        "whole_copies": known.whole_copies,
        **_judged_json(known.rows, known),
        "at_max_length": None if known.filled is None else _judged_json(known.filled, known),
        "ways": [
            {"change": dict(way.change), "held": list(way.held), "note": way.note, "option": way.option}
            for way in known.ways
        ],
    }


def _judged_json(judged: Judged, known: Elsewhere) -> dict[str, object]:
    def figures(found: Estimate) -> dict[str, object]:
        return {"total": found.total_bytes, "upper": found.upper_bytes, "verdict": verdict(found, known.room)}

    return {
        "rows_tokens": judged.tokens,
        "here": figures(judged.here),
        "there": {**figures(judged.there), "parts": dict(judged.there.parts)},
        "mended": None
        if known.mend is None or judged.mended is None
        else {"option": known.mend.written, "needs": known.mend.needs, **figures(judged.mended)},
    }


def _figures(judged: Judged) -> tuple[str, str]:
    """The figures as they are printed."""
    return size(judged.here.total_bytes), size(judged.there.total_bytes)


def _said(found: Estimate, room: Budget) -> str:
    return f"{size(found.total_bytes)}, which {WORDS[verdict(found, room)]}"
