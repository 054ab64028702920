"""Exported files against the tools' own schemas, where these are installed (they are not among this project's needs).

`make apart` runs them: it installs the tools, without what they pin, into an environment of their own beside this
project's.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from test_export import METHODS, odd_plan

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.preference_section import Objective, PreferenceLoss
from loratui.export import Rows, export_plan
from loratui.export.preferences import kind_for, why_not
from loratui.tui.wizard.fields import choices_of

pytestmark = pytest.mark.worker
SCHEDULERS = ("cosine", "linear", "constant", "cosine_with_restarts")


@pytest.mark.parametrize(("method", "scheduler"), product(METHODS, SCHEDULERS), ids=str)
def test_axolotls_schema(method: dict[str, Any], scheduler: str) -> None:
    schemas = pytest.importorskip("axolotl.utils.schemas.config", reason="axolotl is not installed")
    datasets = pytest.importorskip("axolotl.utils.schemas.datasets")
    for base in (Plan(), odd_plan(), odd_plan(training__packing=False, saving__every_steps=40)):
        plan = with_values(base, {**method, "training.scheduler": scheduler})
        written = yaml.safe_load(export_plan(plan, "axolotl", Rows("/data")).text)
        schemas.AxolotlInputConfig(**written)
        assert set(written) <= set(schemas.AxolotlInputConfig.model_fields)
        assert set(written["datasets"][0]) <= set(datasets.SFTDataset.model_fields)


PREFERENCES: list[dict[str, Any]] = [
    {"training.objective": objective, "training.batch_size": 4, "evaluation.batch_size": 4, **values}
    for objective in get_args(Objective)
    if objective != "sft"
    for values in (
        {},
        {"preference.reference": "precomputed"},
        *(({"preference.loss": loss} for loss in get_args(PreferenceLoss)) if objective == "dpo" else ()),
        *(({"preference.sft_weight": 0.2, "preference.length_weight": 0.5},) if objective == "dpo" else ()),
    )
    if not (objective == "orpo" and values)
]


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("values", PREFERENCES, ids=str)
def test_plans_that_learn_preferences_pass_every_schema(
    values: dict[str, Any], method: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    objective = values["training.objective"]
    plan = with_values(Plan(), {"training.precision": "fp32", "model.dtype": "fp32", **method, **values})
    schemas = pytest.importorskip("axolotl.utils.schemas.config", reason="axolotl is not installed")
    datasets = pytest.importorskip("axolotl.utils.schemas.datasets")
    hparams = pytest.importorskip("llamafactory.hparams", reason="llamafactory is not installed")
    if not why_not(plan, "axolotl"):
        written = yaml.safe_load(export_plan(plan, "axolotl", Rows("/data", kind_for(objective, "axolotl"))).text)
        schemas.AxolotlInputConfig(**written)
        assert set(written) <= set(schemas.AxolotlInputConfig.model_fields)
        assert set(written["datasets"][0]) <= {*datasets.DPODataset.model_fields, "ds_type"}
    rows = Rows(str(tmp_path), kind_for(objective, "llama-factory"))
    export = export_plan(plan, "llama-factory", rows, output=str(tmp_path / "out"))
    for name, text in export.files.items():
        (tmp_path / name).write_text(text)
    settings = yaml.safe_load(export.text)
    _, _, _, learnt, _ = hparams.get_train_args(dict(settings))
    assert learnt.stage == ("kto" if objective == "kto" else "dpo") and learnt.pref_beta == plan.preference.beta
    (attributes,) = rows_parser().get_dataset_list(["train"], str(tmp_path))
    assert attributes.ranking == (objective != "kto")
    if objective == "kto":
        assert attributes.kto_tag == "label"
    else:
        assert (attributes.chosen, attributes.rejected) == ("chosen", "rejected")


def test_axolotls_orpo_makes_the_text_of_its_rows_that_is_learnt_here(tmp_path: Path) -> None:
    strategy = pytest.importorskip("axolotl.prompt_strategies.orpo.chat_template", reason="axolotl is not installed")
    from transformers import AutoTokenizer

    from loratui.data.conversation import Conversation, Message
    from loratui.export.rows import as_line
    from loratui.paths import demo_model_path

    tokenizer = AutoTokenizer.from_pretrained(demo_model_path())
    texts = (("system", "Be brief."), ("user", "a?"), ("assistant", "b"), ("user", "7?"), ("assistant", "yes"))
    chosen = tuple(Message(role, text, trained=text == "yes") for role, text in texts)  # type: ignore[arg-type]
    row = Conversation(chosen, rejected=(*chosen[:-1], Message("assistant", "no")))
    render = strategy.argilla({"chat_template": "tokenizer_default"})
    made = render(as_line(row, "whole-sides"), tokenizer=tokenizer)
    for side, messages in zip(("chosen", "rejected"), (row.messages, row.rejected), strict=True):
        whole = tokenizer.apply_chat_template([one.as_dict() for one in messages], tokenize=False)
        asked = [one.as_dict() for one in messages[:-1]]
        question = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        assert (made["prompt"], made["prompt"] + made[side]) == (question, whole)


CHOICES = [
    (key, choice)
    for key in ("training.optimizer", "training.scheduler", "training.loss_on", "lora.variant", "model.attention")
    for choice in choices_of(key)
] + [("training.packing", True), ("training.padding_free", True), ("training.padding_free", False)]


@pytest.mark.parametrize(("key", "choice"), CHOICES, ids=str)
def test_every_choice_of_a_plan_passes_both_schemas(
    key: str, choice: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    schemas = pytest.importorskip("axolotl.utils.schemas.config", reason="axolotl is not installed")
    hparams = pytest.importorskip("llamafactory.hparams", reason="llamafactory is not installed")
    plan = with_values(Plan(), {"training.precision": "fp32", "model.dtype": "fp32", key: choice})
    schemas.AxolotlInputConfig(**yaml.safe_load(export_plan(plan, "axolotl", Rows("/data")).text))
    hparams.get_train_args(
        yaml.safe_load(export_plan(plan, "llama-factory", Rows(str(tmp_path)), output=str(tmp_path / "out")).text)
    )


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_llama_factorys_parser(method: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    hparams = pytest.importorskip("llamafactory.hparams", reason="llamafactory is not installed")
    plan = with_values(
        Plan(), {**method, "training.precision": "fp32", "model.dtype": "fp32"}
    )  # this computer may have no GPU
    export = export_plan(plan, "llama-factory", Rows(str(tmp_path)), output=str(tmp_path / "out"))
    for name, text in export.files.items():
        (tmp_path / name).write_text(text)
    hparams.get_train_args(yaml.safe_load(export.text))
    (attributes,) = rows_parser().get_dataset_list(["train"], str(tmp_path))
    assert attributes.messages == "messages" and attributes.assistant_tag == "assistant"
    assert json.loads(export.files["dataset_info.json"])["train"]["file_name"] == attributes.dataset_name


def rows_parser() -> Any:
    """`llamafactory.data.parser` by itself: its package imports what reads sound and pictures, which nobody here
    has.
    """
    import llamafactory

    folder = Path(llamafactory.__file__).parent / "data"
    if "llamafactory.data" not in sys.modules:
        package = types.ModuleType("llamafactory.data")
        package.__path__ = [str(folder)]
        sys.modules["llamafactory.data"] = package
    return importlib.import_module("llamafactory.data.parser")


def test_trls_parser(tmp_path: Path) -> None:
    """Every key is known to TRL's own command, which refuses unknown ones."""
    trl = pytest.importorskip("trl")
    for method in METHODS:
        export = export_plan(
            odd_plan(**{key.replace(".", "__"): value for key, value in method.items()}),
            "trl",
            Rows("/data"),
            output=str(tmp_path),
        )
        path = tmp_path / "trl.yaml"
        path.write_text(export.text.replace("bf16: true", "bf16: false"))  # this computer may have no GPU
        parser = trl.TrlParser((trl.ScriptArguments, trl.SFTConfig, trl.ModelConfig))
        _, config, model = parser.parse_args_and_config(["--config", str(path)], fail_with_unknown_args=True)
        assert config.learning_rate == 1.7e-4 and config.max_length == 777
        assert model.use_peft == (method["method.kind"] != "full")
