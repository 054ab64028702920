"""The forms of rows that are answered, and the file of answers: continued after a kill, never torn. No torch needed."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loratui.core.errors import DatasetError, InputError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.worker.generation.results import Results
from loratui.workers.questions import held_out_questions, read_questions


def write(path: Path, document: Any) -> str:
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def asked(path: str, plan: Plan | None = None) -> list[str]:
    questions = read_questions(path, plan)
    return [one.conversation.messages[-1].content if one.conversation else one.problem for one in questions]


def test_one_object_with_an_input_object_is_asked_as_json(tmp_path: Path) -> None:
    given = {"starting_page": 1, "project_title": "Brücken", "contents_txt": "…"}
    path = write(tmp_path / "in.json", {"input": given})
    (one,) = read_questions(path)
    assert one.given == given
    assert one.conversation is not None
    assert json.loads(one.conversation.messages[0].content) == given
    assert one.conversation.messages[0].content == json.dumps(given, ensure_ascii=False)
    assert one.expected == ""


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"input": "Hello"}, "Hello"),
        ({"prompt": "Hello"}, "Hello"),
        ({"prompt": [{"role": "user", "content": "Hello"}]}, "Hello"),
        ({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]}, "Hello"),
        ({"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}, "Hello"),
        ({"instruction": "Say", "input": "Hello"}, "Say\n\nHello"),
        ({"question": "Hello"}, "Hello"),
    ],
)
def test_every_form_of_a_row(tmp_path: Path, row: dict[str, Any], expected: str) -> None:
    assert asked(write(tmp_path / "in.json", [row, row])) == [expected, expected]


def test_the_written_answer_is_kept_apart(tmp_path: Path) -> None:
    (one,) = read_questions(write(tmp_path / "in.json", [{"prompt": "2 + 2?", "completion": "4"}]))
    assert one.expected == "4"
    assert one.conversation is not None
    assert [message.role for message in one.conversation.messages] == ["user"]


def test_lines_and_tables(tmp_path: Path) -> None:
    lines = tmp_path / "in.jsonl"
    lines.write_text('{"input": "a"}\n{"input": {"b": 1}}\n')
    assert asked(str(lines)) == ["a", '{"b": 1}']
    table = tmp_path / "in.csv"
    table.write_text('prompt,other\n"a, b",1\nc,2\n')
    assert asked(str(table)) == ["a, b", "c"]


def test_bad_rows_are_named_with_their_place(tmp_path: Path) -> None:
    lines = tmp_path / "in.jsonl"
    lines.write_text('{"input": "a"}\nnot json\n{"wrong": 1}\n{"input": ""}\n{"input": "b"}\n')
    questions = read_questions(str(lines))
    assert [bool(one.problem) for one in questions] == [False, True, True, True, False]
    assert questions[1].place == "row 2 (line 2)"
    assert "wrong" in questions[2].problem
    only_bad = tmp_path / "bad.json"
    with pytest.raises(DatasetError, match="row 1"):
        read_questions(write(only_bad, [{"wrong": 1}]))


def test_rows_of_the_runs_own_shape(tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps({"frage": f"f{n}", "antwort": f"a{n}"}) + "\n" for n in range(40)))
    plan = with_values(
        Plan(),
        {
            "dataset.path": str(data),
            "dataset.columns": {"prompt": "frage", "completion": "antwort"},
            "dataset.eval_fraction": 0.1,
        },
    )
    assert asked(write(tmp_path / "in.json", [{"frage": "Was?"}]), plan) == ["Was?"]
    held = held_out_questions(plan)
    assert len(held) == 4
    assert all(
        one.expected == one.conversation.messages[0].content.replace("f", "a") for one in held if one.conversation
    )


QUESTIONS_FILE = [{"input": f"q{number}"} for number in range(6)]


def test_results_are_continued_and_a_torn_line_is_answered_again(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    output = tmp_path / "out.json"
    first = Results(output, questions, {"a": 1})
    first.add({0: "null", 3: "drei\nZeilen"})
    first._file.close()  # its process is gone
    with first.journal.open("a") as file:
        file.write('[4, "half')
    again = Results(output, questions, {"a": 1})
    assert again.resumed == 2
    assert [one.index for one in again.left] == [1, 2, 4, 5]
    again.add({1: "x", 2: "x", 4: "x", 5: "x"})
    again.finish()
    document = json.loads(output.read_text())
    assert document == [
        {"input": f"q{number}", "generated_output": text}
        for number, text in enumerate(["null", "x", "x", "drei\nZeilen", "x", "x"])
    ]
    assert not again.journal.exists()


def test_other_settings_begin_anew(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    Results(tmp_path / "out.jsonl", questions, {"temperature": 0}).add({0: "a"})
    assert Results(tmp_path / "out.jsonl", questions, {"temperature": 1}).answers == {}


def test_two_starts_at_once_do_not_answer_the_same_rows(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    first = Results(tmp_path / "out.json", questions, {})
    first.add({0: "a"})
    with pytest.raises(InputError, match="another start is writing"):
        Results(tmp_path / "out.json", questions, {})
    first.finish()
    assert len(json.loads((tmp_path / "out.json").read_text())) == 1


def test_a_file_system_without_locks_takes_answers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("loratui.worker.generation.results.fcntl.flock", no_locks)
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    results = Results(tmp_path / "out.json", questions, {})
    results.add({0: "a"})
    results.finish()
    assert (tmp_path / "out.json").is_file()


def test_a_line_that_a_full_disk_cut_costs_its_row_alone(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    first = Results(tmp_path / "out.json", questions, {})
    first.add({0: "a"})
    first._file.close()
    with first.journal.open("a") as file:
        file.write('[1, "ha\n[2, "c"]\n')
    assert Results(tmp_path / "out.json", questions, {}).answers == {0: "a", 2: "c"}


def test_lines_and_tables_as_output(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path / "in.json", [{"input": {"a": 1}}]))
    for name, expected in (
        ("o.jsonl", '{"input": {"a": 1}, "generated_output": "ü"}\n'),
        ("o.csv", 'input,generated_output\r\n"{""a"": 1}",ü\r\n'),
    ):
        results = Results(tmp_path / name, questions, {})
        results.add({0: "ü"})
        results.finish()
        assert (tmp_path / name).read_bytes().decode() == expected
    with pytest.raises(InputError, match=r"\.json"):
        Results(tmp_path / "o.xlsx", questions, {})
    with pytest.raises(InputError, match="cannot be written"):
        Results(tmp_path / "absent" / "o.json", questions, {})


def test_asking_needs_no_torch() -> None:
    code = (
        "import sys, loratui.workers.questions, loratui.worker.generation.results, loratui.workers.target, "
        "loratui.workers.client, loratui.worker.generate;"
        "print([name for name in ('torch', 'transformers', 'datasets', 'peft') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_rows_whose_parts_lie_deep_are_asked_and_held_out_as_they_were_trained(tmp_path: Path) -> None:
    rows = [
        {"context": f"C{n}", "qas": [{"question": f"Q{n}{k}", "answers": [{"text": f"A{n}{k}"}]} for k in "ab"]}
        for n in range(10)
    ]
    plan = with_values(Plan(), {"dataset.path": write(tmp_path / "squad.json", rows), "dataset.eval_count": 6})
    held = held_out_questions(plan)
    assert len(held) == 6
    for one in held:
        assert one.conversation is not None
        number = one.expected.removeprefix("A")
        assert one.conversation.messages[-1].content == f"C{number[0]}\n\nQ{number}"
    unanswered = [{"context": "C", "qas": [{"question": "Q1"}, {"question": "Q2"}]}]
    assert asked(write(tmp_path / "in.json", unanswered), plan) == ["C\n\nQ1", "C\n\nQ2"]
    nested = [{"ask": {"words": f"q{n}"}, "told": {"words": f"a{n}"}} for n in range(30)]
    columns = {"prompt": "{ask.words}?", "completion": "told.words", "system": "=Be brief"}
    plan = with_values(Plan(), {"dataset.path": write(tmp_path / "n.json", nested), "dataset.columns": columns})
    assert asked(write(tmp_path / "in.json", [{"ask": {"words": "new"}}]), plan) == ["new?"]
