"""The forms of rows that are answered, and the file of answers: continued after a kill, never torn. No torch needed."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loratui.core.errors import DatasetError, InputError, WorkerError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.worker.generation.results import Answer, Results
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


def answers(**texts: str) -> dict[tuple[int, int], Answer]:
    """By row: `_3="x"` answers row 3."""
    return {(int(name[1:]), 0): Answer(text, "stop token") for name, text in texts.items()}


def texts(results: Results) -> dict[int, str]:
    return {row: answer.text for (row, _), answer in results.answers.items()}


def test_results_are_continued_and_a_torn_line_is_answered_again(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    output = tmp_path / "out.json"
    first = Results(output, questions, {"a": 1})
    first.add(answers(_0="null", _3="drei\nZeilen"))
    first._file.close()  # its process is gone
    with first.journal.open("a") as file:
        file.write('[4, 0, "half')
    again = Results(output, questions, {"a": 1})
    assert again.resumed == 2
    assert again.left == 4
    again.add(answers(_1="x", _2="x", _4="x", _5="x"))
    again.finish()
    document = json.loads(output.read_text())
    assert document == [
        {"row": number + 1, "input": f"q{number}", "generated_output": text, "ended_by": "stop token"}
        for number, text in enumerate(["null", "x", "x", "drei\nZeilen", "x", "x"])
    ]
    assert not again.journal.exists()


def test_an_unfinished_start_with_other_settings_is_not_given_up_without_a_word(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    first = Results(tmp_path / "out.jsonl", questions, {"temperature": 0})
    first.add(answers(_0="a"))
    first._file.close()
    with pytest.raises(InputError, match="unfinished start"):
        Results(tmp_path / "out.jsonl", questions, {"temperature": 1})
    assert texts(Results(tmp_path / "out.jsonl", questions, {"temperature": 0})) == {0: "a"}
    (tmp_path / "out.jsonl.part").rename(tmp_path / "other.jsonl.part")
    assert Results(tmp_path / "other.jsonl", questions, {"temperature": 1}, force=True).answers == {}


def test_no_file_is_replaced(tmp_path: Path) -> None:
    source = Path(write(tmp_path / "in.json", QUESTIONS_FILE))
    questions = read_questions(str(source))
    before = source.read_bytes()
    for force in (False, True):
        with pytest.raises(InputError, match="file of questions"):
            Results(source, questions, {}, source=source, force=force)
    link = tmp_path / "link.json"
    link.symlink_to(source)
    with pytest.raises(InputError, match="file of questions"):
        Results(link, questions, {}, source=source, force=True)
    other = tmp_path / "notes.json"
    other.write_text("mine")
    with pytest.raises(InputError, match="there already"):
        Results(other, questions, {}, source=source)
    assert source.read_bytes() == before and other.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.json", "link.json", "notes.json"]
    results = Results(other, questions, {}, source=source, force=True)
    results.add(answers(_0="a"))
    results.finish()
    assert json.loads(other.read_text())[0]["generated_output"] == "a"


def test_every_row_stands_in_the_output_with_its_own_columns(tmp_path: Path) -> None:
    lines = tmp_path / "in.jsonl"
    rows = [{"id": "a", "prompt": "1?"}, {"id": "b", "wrong": 1}, {"id": "c", "prompt": "3?", "row": 7}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = read_questions(str(lines))
    results = Results(tmp_path / "out.jsonl", questions, {}, samples=2)
    results.add({(0, 0): Answer("x", "length"), (0, 1): Answer("y"), (2, 0): Answer("z"), (2, 1): Answer("z")})
    results.finish()
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["row"], row["id"], row.get("sample"), row["generated_output"]) for row in found] == [
        (1, "a", 1, "x"),
        (1, "a", 2, "y"),
        (2, "b", None, None),
        (3, "c", 1, "z"),
        (3, "c", 2, "z"),
    ]
    assert found[0]["ended_by"] == "length" and "no question" in found[2]["problem"]
    assert found[3]["row (of the row)"] == 7 and found[3]["input"] == "3?"


def test_the_output_is_there_once_it_is_whole_and_a_full_disk_at_the_end_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    results = Results(tmp_path / "out.json", questions, {})
    results.add(answers(_0="a", _2="c"))
    assert not (tmp_path / "out.json").exists()

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("loratui.worker.generation.results.write_whole", full)
        with pytest.raises(WorkerError, match="No space left on device"):
            results.finish()
    results._file.close()
    again = Results(tmp_path / "out.json", questions, {})
    assert texts(again) == {0: "a", 2: "c"}
    again.finish()
    assert (tmp_path / "out.json").is_file() and not again.journal.exists()


def test_several_answers_to_a_row_are_counted_as_answers(capsys: pytest.CaptureFixture[str]) -> None:
    from loratui.worker.generation.progress import Progress

    for samples, words in ((1, "4/4 rows  2.0 rows/s"), (2, "4/4 answers  2.0 answers/s")):
        times = iter((0.0, 2.0))
        Progress(4, lambda times=times: next(times), samples=samples).add(4, 8, 0)
        assert words in capsys.readouterr().err


def test_two_starts_at_once_do_not_answer_the_same_rows(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    first = Results(tmp_path / "out.json", questions, {})
    first.add(answers(_0="a"))
    with pytest.raises(InputError, match="another start is writing"):
        Results(tmp_path / "out.json", questions, {})
    first.finish()
    assert json.loads((tmp_path / "out.json").read_text())[0]["generated_output"] == "a"


def test_a_file_system_without_locks_takes_answers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("loratui.worker.generation.results.fcntl.flock", no_locks)
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    results = Results(tmp_path / "out.json", questions, {})
    results.add(answers(_0="a"))
    results.finish()
    assert (tmp_path / "out.json").is_file()


def test_a_line_that_a_full_disk_cut_costs_its_row_alone(tmp_path: Path) -> None:
    questions = read_questions(write(tmp_path / "in.json", QUESTIONS_FILE))
    first = Results(tmp_path / "out.json", questions, {})
    first.add(answers(_0="a"))
    first._file.close()
    with first.journal.open("a") as file:
        file.write('[1, 0, "ha\n[2, 0, "c", ""]\n')
    assert texts(Results(tmp_path / "out.json", questions, {})) == {0: "a", 2: "c"}


def test_every_form_of_output(tmp_path: Path) -> None:
    from pyarrow import parquet

    questions = read_questions(write(tmp_path / "in.json", [{"input": {"a": 1}}]))
    row = '{"row": 1, "input": {"a": 1}, "generated_output": "ü\\nv", "ended_by": ""}\n'
    table = 'row,input,generated_output,ended_by\r\n1,"{""a"": 1}","ü\nv",\r\n'
    for name, expected in (("o.jsonl", row), ("o.csv", table), ("o.txt", "ü\\nv\n")):
        results = Results(tmp_path / name, questions, {})
        results.add({(0, 0): Answer("ü\nv")})
        results.finish()
        assert (tmp_path / name).read_bytes().decode() == expected
    results = Results(tmp_path / "o.parquet", questions, {})
    results.add({(0, 0): Answer("ü")})
    results.finish()
    assert parquet.read_table(tmp_path / "o.parquet").to_pylist() == [
        {"row": 1, "input": {"a": 1}, "generated_output": "ü", "ended_by": ""}
    ]
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
