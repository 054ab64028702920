"""A plan as other tools' files: everything carried over or named."""

from __future__ import annotations

import ast
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from loratui.commands.export import NAMES, command
from loratui.core.errors import LoratuiError
from loratui.core.imports import import_configuration
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.data.conversation import Conversation, Message
from loratui.export import OURS, TOOLS, Rows, export_plan
from loratui.export.document import Carrier
from loratui.export.rows import as_line, kind_of

ROWS = Rows("/data")
YAML_TOOLS = ("axolotl", "llama-factory", "trl")
OTHERS = tuple(tool for tool in TOOLS if tool not in OURS)  # in skypilot this program itself trains: test_skypilot.py
ODD = {
    "model.id": "org/model",
    "model.revision": "abc",
    "model.chat_template": "/t.jinja",
    "model.dtype": "fp32",
    "model.attention": "flash_attention_2",
    "lora.r": 7,
    "lora.alpha": 13.5,
    "lora.dropout": 0.07,
    "lora.targets": ["q_proj", "v_proj"],
    "lora.variant": "dora",
    "lora.adapter": "/old",
    "training.batch_size": 3,
    "training.accumulation": 5,
    "training.max_length": 777,
    "training.packing": True,
    "training.padding_free": True,
    "training.epochs": 2.5,
    "training.max_steps": 99,
    "training.learning_rate": 1.7e-4,
    "training.min_lr_ratio": 0.2,
    "training.warmup_steps": 11,
    "training.optimizer": "paged_adamw_8bit",
    "training.weight_decay": 0.03,
    "training.beta1": 0.8,
    "training.beta2": 0.95,
    "training.epsilon": 1e-7,
    "training.max_grad_norm": 0.4,
    "training.checkpointing": True,
    "training.seed": 7,
    "evaluation.every_steps": 20,
    "evaluation.batch_size": 2,
    "evaluation.patience": 4,
    "evaluation.prompts": ["Hello?"],
    "saving.every_steps": 30,
    "saving.keep": 5,
    "hardware.devices": [0, 1],
}


def odd_plan(**more: Any) -> Plan:
    """A plan that differs from the defaults in everything that can be carried."""
    return with_values(Plan(), {**ODD, **{key.replace("__", "."): value for key, value in more.items()}})


def document(tool: str, plan: Plan, rows: Rows = ROWS) -> dict[str, Any]:
    loaded = yaml.safe_load(export_plan(plan, tool, rows).text)
    assert isinstance(loaded, dict)
    return loaded


METHODS: list[dict[str, Any]] = [
    {"method.kind": "full"},
    {"method.kind": "lora"},
    *({"method.kind": "qlora", "method.quantization": kind} for kind in ("nf4", "fp4", "int8")),
]


@pytest.mark.parametrize("tool", OTHERS)
def test_texts_that_are_divided_here_are_named(tool: str) -> None:
    texts = export_plan(Plan(), tool, Rows("/data", "text"))
    assert any(line.startswith("dataset.long_text = divide") for line in texts.left_out)
    assert not any("long_text" in line for line in export_plan(Plan(), tool, ROWS).left_out)


def test_the_command_offers_every_tool() -> None:
    assert tuple(TOOLS) == NAMES


@pytest.mark.parametrize(("tool", "method"), product(OTHERS, METHODS), ids=str)
def test_every_method_can_be_written(tool: str, method: dict[str, Any]) -> None:
    export = export_plan(with_values(odd_plan(), method), tool, ROWS)
    assert (yaml.safe_load if tool in YAML_TOOLS else ast.parse)(export.text)
    assert all(sentence in export.text for sentence in export.left_out)


@pytest.mark.parametrize("tool", OTHERS)
@pytest.mark.parametrize("key", sorted(ODD))
def test_no_setting_is_lost_in_silence(tool: str, key: str) -> None:
    """Changing one setting changes what the tool is told, or is named among what was left."""
    plain = with_values(Plan(), {"evaluation.every_steps": 10, "saving.every_steps": 10})
    changed = with_values(plain, {key: ODD[key]})
    before, after = export_plan(plain, tool, ROWS), export_plan(changed, tool, ROWS)
    without_comments = [
        "\n".join(line for line in one.text.splitlines() if not line.startswith("#")) for one in (before, after)
    ]
    named = any(sentence.startswith(f"{key} = ") for sentence in after.left_out)
    told = without_comments[0] != without_comments[1]
    needs_no_telling = tool == "unsloth" and key == "model.attention"
    assert told or named or needs_no_telling


def test_a_setting_that_nobody_asked_for_is_named() -> None:
    carrier = Carrier(with_values(Plan(), {"training.seed": 5}), "Tool")
    assert carrier.left_out() == ("training.seed = 5: Tool is not told of it.",)
    assert carrier["training.seed"] == 5
    assert carrier.left_out() == ()


def test_axolotl() -> None:
    plan = odd_plan(method__kind="qlora", method__quantization="nf4", method__double_quantization=True)
    written = document("axolotl", plan)
    assert (written["adapter"], written["load_in_4bit"]) == ("qlora", True)
    assert written["bnb_config_kwargs"] == {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    assert (written["lora_r"], written["lora_target_modules"], written["peft_use_dora"]) == (
        7,
        ["q_proj", "v_proj"],
        True,
    )
    assert (written["micro_batch_size"], written["gradient_accumulation_steps"], written["sequence_len"]) == (3, 5, 777)
    assert (written["lr_scheduler"], written["cosine_min_lr_ratio"], written["learning_rate"]) == (
        "cosine",
        0.2,
        1.7e-4,
    )
    assert written["datasets"][0]["path"] == "/data/train.jsonl" and written["datasets"][0]["type"] == "chat_template"
    assert written["test_datasets"][0] == {**written["datasets"][0], "path": "/data/test.jsonl", "split": "train"}
    assert written["attn_implementation"] == "flash_attention_2"


def test_axolotl_stops_early_only_where_it_also_saves() -> None:
    """Its schema refuses a patience where checkpoints do not fall on evaluations."""
    assert document("axolotl", odd_plan(saving__every_steps=40))["early_stopping_patience"] == 4
    uneven = export_plan(odd_plan(saving__every_steps=30), "axolotl", ROWS)
    assert "early_stopping_patience" not in yaml.safe_load(uneven.text)
    assert any(sentence.startswith("evaluation.patience") for sentence in uneven.left_out)


def test_axolotl_of_full_fine_tuning_has_no_adapter() -> None:
    written = document("axolotl", odd_plan(method__kind="full"))
    assert "adapter" not in written and not any(key.startswith(("lora", "peft")) for key in written)


def test_llama_factory_with_its_description_of_the_rows() -> None:
    plan = odd_plan(method__kind="qlora", method__quantization="nf4")
    export = export_plan(plan, "llama-factory", ROWS)
    written = yaml.safe_load(export.text)
    assert (written["finetuning_type"], written["lora_rank"], written["lora_target"]) == ("lora", 7, "q_proj,v_proj")
    assert (written["quantization_bit"], written["quantization_type"], written["double_quantization"]) == (
        4,
        "nf4",
        False,
    )
    assert (written["dataset_dir"], written["dataset"], written["eval_dataset"]) == ("/data", "train", "test")
    assert written["neat_packing"] and not written["disable_gradient_checkpointing"]
    described = json.loads(export.files["dataset_info.json"])
    assert described["train"]["file_name"] == "train.jsonl" and described["test"]["formatting"] == "sharegpt"


def test_trl_of_single_answers_needs_no_marks_in_the_template() -> None:
    written = document("trl", Plan(), Rows("/data", "prompt-completion"))
    assert written["completion_only_loss"] and not written["assistant_only_loss"]
    assert document("trl", Plan(), Rows("/data", "messages"))["assistant_only_loss"]
    everything = with_values(Plan(), {"training.loss_on": "all"})
    assert not document("trl", everything, Rows("/data", "prompt-completion"))["completion_only_loss"]


def test_numbers_stay_numbers_in_yaml() -> None:
    """YAML 1.1 reads 1e-08 as text; what is written must come back as a number."""
    for tool, key in (("trl", "adam_epsilon"), ("axolotl", "adam_epsilon"), ("llama-factory", "learning_rate")):
        assert isinstance(document(tool, Plan())[key], float)


def test_without_held_out_rows_nothing_is_evaluated() -> None:
    plan = with_values(Plan(), {"evaluation.every_steps": 10})
    rows = Rows("/data", held_out=False)
    assert document("trl", plan, rows)["eval_strategy"] == "no"
    assert "test_datasets" not in document("axolotl", plan, rows)
    assert "TEST_ROWS = None" in export_plan(plan, "transformers", rows).text


def test_unknown_tool() -> None:
    with pytest.raises(LoratuiError, match=r"Did you mean axolotl\?"):
        export_plan(Plan(), "axolot")


def test_rows_as_lines() -> None:
    ask, answer = Message("user", "q"), Message("assistant", "a", True)
    old = Message("assistant", "b", False)
    single, several = Conversation((ask, answer)), Conversation((ask, old, ask, answer))
    assert kind_of([single], "trl") == "prompt-completion" and kind_of([single], "axolotl") == "messages"
    assert kind_of([Conversation((ask, answer, ask, answer))], "trl") == "messages"
    assert kind_of([Conversation(text="x")], "trl") == "text"
    assert as_line(single, "prompt-completion") == {
        "prompt": [{"role": "user", "content": "q"}],
        "completion": [{"role": "assistant", "content": "a"}],
    }
    assert as_line(several, "messages")["messages"][1] == {"role": "assistant", "content": "b", "train": False}


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    rows = tmp_path / "rows.jsonl"
    lines = [{"question": f"How much is {n} + 1?", "answer": str(n + 1)} for n in range(40)] + [
        {"question": "and?", "answer": ""}
    ]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    path = tmp_path / "plan.toml"
    path.write_text(
        plan_to_toml(
            with_values(Plan(), {"dataset.path": str(rows), "dataset.eval_fraction": 0.1, "evaluation.every_steps": 5})
        )
    )
    return path


def test_command_writes_file_and_rows(plan_file: Path) -> None:
    target = plan_file.with_name("axolotl.yaml")
    result = CliRunner().invoke(
        command, [str(plan_file), "--to", "axolotl", "-o", str(target), "--json"], catch_exceptions=False
    )
    told = json.loads(result.output)
    assert result.exit_code == 0 and told["unusable"] == 1
    folder = Path(told["rows"])
    train = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    test = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    assert (len(train), len(test)) == (36, 4)
    assert {row["messages"][0]["content"] for row in train}.isdisjoint(row["messages"][0]["content"] for row in test)
    assert yaml.safe_load(target.read_text())["datasets"][0]["path"] == str(folder / "train.jsonl")


def test_a_run_by_its_name(plan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    run = tmp_path / "home" / "runs" / "orders-1"
    run.mkdir(parents=True)
    (run / "plan.toml").write_text(plan_file.read_text())
    result = CliRunner().invoke(
        command, ["orders-1", "--to", "trl", "-o", str(tmp_path / "trl.yaml")], catch_exceptions=False
    )
    assert result.exit_code == 0 and (tmp_path / "trl.yaml").is_file()
    with pytest.raises(LoratuiError, match=r"there is no run orders-2\. Did you mean orders-1"):
        CliRunner().invoke(command, ["orders-2", "--to", "trl", "-o", str(tmp_path / "x.yaml")], catch_exceptions=False)


def test_command_replaces_nothing_unasked(plan_file: Path) -> None:
    target = plan_file.with_name("x.yaml")
    target.write_text("mine")
    arguments = [str(plan_file), "--to", "trl", "-o", str(target)]
    with pytest.raises(LoratuiError, match="there already"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert target.read_text() == "mine"
    assert CliRunner().invoke(command, [*arguments, "--force"], catch_exceptions=False).exit_code == 0
    assert target.read_text() != "mine"


@pytest.mark.parametrize("tool", ["axolotl", "llama-factory", "trl"])
def test_compiled_blocks_go_to_other_tools_and_come_back(tool: str) -> None:
    plan = odd_plan(**{"training.compile": True})
    written = document(tool, plan)
    assert written["torch_compile"] is True
    assert import_configuration(written).values["training.compile"] is True
    assert "training.compile" not in import_configuration(written | {"torch_compile": "auto"}).values
    assert "torch_compile" not in document(tool, odd_plan())
    assert any("compiles the whole model" in sentence for sentence in export_plan(plan, tool, ROWS).left_out)


LIGER = {
    "trl": {
        "use_liger_kernel": True,
        "liger_kernel_config": {"cross_entropy": False, "fused_linear_cross_entropy": False},
    },
    "llama-factory": {"enable_liger_kernel": True},
    "axolotl": {
        "plugins": ["axolotl.integrations.liger.LigerPlugin"],
        "liger_rope": True,
        "liger_rms_norm": True,
        "liger_glu_activation": True,
    },
}


@pytest.mark.parametrize("tool", LIGER)
def test_ligers_kernels_go_to_other_tools_and_come_back(tool: str) -> None:
    plan = odd_plan(**{"training.liger": True})
    written = document(tool, plan)
    assert {key: value for key, value in written.items() if "liger" in key or key == "plugins"} == LIGER[tool]
    back = import_configuration(written)
    assert back.values["training.liger"] is True
    assert not any("liger" in sentence or "plugins" in sentence for sentence in back.left_out)
    assert not any("liger" in key or key == "plugins" for key in document(tool, odd_plan()))
    both = import_configuration(written | {"torch_compile": True})
    assert "training.liger" not in both.values and any("Liger's kernels" in one for one in both.left_out)


def test_unsloth_is_said_to_bring_kernels_of_its_own() -> None:
    told = export_plan(odd_plan(**{"training.liger": True}), "unsloth", ROWS)
    assert any("Unsloth brings kernels of its own" in sentence for sentence in told.left_out)
    assert "liger" not in told.text.partition("import")[2]


def test_unsloth_is_said_to_compile_what_it_chooses() -> None:
    told = export_plan(odd_plan(**{"training.compile": True}), "unsloth", ROWS)
    assert any("Unsloth compiles what it chooses" in sentence for sentence in told.left_out)
    assert "torch_compile" not in told.text
