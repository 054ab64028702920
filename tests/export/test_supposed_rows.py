"""A plan without a dataset: `plan`, `plan --as`, its methods' table, `export` and the wizard judge it by the same rows,
to the byte."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loratui.commands.export import command as export_command
from loratui.commands.plan import command as plan_command
from loratui.commands.train import command as train_command
from loratui.core.dataset import DataFacts
from loratui.core.errors import InputError
from loratui.core.presets import AUTO
from loratui.core.proposal import propose
from loratui.core.situation import Situation, supposed_rows
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model

SLURM = ("cluster.engine=slurm", "cluster.nodes=2", "cluster.gpus_per_node=2")
GSM8K = "".join(f'{{"question": "{"why " * n}", "answer": "{"so " * n}"}}\n' for n in (5, 40, 90, 200))


def planned(*arguments: str) -> Any:
    told = CliRunner().invoke(plan_command, [*arguments, "--json"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


def figures(found: Any) -> tuple[int, int, str]:
    return found["total"], found["upper"], found["verdict"]


@pytest.mark.parametrize(
    ("model", "gpu", "tool", "settings"),
    [
        ("Qwen/Qwen3-4B", "RTX 4090", "trl", ["training.batch_size=2"]),
        ("Qwen/Qwen3-4B", "RTX 4090", "llama-factory", []),
        ("Qwen/Qwen3-0.6B", "T4", "axolotl", ["training.max_length=4096"]),
        ("Qwen/Qwen3-8B", "A100 80GB", "unsloth", ["method.kind=full", "dataset.eval_fraction=0.2"]),
        ("meta-llama/Llama-3.1-8B", "24GB", "transformers", ["training.packing=true", "dataset.eval_count=300"]),
        ("HuggingFaceTB/SmolLM2-135M", "T4", "trl", ["training.max_length=64"]),
        ("Qwen/Qwen3-8B", "H100 80GB", "trl", ["method.kind=full", "hardware.devices=0,1"]),
        ("Qwen/Qwen3-8B", "H100 80GB", "axolotl", ["method.kind=full", *SLURM]),
    ],
)
def test_one_plan_has_one_figure_everywhere(
    model: str, gpu: str, tool: str, settings: list[str], tmp_path: Path
) -> None:
    path, pinned = tmp_path / "plan.toml", [part for one in settings for part in ("--set", one)]
    facts = planned("-m", model, "--gpu", gpu, "--as", tool, *pinned, "-o", str(path))
    target = ["--to", tool, "-o", str(tmp_path / "out.yaml"), "--no-rows", "--json"]
    exported = CliRunner().invoke(export_command, [str(path), *target], catch_exceptions=False)
    memory = json.loads(exported.stdout)["memory"]
    promised = facts["elsewhere"]
    ways = [way["change"] for way in memory.pop("ways")]
    for change, way in zip(ways, promised.pop("ways"), strict=True):  # to plan anew, more must be held than in a file
        assert change == {key: value for key, value in way["change"].items() if key not in way["held"]}
    assert memory == promised, "the file that was written is judged as it was planned"
    worst = memory["at_max_length"] or memory
    assert figures(facts["memory"]) == figures(worst["here"])
    (chosen,) = (one for one in facts["methods"] if one["chosen"])
    assert chosen["memory_total"] == facts["memory"]["total"] and chosen["verdict"] == facts["memory"]["verdict"]
    assert any("No dataset is chosen" in one and "supposed rows" in one for one in facts["warnings"])
    assert 'path = "" ' in path.read_text(encoding="utf-8"), "the demo was not asked for"


def test_supposed_rows_are_uneven_and_cost_their_mask() -> None:
    spec, device = find_model("Qwen/Qwen3-4B", online=False).spec, find_gpu("RTX 4090").device()
    supposed = supposed_rows({}, spec)
    assert supposed.supposed and supposed.lengths[0] < supposed.lengths[-1] == 1024 and supposed.examples == 1000
    even = DataFacts(1000, (1024,), eval_examples=53, eval_taken=True)
    held = {"training.batch_size": 2, "evaluation.batch_size": 2, "training.checkpointing": False}
    held |= {"method.kind": "lora", "method.quantization": "none"}
    uneven, equal = (propose(Situation(spec, rows, device), AUTO, held) for rows in (None, even))
    assert uneven.memory.total_bytes > 1.05 * equal.memory.total_bytes, "rows of unlike length share a batch's mask"
    assert supposed_rows({}, replace(spec, max_positions=512)).longest == 512, "no longer than the model was made for"


def test_the_wizard_supposes_the_same_rows() -> None:
    from loratui.tui.wizard.choices import Choices
    from loratui.tui.wizard.dataset import ChosenDataset
    from loratui.tui.wizard.draft import Draft

    choices = Choices(Draft(model="Qwen/Qwen3-4B"))
    spec, device = find_model("Qwen/Qwen3-4B", online=False).spec, find_gpu("RTX 4090").device()
    proposal = propose(Situation(spec, ChosenDataset(choices).facts(), device), AUTO, choices.given())
    facts = planned("-m", "Qwen/Qwen3-4B", "--gpu", "RTX 4090")
    assert proposal.memory.total_bytes == facts["memory"]["total"] and proposal.plan.dataset.path == ""


def test_what_names_no_dataset_is_neither_trained_nor_exported_with_rows(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    planned("-m", "demo", "--gpu", "T4", "-o", str(path))
    target = ["--to", "trl", "-o", str(tmp_path / "a.yaml")]
    for command, arguments, advice in (
        (export_command, [str(path), *target], "--no-rows"),
        (train_command, [str(path)], "--set dataset.path=DATASET"),
    ):
        told = CliRunner().invoke(command, arguments)
        assert isinstance(told.exception, InputError) and "no dataset is chosen" in told.exception.sentence
        assert advice in told.exception.hint
    assert not (tmp_path / "a.yaml").exists()


def test_a_dataset_that_is_set_is_read_whichever_way_it_is_named(tmp_path: Path) -> None:
    (rows := tmp_path / "rows.jsonl").write_text(GSM8K, encoding="utf-8")
    named = planned("-m", "demo", "--gpu", "T4", "-d", str(rows))
    assert planned("-m", "demo", "--gpu", "T4", "--set", f"dataset.path={rows}") == named
    yaml = tmp_path / "axolotl.yaml"
    yaml.write_text(f"base_model: demo\nadapter: lora\nlora_r: 8\ndatasets:\n  - path: {rows}\n", encoding="utf-8")
    assert planned("-m", "demo", "--gpu", "T4", "-p", str(yaml))["schedule"]["examples"] == 3
    yaml.write_text(yaml.read_text(encoding="utf-8").replace("rows.jsonl", "gone.jsonl"), encoding="utf-8")
    gone = planned("-m", "demo", "--gpu", "T4", "-p", str(yaml))
    assert any("gone.jsonl was not read" in one for one in gone["warnings"])
    both = CliRunner().invoke(plan_command, ["-m", "demo", "-d", "demo", "--set", f"dataset.path={rows}"])
    assert isinstance(both.exception, InputError) and "two datasets" in both.exception.sentence


def test_a_size_that_the_file_does_not_keep_is_told(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    sized = planned("-m", "demo", "--gpu-memory", "24GB", "-o", str(path))
    assert any("does not keep --gpu-memory" in one for one in sized["warnings"])
    named = planned("-m", "demo", "--gpu", "24GB", "-o", str(path))
    assert not any("--gpu-memory" in one for one in named["warnings"])
    assert 'gpu = "24GB"' in path.read_text(encoding="utf-8")
