"""Parts of a plan's dataset: as text and back, what is refused, and what they come to before anything is read."""

from __future__ import annotations

import pytest

from loratui.core.dataset import DataFacts, held_out_by_part, shared_out
from loratui.core.errors import PlanError
from loratui.core.mix import mixed_facts, named_paths, parts_of, sections_of, with_paths
from loratui.core.parts_text import part_from_words
from loratui.core.plan import DatasetSection, Plan
from loratui.core.plan_change import start_after
from loratui.core.plan_text import (
    parse_setting,
    plan_from_toml,
    plan_to_toml,
    whole_plan_from_toml,
    with_values,
)

TWO = """
[[dataset.parts]]
path = "a/orders.jsonl"
weight = 2

[[dataset.parts]]
path = "b/chats.jsonl.gz"
cap = 5
columns = {messages = "turns"}
"""


def test_a_plan_without_parts_is_written_as_it_was() -> None:
    plan = Plan()
    assert "parts" not in plan_to_toml(plan) and "parts" not in plan.model_dump()["dataset"]
    assert "parts" not in plan.model_dump_json()
    assert plan_to_toml(with_values(plan, {"dataset.parts": []})) == plan_to_toml(with_values(plan, {}))


def test_parts_are_written_complete_and_read_back() -> None:
    plan = plan_from_toml(TWO)
    assert plan.dataset.path == "" and plan.dataset.named == "orders + chats"
    text = plan_to_toml(plan)
    assert plan_from_toml(text) == whole_plan_from_toml(text) == plan
    assert text.count("[[dataset.parts]]") == 2 and 'cap = "none"' in text and "weight = 2.0" in text
    assert with_values(plan, {"lora.r": 8}).dataset == plan.dataset
    key, value = parse_setting('dataset.parts=[{"path": "x.jsonl", "weight": 3}]')
    assert with_values(Plan(), {"dataset.path": "", key: value}).dataset.parts[0].weight == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[dataset]\npath = "x"\n' + TWO, 'dataset.path = "x" and dataset.parts exclude each other'),
        (TWO.replace("weight = 2", "weight = 0"), "dataset.parts[1].weight = 0 is not allowed. Weight takes a number"),
        (TWO.replace("weight = 2", "weight = -1"), "dataset.parts[1].weight = -1 is not allowed"),
        (TWO.replace("weight = 2", "weight = nan"), "dataset.parts[1].weight = NaN is not allowed"),
        (TWO.replace("weight = 2", "weight = true"), "dataset.parts[1].weight = true is not allowed"),
        (TWO.replace("cap = 5", "cap = 0"), "dataset.parts[2].cap = 0 is not allowed. Cap takes none or a whole"),
        (TWO.replace("cap = 5", 'name = "orders"'), 'two of dataset.parts are named "orders"'),
        (TWO.replace("cap", "caps"), "no key dataset.parts[2].caps. Did you mean cap?"),
        (TWO.replace('path = "a/orders.jsonl"', ""), "dataset.parts[1] names no dataset"),
        ("dataset = {parts = 3}", "dataset.parts is no list"),
        ('[dataset]\nformat = "text"\n' + TWO, "dataset.format = text says nothing of a mix: write format into"),
        (TWO.replace("cap = 5", 'format = "none"'), "dataset.parts[2].format"),
    ],
)
def test_what_is_no_mix_is_one_sentence_with_its_place(text: str, words: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan_from_toml(text)
    assert words in caught.value.sentence and "\n" not in caught.value.sentence


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("a.jsonl", {"path": "a.jsonl"}),
        ("a.jsonl=0.5", {"path": "a.jsonl", "weight": 0.5}),
        ("a.jsonl#50", {"path": "a.jsonl", "cap": 50}),
        ("o/n=2#50", {"path": "o/n", "weight": 2.0, "cap": 50}),
        ("a=b/c.jsonl", {"path": "a=b/c.jsonl"}),
    ],
)
def test_words_of_the_command_line(words: str, part: dict[str, object]) -> None:
    assert part_from_words(words) == part


def test_each_part_is_a_plan_of_its_own() -> None:
    plan = plan_from_toml(TWO)
    first, second = parts_of(plan)
    assert (first.weight, first.cap, second.weight, second.cap) == (2.0, 0, 1.0, 5)
    assert second.plan.dataset == DatasetSection(path="b/chats.jsonl.gz", columns={"messages": "turns"})
    assert sections_of(plan.dataset) == (first.section, second.section)
    assert parts_of(Plan())[0].plan == Plan()
    moved = with_paths(plan, {"dataset.parts[2].path": "/here/chats.jsonl.gz"})
    assert named_paths(moved)["dataset.parts[2].path"] == "/here/chats.jsonl.gz"
    assert moved.dataset.parts[0] == plan.dataset.parts[0]


def test_another_weight_keeps_the_weights_and_begins_the_rows_anew() -> None:
    plan = plan_from_toml(TWO)
    parts = plan.get("dataset.parts")
    parts[0]["weight"] = 3.0
    assert start_after(plan, {"dataset.parts": parts}) == "adapter"
    assert start_after(plan, {"dataset.parts": plan.get("dataset.parts")}) == "checkpoint"


def test_of_each_part_the_same_share_is_held_out() -> None:
    assert held_out_by_part([100, 40, 1, 0], 0.05) == [5, 2, 0, 0]
    assert held_out_by_part([100, 40, 1], 0.05, 14) == [10, 4, 0]
    assert held_out_by_part([1000, 2, 2], 0.05, 10) == [10, 1, 1]
    assert shared_out(3, [54, 30]) == [2, 1] and shared_out(3, [0, 0]) == [0, 0]


def test_facts_of_a_mix_are_those_of_its_drawn_rows() -> None:
    section = DatasetSection(path="", parts=[{"path": "a"}, {"path": "b"}], eval_fraction=0.1)
    short = DataFacts(90, (10,) * 90, eval_examples=10, eval_taken=True)
    long = DataFacts(40, (*(50,) * 39, 400), eval_examples=10, eval_taken=False)
    mix = mixed_facts(section, [(0.5, 0, short), (2.0, 20, long)])
    assert [(part.examples, part.eval_examples) for part in mix.parts] == [(45, 10), (40, 10)]
    assert (mix.examples, mix.eval_examples, mix.usable, mix.longest) == (85, 20, 120, 400)
    assert mix.quantile(0.5) == 10 and mix.mean > 10
    assert mix.holding_out(0.0).examples == 50 + 40
    assert mix.holding_out(0.1).examples == mix.examples


def test_pieces_of_long_texts_are_counted_in_their_part_alone() -> None:
    text = DataFacts(10, (100,) * 10, divided=True, base=10)
    chats = DataFacts(10, (100,) * 10, base=10)
    section = DatasetSection(path="", parts=[{"path": "a"}, {"path": "b"}], eval_fraction=0.0)
    mix = mixed_facts(section, [(1.0, 0, text), (1.0, 0, chats)])
    assert mix.at(34).examples == 30 + 10
