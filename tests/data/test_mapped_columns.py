"""Columns mapped by hand reach every command: the plan's counts as well as the inspection's."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner


def test_a_plan_counts_rows_whose_columns_are_mapped_by_hand(tmp_path: Path):
    from loratui.commands.plan import command

    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"foo": f"{n}?", "bar": f"{n}!"}) + "\n" for n in range(40)))
    arguments = ["-m", "Qwen/Qwen3-0.6B", "-d", str(path), "--gpu", "A100", "--json"]
    refused = CliRunner().invoke(command, arguments)
    assert refused.exit_code != 0 and "their columns are foo (text), bar (text)" in str(
        refused.exception or refused.output
    )
    mapped = CliRunner().invoke(command, [*arguments, "--set", "dataset.columns=prompt:foo,completion:bar"])
    assert mapped.exit_code == 0, mapped.output
    assert json.loads(mapped.output)["schedule"]["examples"] == 38


def test_a_plan_on_preferences_wants_to_be_told_so(tmp_path: Path):
    from loratui.commands.plan import command

    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"{n}?", "chosen": f"{n}!", "rejected": "no"} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["-m", "Qwen/Qwen3-0.6B", "-d", str(path), "--gpu", "A100", "--json"]
    refused = CliRunner().invoke(command, arguments)
    assert refused.exit_code != 0 and "the rows are preferences" in str(refused.exception or refused.output)
    told = CliRunner().invoke(command, [*arguments, "--set", "dataset.preference=chosen"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.output)["schedule"]["examples"] == 38
