"""Plans that learn preferences as other tools' files: all is carried over or named, the rows have each tool's form."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from click.testing import CliRunner
from test_export import METHODS, odd_plan

from loratui.commands.export import command
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.core.preference_section import Objective
from loratui.export import PREFERRING, TOOLS, ExportError, Rows, export_plan
from loratui.export.preferences import kind_for, why_not

OBJECTIVES = [one for one in get_args(Objective) if one != "sft"]
FILES = ("axolotl", "llama-factory", "trl")


def learning(objective: str, **more: Any) -> Plan:
    fixed: dict[str, Any] = {"training.packing": False, "training.padding_free": False, "lora.dropout": 0.0}
    fixed |= {"hardware.devices": [], "training.objective": objective}
    return odd_plan(**{key.replace(".", "__"): value for key, value in {**fixed, **more}.items()})


def exported(plan: Plan, tool: str) -> dict[str, Any]:
    text = export_plan(plan, tool, Rows("/data", kind_for(plan.training.objective, tool))).text
    if tool != "trl":
        loaded: dict[str, Any] = yaml.safe_load(text)
        return loaded
    assigned = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
    (arguments,) = [node.value for node in assigned if ast.unparse(node.targets[0]) == "arguments"]
    found: dict[str, Any] = ast.literal_eval(arguments)
    return found


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("tool", FILES)
def test_every_setting_is_carried_over_or_named(tool: str, method: dict[str, Any], objective: str) -> None:
    reference = {"preference.reference": "precomputed"} if objective != "orpo" else {}  # ORPO has none
    plan = learning(objective, **method, **{"preference.beta": 0.37, **reference})
    if why_not(plan, tool):
        with pytest.raises(ExportError, match="Axolotl's"):
            export_plan(plan, tool)
        return
    export = export_plan(plan, tool, Rows("/data", kind_for(objective, tool)))
    assert not [one for one in export.left_out if "is not told of it" in one], export.left_out
    told, beta = exported(plan, tool), {"axolotl": "rl_beta", "llama-factory": "pref_beta", "trl": "beta"}[tool]
    assert told[beta] == 0.37
    if tool == "trl":
        compile(export.text, "train_trl.py", "exec")
        assert export.suffix == ".py" and f"{objective.upper()}Trainer(" in export.text


DPO: list[tuple[dict[str, Any], dict[str, dict[str, Any]]]] = [
    (
        {"preference.loss": "ipo"},
        {
            "trl": {"loss_type": ["ipo"]},
            "llama-factory": {"pref_loss": "ipo"},
            "axolotl": {"dpo_loss_type": ["ipo"]},
        },
    ),
    (
        {"preference.sft_weight": 0.3},
        {
            "trl": {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.3]},
            "llama-factory": {"pref_ftx": 0.3},
            "axolotl": {"dpo_loss_type": ["sigmoid", "sft"], "dpo_loss_weights": [1.0, 0.3]},
        },
    ),
    (
        {"preference.length_weight": 0.4},
        {"trl": {"ld_alpha": 0.4}, "llama-factory": {"ld_alpha": 0.4}, "axolotl": {}},
    ),
    (
        {"preference.loss": "robust", "preference.label_smoothing": 0.1},
        {
            "trl": {"loss_type": ["robust"], "label_smoothing": 0.1},
            "llama-factory": {},
            "axolotl": {"dpo_loss_type": ["robust"], "dpo_label_smoothing": 0.1},
        },
    ),
    (
        {"preference.reference": "precomputed"},
        {
            "trl": {"precompute_ref_log_probs": True},
            "llama-factory": {},
            "axolotl": {"precompute_ref_log_probs": True},
        },
    ),
]


@pytest.mark.parametrize(("values", "expected"), DPO, ids=lambda one: next(iter(one)))
def test_what_dpo_learns_has_each_tools_name_or_is_named_as_left(
    values: dict[str, Any], expected: dict[str, dict[str, Any]]
) -> None:
    plan = with_values(Plan(), {"training.objective": "dpo", **values})
    for tool in FILES:
        assert expected[tool].items() <= exported(plan, tool).items()
        if not expected[tool]:
            left = export_plan(plan, tool).left_out
            assert any(one.startswith(next(iter(values))) for one in left), (tool, left)


def test_an_adapter_that_is_trained_further_is_the_reference() -> None:
    plan = with_values(Plan(), {"training.objective": "dpo", "lora.adapter": "/sft/adapter"})
    told = exported(plan, "llama-factory")
    assert told["adapter_name_or_path"] == told["ref_model_adapters"] == "/sft/adapter"
    assert 'CONTINUED = "/sft/adapter"' in export_plan(plan, "trl").text
    assert exported(plan, "axolotl")["lora_model_dir"] == "/sft/adapter"


def test_tools_that_know_no_preferences_say_so() -> None:
    plan = with_values(Plan(), {"training.objective": "dpo", "hardware.gpu": "H100"})
    for tool in TOOLS:
        if tool in PREFERRING:
            assert export_plan(plan, tool).text
        else:
            with pytest.raises(ExportError, match=f"are not exported to {tool}"):
                export_plan(plan, tool)


def rows_of(tmp_path: Path, tool: str, objective: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    path, plan = tmp_path / "rows.jsonl", tmp_path / "plan.toml"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"dataset.path": str(path), "training.objective": objective, "dataset.eval_fraction": 0.1}
    values |= {"training.batch_size": 4, "evaluation.batch_size": 4}
    plan.write_text(plan_to_toml(with_values(Plan(), values)))
    arguments = [str(plan), "--to", tool, "-o", str(tmp_path / "out.x"), "--json"]
    told = json.loads(CliRunner().invoke(command, arguments, catch_exceptions=False).output)
    parts = [(Path(told["rows"]) / name).read_text().splitlines() for name in ("train.jsonl", "test.jsonl")]
    assert told["unusable"] == 1 and told["memory"] is None and "learning answers" in told["memory_unknown"]
    return [json.loads(line) for part in parts for line in part]


def test_rows_are_written_in_each_tools_form(tmp_path: Path) -> None:
    rows = [{"prompt": f"{n}?", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(30)]
    rows.append({"prompt": "same?", "chosen": "yes", "rejected": "yes"})
    asked, good, bad = ({"role": role, "content": "{}"} for role in ("user", "assistant", "assistant"))
    for tool in FILES:
        (tmp_path / tool).mkdir()
        found = rows_of(tmp_path / tool, tool, "dpo", rows)
        assert len(found) == 30
        (line,) = [one for one in found if "7?" in json.dumps(one) and "17?" not in json.dumps(one)][:1] or [{}]
        asked["content"], good["content"], bad["content"] = "7?", "yes 7", "no 7"
        if tool == "trl":
            assert line == {"prompt": [asked], "chosen": [good], "rejected": [bad]}
        else:
            assert line == {"messages": [asked], "chosen": good, "rejected": bad}


def test_axolotls_orpo_reads_both_conversations_whole(tmp_path: Path) -> None:
    """The rows that it takes apart itself (prompt_strategies/orpo/chat_template.py, ORPODatasetParsingStrategy)."""
    turns = [{"role": "system", "content": "Be brief."}]
    turns += [{"role": role, "content": text} for role, text in (("user", "a?"), ("assistant", "b"))]
    rows: list[dict[str, Any]] = [
        {
            "prompt": [*turns, {"role": "user", "content": f"{n}?"}],
            "chosen": [{"role": "assistant", "content": f"yes {n}"}],
            "rejected": [{"role": "assistant", "content": f"no {n}"}],
        }
        for n in range(30)
    ]
    rows.append(rows[0] | {"rejected": rows[0]["chosen"]})
    found = rows_of(tmp_path, "axolotl", "orpo", rows)
    assert len(found) == 30 and "prompt" not in found[0], "a prompt beside them would stand for every question"
    for line in found:
        for side, word in (("chosen", "yes"), ("rejected", "no")):
            said = line[side]
            assert [turn["role"] for turn in said] == ["user", "assistant"] * 2 and line["system"] == "Be brief."
            assert said[-1]["content"] == f"{word} {said[-2]['content'].rstrip('?')}"
    written = yaml.safe_load((tmp_path / "out.x").read_text())
    assert written["rl"] == "orpo" and written["datasets"][0]["type"] == "chat_template.argilla"
    assert not [key for key in written if key.startswith("dpo_")]


def test_a_conversation_that_axolotls_orpo_cannot_read_is_named(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": [{"role": "user", "content": "a?"}, {"role": "user", "content": f"{n}?"}],
            "chosen": [{"role": "assistant", "content": f"yes {n}"}],
            "rejected": [{"role": "assistant", "content": f"no {n}"}],
        }
        for n in range(30)
    ]
    path, plan = tmp_path / "rows.jsonl", tmp_path / "plan.toml"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan.write_text(plan_to_toml(with_values(Plan(), {"dataset.path": str(path), "training.objective": "orpo"})))
    told = CliRunner().invoke(command, [str(plan), "--to", "axolotl", "-o", str(tmp_path / "out.x")])
    assert told.exit_code and "questions and answers in turns" in str(told.exception or told.output)


@pytest.mark.skipif("kto" not in OBJECTIVES, reason="labels are not learnt from")
@pytest.mark.parametrize("paired", [False, True])
def test_labelled_answers_are_written_in_each_tools_form(tmp_path: Path, paired: bool) -> None:
    rows: list[dict[str, Any]] = [{"prompt": f"{n}?", "completion": f"yes {n}", "label": n % 2 == 0} for n in range(30)]
    rows.append({"prompt": "empty?", "completion": "", "label": True})
    if paired:
        rows = [{"prompt": f"{n}?", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(15)]
        rows.append({"prompt": "same?", "chosen": "yes", "rejected": "yes"})
    for tool in ("trl", "llama-factory"):
        (tmp_path / tool).mkdir()
        found = rows_of(tmp_path / tool, tool, "kto", rows)
        assert len(found) == 30 and sum(one["label"] for one in found) == 15
        assert set(found[0]) == ({"prompt", "completion", "label"} if tool == "trl" else {"messages", "label"})
