"""Advice of other trainers, followed as it is printed, holds; it cuts rows only where nothing gentler is enough."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loratui.commands.export import command as export_command
from loratui.commands.plan import command as plan_command
from loratui.commands.plan_file import read_plan
from loratui.core.dataset import DataFacts, uniform
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.export import TOOLS
from loratui.export.ways import Change, ways_of

LARGE = ("H100 80GB", ["method.kind=full", "hardware.devices=0,1", "training.batch_size=1", "evaluation.batch_size=1"])


def pinned(settings: list[str]) -> list[str]:
    taken = {one.partition("=")[0]: one for one in settings}
    return [part for one in taken.values() for part in ("--set", one)]


def output(command: Any, *arguments: str) -> str:
    told = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.stdout


def judged(found: Any) -> Any:
    return found["at_max_length"] or found


@pytest.mark.parametrize(
    ("model", "gpu", "tool", "settings", "cuts"),
    [
        ("Qwen/Qwen3-8B", "RTX 4090", "litgpt", [], False),
        ("Qwen/Qwen3-1.7B", "T4", "litgpt", [], False),
        ("Qwen/Qwen2.5-7B", "RTX 4090", "litgpt", ["training.max_length=8192"], True),
        ("Qwen/Qwen3-4B", "RTX 4090", "litgpt", ["training.max_length=4096", "training.batch_size=4"], False),
        ("meta-llama/Llama-3.2-1B-Instruct", "GTX 1650", "unsloth", ["training.max_length=384"], False),
        ("google/gemma-3-27b-it", "RTX 4090", "axolotl", ["training.max_length=1152"], False),
        ("Qwen/Qwen3-8B", LARGE[0], "litgpt", LARGE[1], True),
        ("Qwen/Qwen3-8B", LARGE[0], "torchtune", LARGE[1], True),
        ("Qwen/Qwen3-8B", "RTX 4090", "llama-factory", [], False),
        ("Qwen/Qwen3-8B", "RTX 4090", "transformers", [], False),
        ("Qwen/Qwen3-8B", "RTX 4090", "ms-swift", [], False),
        ("Qwen/Qwen3-8B", "RTX 4090", "torchtune", [], False),
    ],
)
def test_what_makes_it_fit_in_another_trainer_does_when_it_is_followed(
    model: str, gpu: str, tool: str, settings: list[str], cuts: bool, tmp_path: Path
) -> None:
    asked, file = ["-m", model, "--gpu", gpu, "--as", tool], tmp_path / "plan.toml"
    told = output(plan_command, *asked, *pinned(settings), "-o", str(file))
    lines = [line for line in told.partition("To make it fit there")[2].splitlines() if line.startswith("  --set")]
    assert lines, told
    for line in lines:
        way = re.findall(r"--set (\S+?)[\])]?(?=\s|$)", line)
        assert any(one.startswith("training.max_length=") for one in way) is cuts, line
        found = judged(json.loads(output(plan_command, *asked, *pinned([*settings, *way]), "--json"))["elsewhere"])
        assert (found["mended"] or found["there"])["verdict"] == "fits", line
        option = found["mended"] and found["mended"]["option"]
        assert f"with {option})" in line if option else "with " not in line, "what it holds with is said beside it"
    if tool not in TOOLS:
        return
    exported = [str(file), "--to", tool, "-o", str(tmp_path / "out"), "--no-rows", "--force", "--json"]
    ways = json.loads(output(export_command, *exported))["memory"]["ways"]
    assert ways, "the file's own advice"
    for one in ways:
        changed = tmp_path / "changed.toml"
        changed.write_text(plan_to_toml(with_values(read_plan(file), one["change"])), encoding="utf-8")
        found = judged(json.loads(output(export_command, str(changed), *exported[1:]))["memory"])
        assert (found["mended"] or found["there"])["verdict"] == "fits", one
        assert one["option"] == (found["mended"]["option"] if found["mended"] else "")


def test_the_batches_are_no_smaller_than_they_must_be_and_rows_are_cut_last() -> None:
    settings = {"training.batch_size": 8, "training.accumulation": 2, "training.max_length": 640}
    evaluated = {"evaluation.batch_size": 8, "evaluation.every_steps": 5}
    plan = with_values(Plan(), {**settings, **evaluated, "training.checkpointing": False})

    def found(rows: int, evaluated: int, length: int, checkpointing: bool = False) -> list[Change]:
        def tried(change: Change) -> str | None:
            then = with_values(plan, change)
            training, small = then.training, then.evaluation.batch_size <= evaluated
            assert training.batch_size * training.accumulation == 16, "the steps stay"
            fits = training.batch_size <= rows and small and training.max_length <= length
            return "" if fits and training.checkpointing >= checkpointing else None

        return [way.change for way in ways_of(plan, data, tried)]

    data = uniform(100, 500)
    batch = {"training.batch_size": 4, "training.accumulation": 4}
    assert found(4, 8, 640) == [batch], "the evaluation's stays"
    assert found(8, 2, 640) == [{"evaluation.batch_size": 2}], "the training's stays"
    assert found(7, 3, 640) == [batch | {"evaluation.batch_size": 2}]
    recomputed: Change = {"training.checkpointing": True}
    assert found(8, 8, 640, True) == [recomputed], "less would do nothing"
    assert found(4, 4, 640, True) == [{**recomputed, **batch, "evaluation.batch_size": 4}], "neither is enough alone"
    (cut,) = found(8, 8, 200)
    assert cut == {"training.max_length": 192} and found(8, 8, 63) == []


def test_one_row_at_a_time_is_offered_where_fewer_rows_are_cut_by_it() -> None:
    plan = with_values(Plan(), {"training.batch_size": 4, "training.accumulation": 1, "training.max_length": 640})
    plan = with_values(plan, {"evaluation.every_steps": 0, "training.checkpointing": True})

    def tried(change: Change) -> str | None:
        training = with_values(plan, change).training
        return "" if training.batch_size * training.max_length <= 400 else None

    fewest, alone = (way.change for way in ways_of(plan, uniform(100, 500), tried))
    assert fewest == {"training.batch_size": 1, "training.accumulation": 4, "training.max_length": 384}
    assert alone == {"training.max_length": 64}


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (DataFacts(4, (10, 20, 300, 400)), "longer rows are cut: about 50 % of them all"),
        (uniform(4, 30), "longer rows are cut; this dataset has none"),
        (DataFacts(4, (10, 20, 300, 400), divided=True), "texts are divided into shorter pieces"),
    ],
)
def test_what_shorter_rows_cost_is_said(data: DataFacts, note: str) -> None:
    plan = with_values(Plan(), {"training.batch_size": 1, "evaluation.batch_size": 1, "training.max_length": 512})
    found = list(ways_of(plan, data, lambda change: "" if change.get("training.max_length") == 64 else None))
    assert [way.note for way in found] == [note]
