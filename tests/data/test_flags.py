"""Flags that rows and messages carry are honoured, or the row is refused with the reason: never passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reading import read_whole

from loratui.data.check import check
from loratui.data.convert import to_conversation
from loratui.data.recognise import recognise
from loratui.data.row import Row, RowError


def read_all(values: list[dict[str, Any]], **given: Any) -> tuple[Any, list[str]]:
    """The reading, and for each row its answer or the kind of what is wrong with it."""
    reading = recognise([Row(number, number + 1, value) for number, value in enumerate(values)], **given)
    outcomes = []
    for value in values:
        try:
            outcomes.append(to_conversation(value, reading).answer)
        except RowError as error:
            outcomes.append(error.kind)
    return reading, outcomes


def pair(**more: Any) -> dict[str, Any]:
    return {"prompt": "Q", "completion": "A", **more}


@pytest.mark.parametrize(
    ("good", "bad", "part", "kind"),
    [
        (pair(label=True), pair(label=False), "label", "label"),
        (pair(label="True"), pair(label="False"), "label", "label"),
        (pair(kto_tag=1), pair(kto_tag=0), "label", "label"),
        (pair(loss_weight=1.0), pair(loss_weight=0.0), "weight", "weight"),
        (pair(train=True), pair(train=False), "weight", "weight"),
        (pair(split="train"), pair(split="test"), "split", "split"),
        (pair(split="train"), pair(split="validation"), "split", "split"),
        (pair(images=[]), pair(images=["a.jpg"]), "images", "media"),
        (pair(image=None), pair(image={"bytes": "x", "path": None}), "images", "media"),
        (pair(videos=None), pair(videos=["a.mp4"]), "videos", "media"),
    ],
)
def test_rows_that_are_not_to_be_learnt_are_not(good: dict, bad: dict, part: str, kind: str) -> None:
    reading, outcomes = read_all([good, bad, good, bad, bad, bad])
    assert part in reading.columns
    assert outcomes == ["A", kind, "A", kind, kind, kind]
    reading, outcomes = read_all([good, bad], columns={"prompt": "prompt", "completion": "completion", part: ""})
    assert outcomes == ["A", "A"], "a part that is mapped to no column is dropped"


def test_kto_rows_in_a_file_train_the_good_ones_alone(tmp_path: Path) -> None:
    path = tmp_path / "kto.json"
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    path.write_text(json.dumps([{"messages": turns, "label": number % 2 == 0} for number in range(10)]))
    reading = read_whole(path)
    assert len(reading.conversations) == 5
    assert {problem[1] for problem in reading.problems} == {"label"}
    assert "label is false: the row is an answer that is not wanted." in reading.problems[0][2]


def answered(**flags: Any) -> dict[str, Any]:
    ask, answer = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
    return {"messages": [ask, {**answer, "content": "B", **flags}, ask, answer]}


@pytest.mark.parametrize(
    "flags",
    [
        {"weight": 0},
        {"weight": "0"},
        {"loss_weight": 0.0},
        {"train": False},
        {"loss": False},
        {"trainable": False},
        {"masked": True},
        {"train_detail": [{"begin_offset": 0, "end_offset": 0, "train": False}]},
        {"weight": 1, "train": False},
    ],
)
def test_answers_flagged_as_not_learnt_are_only_read(flags: dict[str, Any]) -> None:
    value = answered(**flags)
    conversation = to_conversation(value, recognise([Row(0, 1, value)]))
    assert [message.trained for message in conversation.messages] == [False, False, False, True]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (answered(loss_weight=0.5), "weight"),
        (
            answered(
                train_detail=[
                    {"begin_offset": 0, "end_offset": 3, "train": False},
                    {"begin_offset": 4, "end_offset": 9, "train": True},
                ]
            ),
            "flag",
        ),
        ({"messages": [{"role": "user", "content": "Q", "train": True}, *answered()["messages"][1:]]}, "flag"),
        ({"messages": [{"role": "user", "content": "Q", "loss_weight": 1.0}, *answered()["messages"][1:]]}, "flag"),
    ],
)
def test_flags_that_training_cannot_honour_refuse_the_row(value: dict[str, Any], kind: str) -> None:
    assert read_all([value, answered()])[1] == [kind, "A"]


def test_weights_that_cannot_be_honoured_are_said_and_a_class_is_no_flag() -> None:
    reading, outcomes = read_all([pair(weight=0.5), pair(weight=2)])
    assert outcomes == ["A", "A"] and reading.guess and "weight holds other numbers" in reading.doubts[0]
    reading, outcomes = read_all([{"text": "T", "label": True}, {"text": "U", "label": False}])
    assert outcomes == ["T", "U"] and reading.guess and "label" in reading.doubts[0]
    reading, outcomes = read_all([{"text": "T", "label": "good one"}, {"text": "U", "label": "bad one"}])
    assert outcomes == ["good one", "bad one"] and reading.guess


def test_a_split_that_names_no_training_rows_is_no_flag() -> None:
    assert read_all([pair(split="test"), pair(split="test")])[1] == ["A", "A"]


@pytest.mark.parametrize("kind", ["image", "image_url", "video", "input_audio", "audio"])
def test_content_that_is_not_text_is_refused(kind: str) -> None:
    content = [{"type": "text", "text": "Q"}, {"type": kind, "value": "x.jpg"}]
    value = {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "A"}]}
    problem = read_all([value])[1][0]
    assert problem in ("media", "type")


@pytest.mark.parametrize(
    "text", ["<image>What is it?", "<img>https://x.org/a.jpg</img>Who?", "Hear <audio>a.mp3</audio>"]
)
def test_a_picture_within_the_text_is_said(text: str) -> None:
    value = pair(prompt=text)
    found = list(check(to_conversation(value, recognise([Row(0, 1, value)]))))
    assert [kind for kind, _ in found] == ["placeholder"] and "will not be shown" in found[0][1]
