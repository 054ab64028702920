"""What the memory grid teaches: context, workspaces and the allocator's slack of this card, and what the bands become.

    python benchmarks/gpu/learn.py                      # of benchmarks/results/gpu/memory.json
    python benchmarks/gpu/learn.py FILE [--json]

Prints the constants of `src/loratui/core/memory/overhead.py` as they are and as they would be, and how far the estimate
lies from the measured peak (torch's reserved and the context) with either. A constant is learnt on the other families
and judged on each in turn, so that none is judged by what it was learnt on. Nothing is changed: the file is edited by
hand, with the figures in the commit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "src")]
RESULTS = HERE.parent / "results" / "gpu" / "memory.json"
WITHIN = 0.05
MIB = 2**20
SEEN = 0.95
"""Share of the cases that a band is to hold."""


@dataclass(frozen=True)
class Case:
    """One measured training, in bytes. moving: what comes and goes at the predicted peak."""

    name: str
    family: str
    quantised: bool
    predicted: int
    upper: int
    tensors: int
    moving: int
    allocated: int
    reserved: int
    context: int
    beside_torch: int
    """What the process held at its end beyond torch's pool."""

    @property
    def measured(self) -> int:
        """The peak: torch's pool, and what the process holds beside it."""
        return self.reserved + self.beside_torch

    @property
    def error(self) -> float:
        """Share by which the prediction lies above what was measured."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Constants:
    """Bytes and shares as `overhead.py` has them."""

    context: int
    workspace: int
    slack: float
    fixed: int
    context_spread: int
    kernels_spread: int
    slack_spread: float

    def predict(self, case: Case) -> int:
        """The peak of a case with these."""
        return case.tensors + self.context + self.workspace + round(case.moving * self.slack) + self.fixed

    def upper(self, case: Case) -> int:
        """The upper end of its band, family and phases apart."""
        kernels = self.kernels_spread if case.quantised else 0
        return self.predict(case) + self.context_spread + kernels + round(case.moving * self.slack_spread)


def cases_of(document: dict[str, Any]) -> list[Case]:
    """What was measured on a card; cases that failed, or ran on a processor, are left out."""
    found = []
    for name, row in document["cases"].items():
        train, context = row.get("train") or {}, row.get("context") or {}
        if {"problem", "skipped"} & row.keys() or not train.get("reserved"):
            continue
        alone = context.get("own") or context.get("card") or 0
        own = row.get("own_bytes")
        values, load = row["values"], row["load"]
        found.append(
            Case(
                name=name,
                family=row["model"].partition("-")[0],
                quantised="method.quantization" in values,
                predicted=row["predicted"],
                upper=row["predicted_upper"],
                tensors=row["predicted_tensors"],
                moving=row["parts"]["activations"] + row["parts"]["logits"],
                allocated=max(train["allocated"], load["allocated"] or 0),
                reserved=max(train["reserved"], load["reserved"] or 0),
                context=alone,
                beside_torch=max(alone, own - train["reserved"]) if own else alone,
            )
        )
    return found


def learn(cases: Sequence[Case]) -> Constants:
    """The constants that these cases have: medians for what is expected, and what holds 95 % of them above it.

    Workspaces lie inside torch's pool: they are what a case allocated beyond its tensors, at least in the lower half.
    """
    context = round(_median(case.context for case in cases))
    plain = [case for case in cases if not case.quantised] or list(cases)
    kernels = [case for case in cases if case.quantised]
    beside = round(_median(case.beside_torch for case in plain))
    over = sorted(case.allocated - case.tensors for case in cases)
    workspace = max(0, round(_median(over[: max(1, len(over) // 2)])))
    fixed = max(0, round(min(case.reserved - case.allocated for case in cases)))
    shares = [(case.reserved - case.allocated - fixed) / case.moving for case in cases if case.moving]
    slack = max(0.0, _median(shares)) if shares else 0.0
    return Constants(
        context=max(context, beside),
        workspace=workspace,
        slack=round(slack, 4),
        fixed=fixed,
        context_spread=max(0, round(_high(case.beside_torch for case in plain) - max(context, beside))),
        kernels_spread=max(0, round(_high(case.beside_torch for case in kernels) - max(context, beside)))
        if kernels
        else now().kernels_spread,
        slack_spread=round(max(0.0, _high(shares) - slack), 4) if shares else 0.0,
    )


def now() -> Constants:
    """What the program takes for a Hopper card with growing segments, as its workers set them."""
    from loratui.core.hardware import Device
    from loratui.core.memory import overhead

    device = Device(name="", memory_total_bytes=1, memory_free_bytes=1, compute_capability=(9, 0))
    return Constants(
        context=overhead.context_bytes(device),
        workspace=overhead.workspace_bytes(device),
        slack=overhead.GROWING_SLACK,
        fixed=overhead.FIXED,
        context_spread=overhead.CONTEXT_SPREAD + 2 * overhead.workspace_bytes(device),
        kernels_spread=overhead.KERNELS_SPREAD,
        slack_spread=overhead.GROWING_SLACK,
    )


def judged(cases: Sequence[Case], predict: Callable[[Case], tuple[int, int]]) -> dict[str, Any]:
    """How predictions with their upper ends stand beside what was measured."""
    found = [(case, *predict(case)) for case in cases]
    errors = [expected / case.measured - 1 for case, expected, _ in found]
    return {
        "cases": len(cases),
        "median": round(_median(map(abs, errors)), 4),
        "worst": round(max(map(abs, errors)), 4),
        "within 5 %": round(sum(abs(error) <= WITHIN for error in errors) / len(errors), 4),
        "under by more than 5 %": sum(error < -WITHIN for error in errors),
        "below the upper end": round(sum(case.measured <= upper for case, _, upper in found) / len(found), 4),
    }


def left_out(cases: Sequence[Case]) -> dict[str, Any]:
    """Each family by the constants of the others."""
    own: dict[str, Constants] = {}
    for family in {case.family for case in cases}:
        own[family] = learn([case for case in cases if case.family != family] or cases)
    return judged(cases, lambda case: (own[case.family].predict(case), own[case.family].upper(case)))


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return statistics.median(found) if found else 0.0


def _high(values: Iterable[float]) -> float:
    """What 95 % of the values do not exceed."""
    found = sorted(values)
    return found[min(len(found) - 1, int(SEEN * len(found)))]


def main(arguments: list[str] | None = None) -> int:
    """Learn, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=RESULTS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(arguments)
    if not asked.file.exists():
        print(f"{asked.file} is not there: no card has measured the memory grid yet.", file=sys.stderr)
        return 1
    document = json.loads(asked.file.read_text(encoding="utf-8"))
    cases = cases_of(document)
    if not cases:
        print(f"{asked.file} holds no case that was measured on a card.", file=sys.stderr)
        return 1
    before, after = now(), learn(cases)
    found = {
        "card": document["card"],
        "constants": {"now": asdict(before), "learnt": asdict(after)},
        "estimate": judged(cases, lambda case: (case.predicted, case.upper)),
        "learnt on the other families": left_out(cases),
    }
    if asked.json:
        print(json.dumps(found, indent=1))
        return 0
    print(f"{document['card'].get('name')}: {len(cases)} trainings")
    for name, value in asdict(after).items():
        print(f"  {name:<15} {_shown(asdict(before)[name]):>12} now {_shown(value):>12} learnt")
    for title in ("estimate", "learnt on the other families"):
        print(f"{title}: " + ", ".join(f"{key} {value}" for key, value in found[title].items()))
    for case in sorted(cases, key=lambda case: -abs(case.error))[:8]:
        print(f"  {case.error:+.2%} {case.name}: {case.measured / 2**30:.2f} GiB")
    return 0


def _shown(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value / MIB:.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())
