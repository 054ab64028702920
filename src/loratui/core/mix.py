"""Several datasets as one: each part as a plan of its own, how many of its rows an epoch draws, what they come to.

An epoch of a mix is one pass over its drawn rows: of each part's training rows every one as often as the weight says in
whole numbers, and of what the weight has beyond that a fixed share once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loratui.core.dataset import DataFacts, joined
from loratui.core.dataset_part import HOW_READ, DatasetPart
from loratui.core.plan import DatasetSection, Plan
from loratui.core.plan_text import PATH_KEYS, with_values

PART_PATH = re.compile(r"dataset\.parts\[(\d+)\]\.path")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a plan's rows. plan: the same plan with this part as its only dataset. cap: 0 for none."""

    name: str
    weight: float
    cap: int
    plan: Plan

    @property
    def section(self) -> DatasetSection:
        """The part as a dataset of its own."""
        return self.plan.dataset


def parts_of(plan: Plan) -> tuple[Part, ...]:
    """The plan's rows, part by part; a plan that is no mix is one part."""
    if not plan.dataset.parts:
        return (Part(plan.dataset.named, 1.0, 0, plan),)
    return tuple(
        Part(part.name, part.weight, 0 if part.cap == "none" else part.cap, _alone(plan, part))
        for part in plan.dataset.parts
    )


def sections_of(section: DatasetSection) -> tuple[DatasetSection, ...]:
    """Each part of a dataset as a dataset of its own."""
    return tuple(_section(section, part) for part in section.parts) or (section,)


def _alone(plan: Plan, part: DatasetPart) -> Plan:
    return plan.model_copy(update={"dataset": _section(plan.dataset, part)})


def _section(section: DatasetSection, part: DatasetPart) -> DatasetSection:
    return section.model_copy(update={key: getattr(part, key) for key in HOW_READ} | {"parts": []})


def mixed_facts(section: DatasetSection, weighed: Sequence[tuple[float, int, DataFacts]]) -> DataFacts:
    """Counts and lengths of a mix. section: of the whole. weighed: each part's weight, cap (0: none), and facts of it
    alone.
    """
    parts = []
    for number, (weight, cap, facts) in enumerate(weighed):
        rows = min(facts.usable, cap) if cap else facts.usable
        apart = bool(facts.eval_examples) and not facts.eval_taken
        evaluated = facts.eval_examples if apart and not (section.eval_path and number) else 0  # one file for all
        parts.append(replace(facts, base=rows, weight=weight, eval_examples=evaluated, eval_taken=not apart))
    return joined(parts).holding_out(section.eval_fraction, section.eval_count)


def named_paths(plan: Plan) -> dict[str, str]:
    """What a plan names that may be a file or folder, by its key; of a mix each part's path."""
    found = {key: str(plan.get(key)) for key in PATH_KEYS}
    return found | {f"dataset.parts[{at}].path": part.path for at, part in enumerate(plan.dataset.parts, 1)}


def with_paths(plan: Plan, paths: Mapping[str, str]) -> Plan:
    """The plan with other paths under keys of `named_paths`."""
    parts = plan.get("dataset.parts")
    values: dict[str, object] = {}
    for key, path in paths.items():
        if place := PART_PATH.fullmatch(key):
            parts[int(place[1]) - 1]["path"] = path
            values["dataset.parts"] = parts
        else:
            values[key] = path
    return with_values(plan, values) if values else plan
