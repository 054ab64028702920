"""The estimate against published runs: what `benchmarks/published_memory.py` prints holds, and every row says where
it is from."""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "published_memory.py"


@pytest.fixture(scope="module")
def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("published_memory", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["published_memory"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def kept(benchmark: Any) -> dict[str, Any]:
    found = json.loads(benchmark.ROWS.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def compared(benchmark: Any, kept: dict[str, Any]) -> list[Any]:
    return [benchmark.compare(row, kept["models"], kept["sources"]) for row in kept["runs"] if row["expressed"]]


def test_every_run_has_a_source_a_date_and_a_half(kept: dict[str, Any]) -> None:
    runs = kept["runs"]
    assert len(runs) > 150 and sum(row["alike"] for row in runs) >= 40
    for source in kept["sources"].values():
        assert (
            source["url"].startswith("https://")
            and source["date"]
            and source["measure"] in ("allocated", "reserved", "nvml", "unstated")
        )
    assert {row["half"] for row in runs} == {"development", "held out"}
    assert all(
        row["source"] in kept["sources"] and row["model"] in kept["models"] and row["measured"] > 0 for row in runs
    )
    assert all(row.get("note") for row in runs if not row["expressed"])


def test_held_out_runs_are_within_fifteen_percent_under_their_software(compared: list[Any]) -> None:
    held = [one for one in compared if one.row["half"] == "held out"]
    assert len(held) > 40
    assert statistics.fmean(abs(one.profiled / one.measured - 1) for one in held) <= 0.15


def test_fits_is_said_wrongly_of_at_most_three_runs_whose_software_is_like_ours(
    benchmark: Any, compared: list[Any]
) -> None:
    alike = [one for one in compared if one.row["alike"]]
    wrong = [one for one in alike if one.profiled_all.upper_bytes <= benchmark.SPARE * one.measured]
    assert len(alike) >= 40 and len(wrong) <= 3
    band = statistics.median(one.profiled_all.upper_bytes / one.profiled_all.total_bytes for one in alike)
    assert band < 1.15, "a band that holds everything says nothing"


def test_tensors_are_those_that_torch_counted(compared: list[Any]) -> None:
    """fms-acceleration published torch's own peak beside the driver's: no slack, no context is in it."""
    errors = [one.profiled_all.tensors_bytes / one.row["allocated"] - 1 for one in compared if "allocated" in one.row]
    assert len(errors) >= 25
    assert statistics.median(map(abs, errors)) < 0.03
