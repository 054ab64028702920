"""An exported plan says what it takes in the tool that it goes to, and carries the option that mends it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from loratui.commands.export import command
from loratui.commands.other_trainers import told
from loratui.core.dataset import uniform
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.memory import verdict
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.export import OURS, TOOLS, export_plan
from loratui.export.memory import elsewhere

RTX_4090 = Device(
    name="RTX 4090",
    memory_total_bytes=25757220864,
    memory_free_bytes=25757220864,
    compute_capability=(8, 9),
    simulated=True,
)
QWEN: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}
PLAN = with_values(
    Plan(),
    {
        "model.id": "Qwen/Qwen2.5-7B",
        "training.max_length": 8192,
        "training.checkpointing": True,
        "training.batch_size": 1,
    },
)
LONG = uniform(1000, 8192)


def known(tool: str, config: dict[str, Any] = QWEN, plan: Plan = PLAN, tokens: int = 8192) -> Any:
    found = elsewhere(read_config(config), plan, uniform(1000, tokens), RTX_4090, tool)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("tool", "option", "value"),
    [
        ("llama-factory", "enable_liger_kernel", True),
        ("axolotl", "plugins", ["axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"]),
    ],
)
def test_the_plan_that_fits_here_and_not_there_is_mended(tool: str, option: str, value: object) -> None:
    found = known(tool)
    assert (
        verdict(found.here, found.room) == "fits"
        and verdict(found.there, found.room) == "too big"
        and found.verdict == "fits"
    )
    assert (
        found.there.total_bytes - found.here.total_bytes > 10 * 2**30
    )  # the logits: 13.9 GiB, part of which ours has elsewhere
    export = export_plan(PLAN, tool, memory=found)
    assert yaml.safe_load(export.text)[option] == value
    comment = " ".join(line.removeprefix("# ") for line in export.text.splitlines() if line.startswith("#"))
    assert "which does not fit" in comment and f"{option}: " in comment and "is written" in comment


def test_the_script_is_mended_too() -> None:
    assert "'use_liger_kernel': True" in export_plan(PLAN, "transformers", memory=known("transformers")).text


def test_our_own_trainer_takes_hardly_more_under_its_own_command() -> None:
    """`trl sft` keeps PEFT's casts of the adapters' inputs, which the worker spares."""
    found = known("trl")
    assert found.here.total_bytes < found.there.total_bytes < 1.06 * found.here.total_bytes and found.mend is None
    assert "liger" not in export_plan(PLAN, "trl", memory=found).text


@pytest.mark.parametrize("tool", ["llama-factory", "axolotl", "transformers"])
def test_what_fits_there_as_it_is_is_left_alone(tool: str) -> None:
    found = known(tool, tokens=512, plan=with_values(PLAN, {"training.max_length": 512}))
    assert found.verdict == "fits" and found.mend is None
    text = export_plan(PLAN, tool, memory=found).text
    assert "enable_liger" not in text and "cut_cross" not in text and "use_liger" not in text


def test_a_family_that_the_option_does_not_know_is_told_so_and_nothing_is_written() -> None:
    found = known("llama-factory", {**QWEN, "model_type": "seed_oss", "head_dim": 128})
    assert found.mend is None and found.verdict == "too big" and "no option" in found.sentence
    assert "enable_liger" not in export_plan(PLAN, "llama-factory", memory=found).text


def test_the_command_says_it_and_so_does_its_json(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(plan_to_toml(Plan()), encoding="utf-8")
    told = CliRunner().invoke(
        command, [str(tmp_path / "plan.toml"), "--to", "llama-factory", "-o", str(tmp_path / "a.yaml")]
    )
    assert told.exit_code == 0 and "in LLaMA-Factory about" in told.output
    told = CliRunner().invoke(
        command, [str(tmp_path / "plan.toml"), "--to", "axolotl", "-o", str(tmp_path / "b.yaml"), "--json"]
    )
    facts = json.loads(told.output)["memory"]
    assert facts["software"] == "axolotl" and facts["there"]["total"] > 0 and facts["here"]["verdict"] == "fits"


def test_a_model_that_is_not_found_is_no_reason_not_to_export(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        plan_to_toml(with_values(Plan(), {"model.id": str(tmp_path / "nothing")})), encoding="utf-8"
    )
    told = CliRunner().invoke(
        command, [str(tmp_path / "plan.toml"), "--to", "llama-factory", "-o", str(tmp_path / "a.yaml"), "--no-rows"]
    )
    assert told.exit_code == 0, told.output
    assert "is not known" in told.output and (tmp_path / "a.yaml").exists()


def test_plan_shows_another_trainer_and_refuses_one_that_is_not_known() -> None:
    from loratui.commands.plan import command as plan_command
    from loratui.core.errors import InputError

    told = CliRunner().invoke(
        plan_command, ["-m", "demo", "-d", "demo", "--gpu", "24GB", "--as", "llama-factory", "--json"]
    )
    assert told.exit_code == 0, told.output
    there = json.loads(told.output)["elsewhere"]
    assert there["software"] == "llama-factory" and there["there"]["total"] == sum(there["there"]["parts"].values()) > 0
    refused = CliRunner().invoke(plan_command, ["-m", "demo", "-d", "demo", "--gpu", "24GB", "--as", "lama-factory"])
    assert isinstance(refused.exception, InputError) and "Did you mean llama-factory?" in refused.exception.sentence


def test_a_plan_of_short_rows_is_judged_by_its_longest_row_too_and_mended(tmp_path: Path) -> None:
    from loratui.commands.plan import command as plan_command

    path, file = tmp_path / "plan.toml", tmp_path / "f.yaml"
    asked = ["-m", "Qwen/Qwen2.5-7B", "-d", "demo", "--gpu", "RTX 4090", "-s", "training.max_length=8192"]
    for setting in ("training.batch_size=1", "training.checkpointing=true", "method.kind=qlora"):
        asked += ["-s", setting]
    asked += ["-s", "evaluation.batch_size=1", "-o", str(path)]
    planned = CliRunner().invoke(plan_command, [*asked, "--as", "llama-factory", "--json"])
    assert planned.exit_code == 0, planned.output
    told = CliRunner().invoke(command, [str(path), "--to", "llama-factory", "-o", str(file), "--no-rows", "--json"])
    assert told.exit_code == 0, told.output
    memory, promised = json.loads(told.output)["memory"], json.loads(planned.stdout)["elsewhere"]
    assert memory["rows_tokens"] < 100 and memory["there"]["verdict"] == "fits"
    full = memory["at_max_length"]
    assert full["rows_tokens"] == 8192 and full["there"]["verdict"] == "too big"
    assert full["mended"]["verdict"] == "fits" and memory == promised
    text = file.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["enable_liger_kernel"] is True
    assert "With rows as long as training.max_length, 8,192 tokens: here" in text


def test_rows_as_long_as_the_plan_allows_have_one_figure() -> None:
    found = known("llama-factory")
    assert found.filled is None and "With rows as long as" not in found.sentence


def test_advice_is_of_this_plan_and_holds() -> None:
    found = known("litgpt")
    assert found.verdict == "too big" and found.mend is None
    assert "training.checkpointing" not in found.sentence
    (way,) = found.ways
    length = way.change["training.max_length"]
    assert known("litgpt", plan=with_values(PLAN, {"training.max_length": length})).verdict == "fits"
    longer = with_values(PLAN, {"training.max_length": length + 64})
    assert known("litgpt", plan=longer).verdict != "fits"

    def batches(size: int) -> Any:
        return known(
            "litgpt", plan=with_values(PLAN, {"training.batch_size": size, "training.max_length": 1024}), tokens=1024
        )

    way = next(way for way in batches(8).ways if "training.batch_size" in way.change)
    fewer = way.change["training.batch_size"]
    assert fewer * way.change["training.accumulation"] == 8 * PLAN.training.accumulation, "the rows of a step stay"
    assert batches(fewer).verdict == "fits" and batches(2 * fewer).verdict != "fits"


def test_export_is_spoken_of_only_where_there_is_one() -> None:
    assert "export" not in told(known("litgpt")) and "export" not in told(known("ms-swift"))
    unknown_there = known("llama-factory", {**QWEN, "model_type": "seed_oss", "head_dim": 128})
    assert "before you export" in unknown_there.sentence
    assert "change the plan's file: training.max_length = " in told(unknown_there), "nobody planned anew with it"


def test_the_options_of_ms_swift_and_torchtune() -> None:
    swift, tune = known("ms-swift"), known("torchtune")
    assert swift.mend.written == "use_liger_kernel: true" and swift.verdict == "fits"
    assert tune.mend.written == "loss._component_: torchtune.modules.loss.LinearCrossEntropyLoss"
    assert tune.rows.mended.total_bytes < tune.there.total_bytes and tune.mend.needs == ""
    assert "It needs the package" not in tune.sentence and "It needs the package liger-kernel" in swift.sentence


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool not in OURS])
def test_a_file_that_does_not_divide_the_weights_is_judged_by_a_whole_copy_on_each_gpu(tool: str) -> None:
    settings = {"method.kind": "full", "model.dtype": "fp32", "hardware.devices": [0, 1]}
    cards = replace(RTX_4090, name="H100 80GB", memory_total_bytes=80 * 2**30, memory_free_bytes=80 * 2**30, count=2)
    rows, spec = uniform(1000, 512), read_config(QWEN)
    shared, copied = (
        with_values(PLAN, {**settings, "training.max_length": 512, "hardware.parallelism": one})
        for one in ("fsdp", "ddp")
    )
    found, whole = (elsewhere(spec, plan, rows, cards, tool) for plan in (shared, copied))
    assert found is not None and whole is not None
    assert verdict(found.here, found.room) == "fits"
    text = export_plan(shared, tool, memory=found).text
    written = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert not any(word in written for word in ("fsdp", "deepspeed", "parallel")), "else this test judges wrongly"
    assert found.verdict == "too big" and found.there == whole.there
    comment = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    for said in (found.sentence, told(found), comment):
        assert "does not divide the weights" in said and "whole copy" in said and "no option" not in said
    assert "does not divide" not in whole.sentence and not whole.whole_copies and found.whole_copies
