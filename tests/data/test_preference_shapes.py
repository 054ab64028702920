"""Preferences in the shapes that people publish them in are read without configuration; faults are named by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.data.conversation import Conversation
from loratui.data.find import find_dataset
from loratui.data.flags import verdict
from loratui.data.preferences import require_answer
from loratui.data.read import read_rows, sample_rows
from loratui.data.recognise import recognise
from loratui.data.recognition import Recognition
from loratui.data.row_filter import LeftOut, RowFilter, filter_rows
from loratui.data.split import keys_for, split_rows

ROWS = 20


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def said(role: str, content: str) -> dict[str, str]:
    return {"from": role, "value": content}


def plain(n: int) -> dict[str, Any]:
    return {"prompt": f"Is {n} even?", "chosen": f"yes, {n}", "rejected": f"no, {n}"}


def orca(n: int) -> dict[str, Any]:
    """Intel/orca_dpo_pairs."""
    return {"system": "Be short.", "question": f"Is {n} even?", "chosen": f"yes, {n}", "rejected": f"no, {n}"}


def conversational(n: int) -> dict[str, Any]:
    row = plain(n)
    return {"prompt": [turn("user", row["prompt"])]} | {
        side: [turn("assistant", row[side])] for side in ("chosen", "rejected")
    }


def ultrafeedback(n: int) -> dict[str, Any]:
    """HuggingFaceH4/ultrafeedback_binarized."""
    row = plain(n)
    sides = {side: [turn("user", row["prompt"]), turn("assistant", row[side])] for side in ("chosen", "rejected")}
    ids = {"prompt_id": f"{n:064x}", "messages": sides["chosen"]}
    return {"prompt": row["prompt"], **ids, **sides, "score_chosen": 8.5, "score_rejected": 6.0}


def trl_ultrafeedback(n: int) -> dict[str, Any]:
    """trl-lib/ultrafeedback_binarized: no prompt beside the conversations."""
    row = ultrafeedback(n)
    return {name: row[name] for name in ("chosen", "rejected", "score_chosen", "score_rejected")}


def hh(n: int) -> dict[str, Any]:
    """Anthropic/hh-rlhf."""
    begun = f"\n\nHuman: Hello.\n\nAssistant: Hi!\n\nHuman: Is {n} even?\n\nAssistant: "
    return {"chosen": f"{begun}yes, {n}", "rejected": f"{begun}no, {n}"}


def full_hh(n: int) -> dict[str, Any]:
    """Dahoas/full-hh-rlhf: the prompt is a transcript up to where the answer begins."""
    begun = f"\n\nHuman: Hello.\n\nAssistant: Hi!\n\nHuman: Is {n} even?\n\nAssistant:"
    return {"prompt": begun, "response": f" yes, {n}", "chosen": f" yes, {n}", "rejected": f" no, {n}"}


def alpaca_ranking(n: int) -> dict[str, Any]:
    """LLaMA-Factory's comparison sets with `"ranking": true`: the best answer first."""
    return {"instruction": f"Is {n} even?", "input": "", "output": [f"yes, {n}", f"no, {n}"]}


def sharegpt_ranking(n: int) -> dict[str, Any]:
    """LLaMA-Factory's dpo_en_demo."""
    return {
        "conversations": [said("system", "Be short."), said("human", f"Is {n} even?")],
        "chosen": said("gpt", f"yes, {n}"),
        "rejected": said("gpt", f"no, {n}"),
    }


def alpaca_pairs(n: int) -> dict[str, Any]:
    """LLaMA-Factory's alpaca format of pairs."""
    return {"instruction": "Is it even?", "input": str(n), "chosen": f"yes, {n}", "rejected": f"no, {n}"}


PAIRS = {
    "plain": plain,
    "orca": orca,
    "conversational": conversational,
    "ultrafeedback": ultrafeedback,
    "trl-ultrafeedback": trl_ultrafeedback,
    "hh": hh,
    "full-hh": full_hh,
    "alpaca-ranking": alpaca_ranking,
    "sharegpt-ranking": sharegpt_ranking,
    "alpaca-pairs": alpaca_pairs,
}


def written(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read_for(path: Path, objective: str) -> tuple[Recognition, list[Conversation], list[LeftOut]]:
    """As a training reads a file that nothing is said of but the objective."""
    found, section = find_dataset(str(path)), Plan().dataset
    reading = require_answer(
        recognise(sample_rows(found, 200), where=found.path), section, where=found.path, objective=objective
    )
    read = [one for _, one in filter_rows(RowFilter(section, found), read_rows(found, unfold=reading.unfold), reading)]
    kept = [one for one in read if isinstance(one, Conversation)]
    return reading, kept, [one for one in read if isinstance(one, LeftOut)]


@pytest.mark.parametrize("shape", PAIRS)
def test_published_shapes_of_pairs_are_read_as_they_are(shape: str, tmp_path: Path) -> None:
    reading, kept, faults = read_for(written(tmp_path, [PAIRS[shape](n) for n in range(ROWS)]), "dpo")
    assert not faults and len(kept) == ROWS and reading.pairs
    for n, pair in enumerate(kept):
        chosen, rejected = pair.sides
        assert (chosen.answer.strip(), rejected.answer.strip()) == (f"yes, {n}", f"no, {n}")
        assert chosen.prompt == rejected.prompt
        assert [message.trained for message in chosen.messages] == [False] * (len(chosen.messages) - 1) + [True]
        asked = [message for message in chosen.prompt if message.role == "user"][-1].content
        assert asked == ("Is it even?\n\n" + str(n) if shape == "alpaca-pairs" else f"Is {n} even?")
        assert len(chosen.messages) == {"hh": 4, "full-hh": 4, "orca": 3, "sharegpt-ranking": 3}.get(shape, 2)


def test_scores_of_the_sides_are_kept(tmp_path: Path) -> None:
    for shape in (ultrafeedback, trl_ultrafeedback):
        reading, kept, _ = read_for(written(tmp_path, [shape(n) for n in range(ROWS)]), "dpo")
        assert {pair.scores for pair in kept} == {(8.5, 6.0)}
        assert {"score_chosen", "score_rejected"} <= reading.columns.keys()


@pytest.mark.parametrize("shape", ["list", "ranking", "conversations"])
def test_several_rejected_answers_make_a_pair_each(shape: str, tmp_path: Path) -> None:
    def row(n: int) -> dict[str, Any]:
        worse = [f"no, {n}", f"perhaps, {n}", f"never, {n}"][: 1 + n % 3]
        if shape == "ranking":
            return {"instruction": f"Is {n} even?", "input": "", "output": [f"yes, {n}", *worse]}
        if shape == "list":
            return plain(n) | {"rejected": worse if n % 3 else worse[0]}
        asked = turn("user", f"Is {n} even?")
        return {
            "chosen": [asked, turn("assistant", f"yes, {n}")],
            "rejected": [[asked, turn("assistant", one)] for one in worse],
        }

    path = written(tmp_path, [row(n) for n in range(ROWS)])
    reading, kept, faults = read_for(path, "dpo")
    assert not faults and len(kept) == sum(1 + n % 3 for n in range(ROWS))
    assert "makes a pair" in reading.why
    assert [one.sides[1].answer for one in kept[1:3]] == ["no, 1", "perhaps, 1"]
    assert {one.answer for one in kept[1:3]} == {"yes, 1"}
    values = with_values(Plan(), {"dataset.preference": "chosen"}).dataset
    found = find_dataset(str(path))
    alone = require_answer(recognise(sample_rows(found, 200)), values, where="")
    assert len(list(read_rows(found, unfold=alone.unfold))) == ROWS, "who learns the chosen side learns it once"


def test_pairs_of_one_question_are_held_out_together(tmp_path: Path) -> None:
    rows = [plain(n) | {"rejected": [f"no, {n}", f"never, {n}"]} for n in range(60)]
    _, kept, _ = read_for(written(tmp_path, rows), "dpo")
    section = with_values(Plan(), {"dataset.eval_fraction": 0.2}).dataset
    keys = keys_for(section, apart=False)
    for pair in kept:
        keys.add(pair)
    split = split_rows(section, keys, 3)
    held, trained = ({kept[at].prompt[0].content for at in part} for part in (split.evaluation, split.train))
    assert len(held) == 12 and not held & trained


LABELS: dict[str, tuple[Any, Any]] = {
    "bool": (True, False),
    "number": (1, 0),
    "float": (1.0, 0.0),
    "text": ("true", "false"),
    "Capital": ("True", "False"),
    "thumbs": ("thumbs_up", "thumbs_down"),
    "emoji": ("👍", "👎🏽"),
    "signs": (1, -1),
    "words": ("desirable", "undesirable"),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("conversational", [False, True], ids=["plain", "messages"])
def test_labels_say_which_answers_are_wanted(labels: str, conversational: bool, tmp_path: Path) -> None:
    """trl-lib/kto-mix-14k, LLaMA-Factory's kto_en_demo, and what feedback buttons write."""

    def row(n: int) -> dict[str, Any]:
        asked, answered = turn("user", f"Is {n} even?"), turn("assistant", f"yes, {n}")
        flag = {"label": LABELS[labels][n % 2]}
        if conversational and n % 2:
            return {"messages": [asked, answered], **flag}
        return ({"messages": [asked, answered]} if conversational else {"prompt": asked["content"]}) | (
            flag if conversational else {"completion": answered["content"], **flag}
        )

    reading, kept, faults = read_for(written(tmp_path, [row(n) for n in range(ROWS)]), "kto")
    assert not faults and reading.judged and reading.columns["label"] == "label"
    assert [one.desirable for one in kept] == [n % 2 == 0 for n in range(ROWS)]
    assert kept[0].identity != kept[1].identity and kept[0].answer == "yes, 0"


def test_what_a_label_may_say() -> None:
    assert [verdict(one) for one in ("👍🏿", ":thumbs_up:", "+1", "UPVOTE", 1, True)] == [True] * 6
    assert [verdict(one) for one in ("👎", "thumbs down", "-1", -1, "dislike", 0.0)] == [False] * 6
    assert [verdict(one) for one in ("maybe", 2, 0.5, None, [], "")] == [None] * 6


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": "a", "chosen": "b"}, "missing", "the rejected side: the row has no rejected."),
    ({"prompt": "a", "rejected": "b"}, "missing", "the row has no chosen."),
    ({"prompt": "a", "chosen": None, "rejected": "b"}, "empty-answer", "the answer is empty."),
    ({"prompt": "a", "chosen": "b", "rejected": []}, "empty-answer", "rejected is an empty list"),
    ({"prompt": "a", "chosen": "b", "rejected": "b"}, "equal-sides", "are the same"),
    ({"prompt": " ", "chosen": "b", "rejected": "c"}, "empty-prompt", "prompt is empty."),
    ({"chosen": "b", "rejected": "c"}, "missing", "no prompt"),
    (
        {
            "chosen": [turn("user", "a"), turn("assistant", "b")],
            "rejected": [turn("user", "z"), turn("assistant", "c")],
        },
        "pair-prompt",
        "do not answer the same question",
    ),
]


def test_rows_that_are_no_pairs_are_named_by_line(tmp_path: Path) -> None:
    path = written(tmp_path, [*map(plain, range(ROWS)), *(row for row, _, _ in BAD)])
    _, kept, faults = read_for(path, "dpo")
    assert len(kept) == ROWS and [one.line for one in faults] == [ROWS + 1 + at for at in range(len(BAD))]
    for one, (_, kind, words) in zip(faults, BAD, strict=True):
        assert one.kind == kind and words in one.message


BAD_LABELS: list[tuple[Any, str]] = [
    ("maybe", "label is maybe, and true (wanted) or false (not) was expected."),
    (3, "label is 3, and"),
    (None, "the row has no label"),
    ([1], "label is [1]"),
]


def test_labels_of_another_type_are_named_by_line(tmp_path: Path) -> None:
    rows = [{"prompt": f"Is {n} even?", "completion": "yes", "label": n % 2 == 0} for n in range(60)]
    bad = [{"prompt": "Is it?", "completion": "yes", "label": label} for label, _ in BAD_LABELS]
    _, kept, faults = read_for(written(tmp_path, [*rows, *bad]), "kto")
    assert len(kept) == 60 and [(one.line, one.kind) for one in faults] == [(61 + at, "label") for at in range(4)]
    assert all(words in one.message for one, (_, words) in zip(faults, BAD_LABELS, strict=True))


def test_classes_are_no_verdict_of_who_learns_answers_alone() -> None:
    from loratui.data.row import Row

    rows = [Row(n, n + 1, {"question": "Q", "answer": "A", "label": n % 2}) for n in range(ROWS)]
    found = recognise(rows)
    assert "label" not in found.columns and found.verdict == "label"
