"""The estimate of preference training against every peak that `benchmarks/memory_grid.py --preferences` traced."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.memory import estimate
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

GRID = Path(__file__).parents[2] / "benchmarks" / "results" / "memory_grid_preferences.json"
DEVICE = Device(name="any", memory_total_bytes=2**40, memory_free_bytes=2**40, compute_capability=(9, 0))


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(GRID.read_text(encoding="utf-8"))["cases"]
    return found


def test_the_grid_has_every_kind_of_plan(cases: list[dict[str, Any]]) -> None:
    assert len(cases) >= 60
    for key in ("training.objective", "method.kind", "preference.reference", "training.checkpointing"):
        counted = Counter(case["values"].get(key) for case in cases)
        assert all(number >= 6 for number in counted.values()), (key, counted)


def test_the_estimate_is_within_three_percent_for_nearly_all_and_never_far_off(cases: list[dict[str, Any]]) -> None:
    errors = []
    for case in cases:
        plan, lengths = with_values(Plan(), case["values"]), tuple(case["lengths"])
        found = estimate(read_config(case["config"]), plan, DataFacts(1000, lengths, True, case["share"]), DEVICE)
        errors.append(abs(found.tensors_bytes / case["traced"] - 1))
    errors.sort()
    assert errors[-(-95 * len(errors) // 100) - 1] <= 0.03 and errors[-1] <= 0.08
