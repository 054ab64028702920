"""`loratui plan --why KEY`: one value's derivation, and every table of the guides within reach."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from loratui.commands.why import find_key, why_json, why_text
from loratui.core.dataset import uniform
from loratui.core.errors import PlanError
from loratui.core.hardware import Device
from loratui.core.knowledge.guides import TABLES
from loratui.core.plan_text import fields
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.models.find import find_model

Loratui = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def proposal() -> Proposal:
    device = Device(name="A10", memory_total_bytes=24 << 30, memory_free_bytes=23 << 30, compute_capability=(8, 6))
    return propose(Situation(find_model("Qwen/Qwen3-0.6B", online=False).spec, uniform(2_000, 300), device))


def test_every_table_is_reachable(proposal: Proposal) -> None:
    told = {key: " ".join(why_text(key, proposal, 400).split()) for key in (*fields(), "generation")}
    for table in TABLES:
        assert any(
            f"The guides: {table.title} " in text and all(cell in text for row in table.rows for cell in row if cell)
            for text in told.values()
        ), table.title


def test_a_value_says_all_that_is_known(proposal: Proposal) -> None:
    reason, text = proposal.recommendations["lora.r"], why_text("lora.r", proposal, 80)
    assert all(len(line) <= 80 for line in text.splitlines())
    flat = " ".join(text.split())
    for words in (reason.why, reason.formula, reason.source, reason.up, reason.down, reason.disagreement):
        assert words in flat
    assert "▸ 500-5,000" in flat or "▸" in flat
    assert why_json("lora.r", proposal)["recommendation"]["formula"] == reason.formula


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("lora.r", "lora.r"),
        ("r", "lora.r"),
        ("Rank", "lora.r"),
        ("learning_rate", "training.learning_rate"),
        ("generation", "generation"),
    ],
)
def test_keys_have_short_names(name: str, key: str) -> None:
    assert find_key(name) == key


@pytest.mark.parametrize("name", ["every_steps", "nothing", "lora.rr"])
def test_what_is_no_key_is_a_sentence(name: str) -> None:
    with pytest.raises(PlanError, match="no key"):
        find_key(name)


def test_on_the_command_line(loratui: Loratui) -> None:
    result = loratui("plan", "-m", "demo", "-d", "demo", "--why", "generation")
    assert result.returncode == 0 and "temperature" in result.stdout and "repetition penalty" in result.stdout
    facts = json.loads(loratui("plan", "-m", "demo", "--why", "alpha", "--json").stdout)
    assert facts["key"] == "lora.alpha" and facts["guides"] and facts["recommendation"]["why"]
