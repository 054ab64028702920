"""What a plan that learns preferences refuses, in one sentence, before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_from_toml, plan_to_toml, with_values
from loratui.core.preferences import described

DPO = {"training.objective": "dpo"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training.packing": True}, "training.packing = true exclude each other: pairs are padded: set it to false."),
        ({"training.padding_free": True}, "training.padding_free = true exclude each other"),
        ({"training.group_by_length": True}, "training.group_by_length = true exclude each other"),
        ({"training.loss_on": "all"}, 'training.loss_on = "all" exclude each other'),
        ({"dataset.preference": "chosen"}, 'dataset.preference = "chosen" exclude each other'),
        ({"lora.dropout": 0.05}, "lora.dropout = 0.05 exclude each other"),
        ({"hardware.devices": [0, 1]}, "2 processes exclude each other"),
        ({"cluster.engine": "slurm", "cluster.nodes": 2}, "2 processes exclude each other"),
        ({"preference.label_smoothing": 0.1}, 'label_smoothing = 0.1 needs preference.loss = "robust"'),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as caught:
        with_values(Plan(), DPO | changes)
    assert words in caught.value.message and "\n" not in caught.value.message
    if "preference.label_smoothing" not in changes:
        with_values(Plan(), changes)  # by itself it is allowed


def test_a_whole_model_has_no_dropout_of_an_adapter() -> None:
    plan = with_values(Plan(), DPO | {"method.kind": "full", "lora.dropout": 0.1})
    assert plan.training.objective == "dpo"


def test_a_plan_of_before_learns_answers() -> None:
    lines = plan_to_toml(Plan()).splitlines()
    first, last = lines.index("[preference]"), lines.index("[evaluation]")
    old = "\n".join([*lines[:first], *lines[last:]])
    old = "\n".join(line for line in old.splitlines() if not line.startswith("objective"))
    assert plan_from_toml(old) == Plan() and Plan().training.objective == "sft"


def test_how_preferences_are_learnt_is_told() -> None:
    assert described(with_values(Plan(), DPO)) == (
        "preferences by DPO, loss sigmoid, beta 0.1, held to the base without the adapter"
    )
    told = described(
        with_values(
            Plan(),
            DPO
            | {
                "preference.loss": "robust",
                "preference.label_smoothing": 0.1,
                "preference.sft_weight": 0.2,
                "preference.length_weight": 0.5,
                "method.kind": "full",
            },
        )
    )
    assert "label smoothing 0.1, SFT loss of the chosen answers × 0.2, tokens beyond the shorter answer × 0.5" in told
    assert told.endswith("held to the base model")
