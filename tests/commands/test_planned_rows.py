"""What `plan` counts are rows that will be used; what it has not checked, it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from loratui.commands.tree import loratui
from loratui.core.preference_section import Objective

ASKED = "the chat template, which may refuse rows, was not asked"


def plan(path: Path, *more: str) -> tuple[int, str, dict[str, Any]]:
    told = CliRunner().invoke(loratui, ["plan", "-m", "demo", "--gpu", "24GB", "-d", str(path), "--json", *more])
    return told.exit_code, told.output + str(told.exception), json.loads(told.stdout) if not told.exit_code else {}


def latin(path: Path, every: int) -> Path:
    """A table of 60 rows in Latin-1, each `every`th with a letter that UTF-8 writes otherwise."""
    lines = [f'"What is {n}?","It is {n}{" Öl" if n % every == 0 else ""}."' for n in range(60)]
    path.write_text("prompt,completion\n" + "\n".join(lines) + "\n", encoding="latin-1")
    return path


def test_rows_that_cannot_be_read_are_in_no_figure(tmp_path: Path) -> None:
    code, _, found = plan(latin(tmp_path / "half.csv", 2))
    assert code == 0 and found["schedule"]["examples"] == 28  # 30, 2 of them held out
    assert found["recommendations"]["training.epochs"]["why"].startswith("28 rows")
    (told,) = (one for one in found["warnings"] if "cannot be trained on" in one)
    assert told.startswith("30 of 60 rows") and "line 2: completion has a byte that is not valid UTF-8" in told
    assert any(ASKED in one for one in found["warnings"])
    whole = plan(tmp_path / "half.csv", "--set", "dataset.encoding=latin-1")[2]
    assert whole["schedule"]["examples"] == 57 and not any("cannot be trained" in one for one in whole["warnings"])


def test_without_a_row_to_train_on_there_is_no_plan(tmp_path: Path) -> None:
    code, told, _ = plan(latin(tmp_path / "none.csv", 1))
    assert code and "none of the 60 rows can be trained on: line 2: completion has a byte" in told


@pytest.mark.parametrize("empty", [0, 3])
def test_empty_answers_are_left_out_and_counted(tmp_path: Path, empty: int) -> None:
    rows = [{"prompt": f"what {n}", "completion": "" if n < empty else f"that {n}"} for n in range(20)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = plan(path, "--set", "dataset.eval_count=1")[2]
    assert found["schedule"]["examples"] == 19 - empty
    assert any(f"{empty} of 20 rows cannot be trained on" in one for one in found["warnings"]) is bool(empty)


PAIR = {"prompt": "what {n}", "chosen": "that {n}", "rejected": "no {n}"}
JUDGED = {"prompt": "what {n}", "completion": "that {n}", "label": True}


@pytest.mark.parametrize("objective", [one for one in get_args(Objective) if one != "sft"])
def test_what_is_learnt_of_preferences_is_asked_and_never_decided(tmp_path: Path, objective: str) -> None:
    judged = objective == "kto"
    path, rows = tmp_path / "rows.jsonl", []
    for n in range(40):
        row = {name: value.format(n=n) if isinstance(value, str) else n % 2 == 0 for name, value in JUDGED.items()}
        rows.append(row if judged else {name: value.format(n=n) for name, value in PAIR.items()})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, told, _ = plan(path)
    assert code and "the plan does not say what is learnt" in " ".join(told.split())
    assert f"--set training.objective={'kto' if judged else 'dpo'}" in told
    assert "--set dataset.preference=chosen" in told
    learnt = plan(path, "--set", f"training.objective={objective}")
    assert learnt[0] == 0 and learnt[2]["schedule"]["examples"] == 38
    alone = plan(path, "--set", "dataset.preference=chosen")
    assert alone[0] == 0 and alone[2]["schedule"]["examples"] == (19 if judged else 38)
