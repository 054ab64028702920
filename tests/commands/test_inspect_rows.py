"""`loratui inspect --rows`: the rows as the model reads them, in text and as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))
from tiny_model import write_tiny_model

from loratui.commands.inspect_rows import RowNumbers, as_document, row_text, token_lines
from loratui.commands.tree import loratui


@pytest.mark.parametrize(
    ("given", "numbers"), [("3", [3]), ("1-3", [1, 2, 3]), ("5,1-2,2", [5, 1, 2]), (" 2 - 3 , 9", [2, 3, 9])]
)
def test_numbers_of_rows(given: str, numbers: list[int]) -> None:
    assert RowNumbers().convert(given, None, None) == numbers


@pytest.mark.parametrize("given", ["0", "3-1", "a", "", "1-", "1-5000"])
def test_what_is_no_number_is_wrong_usage(given: str) -> None:
    with pytest.raises(click.BadParameter):
        RowNumbers().convert(given, None, None)


TOKENS = [[1, "<s>", 0, 1, 0], [2, "ask\n", 0, 0, 0], [3, "an", 1, 0, 0], [4, "swer", 1, 0, 0], [5, "</s>", 1, 1, 1]]
ROW = {"index": 4, "line": 5, "file": "a.jsonl", "problem": "", "tokens": TOKENS}


def test_what_is_learnt_stands_between_marks_that_need_no_colour() -> None:
    assert row_text(ROW) == "row 5, line 5: 5 tokens, 3 learnt (⟦ … ⟧), 1 cut off (✂)\n<s>ask\n⟦answer✂</s>⟧"
    document = as_document(ROW, tokens=True)
    assert [document["text"][a:b] for a, b in document["learnt"]] == ["answer</s>"]
    assert (document["cut_at"], document["token_count"], document["learnt_tokens"]) == (13, 5, 3)
    assert document["tokens"][2] == {"id": 3, "text": "an", "learnt": True, "special": False, "cut": False}
    lines = token_lines(ROW).splitlines()
    assert lines[2].split()[2:] == ["special", "'<s>'"] and "learnt special cut" in lines[-1]
    refused = row_text({**ROW, "problem": "the answer is empty.", "tokens": []})
    assert refused == "row 5, line 5\n✗ not trained on: the answer is empty."


@pytest.mark.worker
@pytest.mark.usefixtures("ready_workers")
def test_the_command_prints_rows_and_ends_with_1_where_there_is_nothing(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"q\x1b{n}", "completion": f"a{n}"}) + "\n" for n in range(3)))

    def run(*arguments: str, dataset: Path = data):
        return CliRunner().invoke(loratui, ["inspect", "-m", str(model), "-d", str(dataset), *arguments])

    shown = run("--rows", "2-3")
    assert shown.exit_code == 0 and "⟦a1<|im_end|>⟧" in shown.output and "⟦a2<|im_end|>⟧" in shown.output
    assert "a0" not in shown.output and "\x1b" not in shown.output
    rows = json.loads(run("--rows", "1", "--json", "--tokens").stdout)["rows"]
    assert [rows[0]["text"][a:b] for a, b in rows[0]["learnt"]] == ["a0<|im_end|>"]
    assert "".join(token["text"] for token in rows[0]["tokens"]) == rows[0]["text"]
    beyond = run("--rows", "9")
    assert beyond.exit_code == 1 and "there is no row 9: it has fewer." in beyond.stderr and not beyond.stdout
    partly = run("--rows", "3,9", "--json")
    assert partly.exit_code == 1 and "no row 9" in partly.stderr
    assert [row["index"] for row in json.loads(partly.stdout)["rows"]] == [2]
    assert json.loads(partly.stdout)["missing"] == [9] and run("--rows", "0").exit_code == 2
    lists = tmp_path / "lists.jsonl"
    instances = [{"input": f"i{n}", "output": f"o{n}"} for n in range(3)]
    lists.write_text((json.dumps({"instruction": "Translate", "instances": instances}) + "\n") * 2)
    third = run("--rows", "5", dataset=lists)
    assert "row 5, line 2" in third.output and "⟦o1<|im_end|>⟧" in third.output, "each item of a list is a row"
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"prompt": "a", "completion": ""}\n')
    assert run(dataset=empty).exit_code == 1
