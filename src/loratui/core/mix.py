"""Several datasets as one: each part as a plan of its own, how many of its rows an epoch draws, what they come to.

An epoch of a mix is one pass over its drawn rows: of each part's training rows every one as often as the weight says in
whole numbers, and of what the weight has beyond that a fixed share once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loratui.core.dataset import DataFacts, held_out_rows, joined
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


def drawn_rows(rows: int, weight: float) -> int:
    """Rows that an epoch draws of a part with so many training rows; at least one, where there is one."""
    return max(1, round(rows * weight)) if rows else 0


def held_out_by_part(section: DatasetSection, rows: Sequence[int]) -> list[int]:
    """How many rows of each part are held out: the same share of each, whatever its weight, so that another weight
    holds out the same rows; of a number of rows each part's share. rows: of each part, after its cap.
    """
    if not section.eval_count:
        return [held_out_rows(count, section.eval_fraction) for count in rows]
    wanted, total = section.eval_count, sum(rows)
    exact = [wanted * count / total if total else 0.0 for count in rows]
    found = [int(one) for one in exact]
    by_rest = sorted(range(len(rows)), key=lambda at: (found[at] - exact[at], at))
    for at in by_rest[: wanted - sum(found)]:
        found[at] += 1
    return [min(max(1, one), max(0, count - 1)) for one, count in zip(found, rows, strict=True)]


def mixed_facts(plan_section: DatasetSection, weighed: Sequence[tuple[float, int, DataFacts]]) -> DataFacts:
    """Counts and lengths of a mix. weighed: each part's weight, cap (0: none), and facts of it alone."""
    usable = [facts.examples + (facts.eval_examples if facts.eval_taken else 0) for _, _, facts in weighed]
    capped = [min(rows, cap) if cap else rows for rows, (_, cap, _) in zip(usable, weighed, strict=True)]
    held = held_out_by_part(plan_section, capped)
    apart = bool(plan_section.eval_path)
    parts = []
    for (weight, _, facts), rows, out in zip(weighed, capped, held, strict=True):
        taken = out if facts.eval_taken or (not facts.eval_examples and not apart) else 0
        evaluated = 0 if apart else taken or facts.eval_examples
        examples = max(1, drawn_rows(rows - taken, weight))
        parts.append(replace(facts, examples=examples, eval_examples=evaluated, eval_taken=taken > 0))
    if apart and parts:  # the file is the same for all
        parts[0] = replace(parts[0], eval_examples=weighed[0][2].eval_examples)
    return joined(parts)


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
