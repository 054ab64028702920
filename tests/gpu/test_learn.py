"""What is learnt of a grid: constants that were put into it come out again, and the bands hold the rest."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import learn
import pytest
import report

MIB, GIB = 2**20, 2**30
CONTEXT, WORKSPACE, SLACK, FIXED, KERNELS = 612 * MIB, 64 * MIB, 0.045, 22 * MIB, 130 * MIB


def row(number: int, dice: random.Random) -> dict[str, Any]:
    """A case of a card with those constants, a little noise, and a prediction that knows only the tensors."""
    weights, moving = dice.randint(1, 16) * GIB, dice.randint(1, 40) * GIB
    quantised = number % 3 == 0
    tensors = weights + moving
    allocated = tensors + WORKSPACE
    reserved = allocated + round(moving * SLACK * dice.uniform(0.9, 1.1)) + FIXED
    beside = CONTEXT + dice.randint(0, 4 * MIB) + (KERNELS if quantised else 0)
    parts = {"weights": weights, "activations": moving, "logits": 0, "overhead": 500 * MIB}
    return {
        "model": ("qwen3-4b", "llama-8b", "phi3-3.8b")[number // 3 % 3],
        "values": {"method.kind": "qlora", "method.quantization": "nf4"} if quantised else {"method.kind": "lora"},
        "predicted": sum(parts.values()),
        "predicted_upper": sum(parts.values()) + 400 * MIB,
        "predicted_tensors": tensors,
        "parts": parts,
        "context": {"own": CONTEXT, "card": CONTEXT + 3 * MIB},
        "load": {"allocated": weights, "reserved": weights, "host": 1},
        "train": {"allocated": allocated, "reserved": reserved, "host": 1},
        "own_bytes": reserved + beside,
    }


@pytest.fixture
def document() -> dict[str, Any]:
    dice = random.Random(1)
    cases: dict[str, Any] = {f"case {number}": row(number, dice) for number in range(30)}
    cases["failed"] = {"problem": "OutOfMemoryError: …"}
    cases["on a processor"] = {**cases["case 1"], "train": {"allocated": None, "reserved": None, "host": 1}}
    card = {"name": "NVIDIA H100 80GB HBM3", "kind": "gpu", "memory_bytes": 80 * GIB, "driver": "580"}
    return {"piece": "memory", "rehearsal": False, "card": card, "date": "2026-11-26", "versions": {}, "cases": cases}


def test_constants_of_the_card_come_out(document: dict[str, Any]) -> None:
    cases = learn.cases_of(document)
    assert len(cases) == 30
    found = learn.learn(cases)
    assert abs(found.context - CONTEXT) < 8 * MIB
    assert found.workspace == WORKSPACE
    assert abs(found.slack - SLACK) < 0.012
    assert abs(found.kernels_spread - KERNELS) < 12 * MIB
    assert found.slack_spread < 0.02


def test_the_band_holds_what_was_measured_also_of_families_that_it_was_not_learnt_on(document: dict[str, Any]) -> None:
    cases = learn.cases_of(document)
    judged = learn.left_out(cases)
    assert judged["within 5 %"] == 1.0 and judged["under by more than 5 %"] == 0
    assert judged["below the upper end"] >= 0.9
    before = learn.judged(cases, lambda case: (case.predicted, case.upper))
    assert judged["median"] < before["median"]


def test_the_constants_of_now_are_the_programs_own() -> None:
    from loratui.core.memory import overhead

    assert learn.now().slack == overhead.GROWING_SLACK and learn.now().fixed == overhead.FIXED


def test_it_says_so_where_no_card_has_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert learn.main([str(tmp_path / "none.json")]) == 1
    assert "no card has measured" in capsys.readouterr().err
    (tmp_path / "cpu.json").write_text(json.dumps({"cases": {"a": {"problem": "x"}}}))
    assert learn.main([str(tmp_path / "cpu.json")]) == 1


def test_it_prints_constants_beside_those_of_now(
    document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "memory.json"
    file.write_text(json.dumps(document))
    assert learn.main([str(file)]) == 0
    said = capsys.readouterr().out
    assert "context" in said and "550 MiB now" in said and "learnt on the other families" in said


def test_the_report_names_rates_ratios_and_what_is_missing(document: dict[str, Any], tmp_path: Path) -> None:
    assert report.report(tmp_path) == "No card has been measured yet."
    (tmp_path / "memory.json").write_text(json.dumps(document))
    cases = {
        "qwen3-4b lora proposed": {"tokens_per_second": 30000.0, "utilisation": 0.41},
        "qwen3-4b lora defaults": {"tokens_per_second": 12000.0},
        "qwen3-4b lora fastest": {"problem": "OutOfMemoryError"},
    }
    (tmp_path / "speed.json").write_text(json.dumps({**document, "piece": "speed", "cases": cases}))
    said = report.report(tmp_path)
    assert "| qwen3-4b lora | 30,000 | 12,000 (× 2.50) | – | – | – | 41.0 % |" in said
    assert "H100" in said and "driver 580" in said
    assert "Wizard: not measured." in said
