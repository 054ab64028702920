"""The problems of an inspection in text: a sentence once, with its rows; counts that say what they count."""

from __future__ import annotations

from typing import Any

from loratui.commands.inspect_problems import problem_lines


def problem(kind: str, message: str, line: int | None = None, index: int | None = None) -> dict[str, Any]:
    return {"kind": kind, "message": message, "line": line, "index": index, "file": "", "blocking": False}


def text(problems: list[dict[str, Any]], **counts: int) -> str:
    return "\n".join(problem_lines({"problems": problems, "problem_counts": counts}))


def test_a_sentence_stands_once_with_its_rows() -> None:
    same = [problem("template", "the chat template leaves out the tool call.", n) for n in range(3, 43, 2)]
    told = text([*same, problem("long", "the row is long.", index=6)], template=20, long=1)
    assert told.count("leaves out the tool call") == 1
    assert "lines 3, 5, 7 and 17 more" in told and "row 7 " in told
    assert told.splitlines()[1] == "21 problems: 20 template, 1 long"


def test_what_holds_for_many_rows_at_once_is_not_promised_as_many_lines() -> None:
    told = text([problem("not-read", "reward_model.style is not read: 160 characters in 40 rows.")], **{"not-read": 40})
    assert told.splitlines()[1] == "40 problems: 40 not-read" and "the first" not in told
    assert len(told.splitlines()) == 3


def test_one_kind_does_not_crowd_out_the_others() -> None:
    many = [problem("duplicate", f"the row says the same as line {n}.", n + 1) for n in range(1, 50)]
    told = text([*many, problem("long", "the row is long.", 99)], duplicate=49, long=1)
    assert told.count("says the same") == 5 and "the row is long" in told
    assert told.endswith("and 44 more sentences: --json lists them")


def test_nothing_is_said_of_nothing() -> None:
    assert problem_lines({"problems": [], "problem_counts": {}}) == []
