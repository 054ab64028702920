"""Holding rows out, and the quick counts that planning uses."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.core.errors import DatasetError
from loratui.core.plan import DatasetSection
from loratui.data.conversation import Conversation, Message
from loratui.data.facts import quick_facts
from loratui.data.find import find_dataset
from loratui.data.preview import preview
from loratui.data.split import RowKeys, split_indices, split_rows


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.floats(0, 0.5), st.integers(0, 5))
def test_a_split_loses_nothing_and_keeps_duplicates_together(identities, fraction, seed):
    split = split_indices(identities, fraction=fraction, seed=seed)
    assert sorted(split.train + split.evaluation) == list(range(len(identities)))
    assert not {identities[at] for at in split.train} & {identities[at] for at in split.evaluation}
    assert split == split_indices(identities, fraction=fraction, seed=seed)
    assert split.train
    if fraction == 0:
        assert not split.evaluation


def test_a_split_is_as_large_as_asked_and_depends_on_the_seed():
    splits = [split_indices(range(1000), fraction=0.05, seed=seed) for seed in (1, 2)]
    assert [len(split.evaluation) for split in splits] == [50, 50]
    assert splits[0] != splits[1]
    assert len(split_indices(range(1000), count=7).evaluation) == 7
    assert split_indices([1], fraction=0.5).evaluation == ()


def write(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps({"prompt": "a" * 40, "completion": "b" * 40}) + "\n" for _ in range(count)))
    return path


def test_facts_are_guessed_from_characters(tmp_path: Path):
    facts = quick_facts(find_dataset(str(write(tmp_path / "a.jsonl", 1000))))
    assert (facts.examples, facts.eval_examples, facts.exact) == (950, 50, False)
    assert set(facts.lengths) == {80 // 4 + 10} and facts.trained_share == 0.5


def test_facts_follow_the_file(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    assert quick_facts(find_dataset(str(write(path, 100)))).examples == 95
    assert quick_facts(find_dataset(str(write(path, 300)))).examples == 285


def test_facts_count_what_cannot_be_used_and_an_evaluation_file(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", 30)
    with path.open("a") as file:
        file.write("broken\n" * 10)
    other = write(tmp_path / "b.jsonl", 7)
    section = DatasetSection(path=str(path), eval_path=str(other), exclude=[0, 1])
    facts = quick_facts(find_dataset(str(path)), section)
    assert (facts.examples, facts.eval_examples) == (28, 7)


def test_many_rows_are_counted_but_not_all_read(tmp_path: Path):
    facts = quick_facts(find_dataset(str(write(tmp_path / "a.jsonl", 30_000))))
    assert facts.examples + facts.eval_examples == 30_000
    assert len(facts.lengths) <= 5_000


def test_a_preview_shows_rows_and_what_is_wrong_with_them(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", 3)
    with path.open("a") as file:
        file.write('{"prompt": "x", "completion": ""}\n')
    shown = preview(find_dataset(str(path)))
    assert [row.problem is None for row in shown.rows] == [True, True, True, False]
    assert shown.rows[0].conversation.answer == "b" * 40
    assert shown.rows[3].line == 4 and shown.rows[3].problem.kind == "empty-answer"


@pytest.mark.parametrize("name", ["a.parquet", "a.json", "a.jsonl", "a.jsonl.gz", "a.csv"])
def test_rows_of_every_kind_of_file_are_counted(tmp_path: Path, name: str):
    rows = [{"prompt": f"question {n}", "completion": "b"} for n in range(700)]
    path = tmp_path / name
    lines = "\n".join(json.dumps(row) for row in rows)  # the last line has no end
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows))
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    elif name.endswith(".csv"):
        path.write_text("prompt,completion\n" + "".join(f"{row['prompt']},b\n" for row in rows))
    else:
        path.write_text(lines)
    facts = quick_facts(find_dataset(str(path)))
    assert facts.examples + facts.eval_examples == 700


def test_many_packed_rows_are_guessed_from_the_size(tmp_path: Path):
    path = tmp_path / "a.jsonl.gz"
    row = {"prompt": "a" * 200, "completion": "b" * 200}
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for _ in range(3000)).encode(), 0))
    facts = quick_facts(find_dataset(str(path)))
    assert facts.examples + facts.eval_examples >= 1000, "no fewer than were read"


def test_the_demo_has_held_out_rows_of_its_own():
    found = find_dataset("demo")
    assert found.kind == "demo" and found.eval_files
    facts = quick_facts(found)
    assert facts.examples > 0 and facts.eval_examples > 0


def test_a_path_that_leads_nowhere_says_what_there_is(tmp_path: Path):
    write(tmp_path / "train.jsonl", 3)
    for path, hint in (
        (str(tmp_path / "trian.jsonl"), "Did you mean train.jsonl?"),
        (str(tmp_path / "zzz.csv"), f"In {tmp_path} there are: train.jsonl."),
        (str(tmp_path / "none" / "a.jsonl"), f"There is no folder {tmp_path / 'none'} either."),
        ("  ", "Give a file, a folder, a hub id, or demo."),
    ):
        with pytest.raises(DatasetError) as error:
            find_dataset(path)
        assert error.value.hint == hint
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "notes").write_text("words")
    for name, says in (("empty.jsonl", "the file is empty"), ("notes", "no kind of data file")):
        with pytest.raises(DatasetError, match=says):
            find_dataset(str(tmp_path / name))


@pytest.mark.parametrize(("start", "kind"), [(b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b" [1]", "jsonl")])
def test_a_file_without_a_known_ending_is_known_by_its_content(tmp_path: Path, start: bytes, kind: str):
    (tmp_path / "rows").write_bytes(start)
    assert find_dataset(str(tmp_path / "rows")).files[0].kind == kind


def conversation(number: int, words: int = 40) -> Conversation:
    draw = Random(number)
    said = [" ".join(f"word{draw.randrange(900)}" for _ in range(words)) for _ in range(2)]
    return Conversation((Message("user", said[0]), Message("assistant", said[1], True)))


def keys_of(rows: list[Conversation]) -> RowKeys:
    keys = RowKeys()
    for row in rows:
        keys.add(row)
    return keys


def held_rows(rows: list[Conversation], **section) -> set[bytes]:
    split = split_rows(DatasetSection(**section), keys_of(rows), 42)
    assert sorted((*split.train, *split.evaluation)) == list(range(len(rows)))
    return {rows[at].identity for at in split.evaluation}


def test_a_row_more_or_another_order_moves_no_other_row() -> None:
    rows = [conversation(number) for number in range(1000)]
    before = held_rows(rows, eval_fraction=0.05)
    assert len(before) == 50
    for more in (1, 20):
        after = held_rows([*rows, *(conversation(5000 + n) for n in range(more))], eval_fraction=0.05)
        assert len(before & after) >= 0.95 * 50
    assert held_rows(rows[::-1], eval_fraction=0.05) == before
    assert len(held_rows(rows, eval_count=7) & before) == 7
    assert len(before & held_rows(rows, eval_fraction=0.05, split_by="order")) < 25


def test_near_duplicates_stay_on_one_side() -> None:
    rows = [conversation(number) for number in range(300)]
    doubles = []
    for row in rows:
        asked = row.messages[0].content.split(" ")
        asked.insert(20, "added")
        doubles.append(Conversation((Message("user", " ".join(asked) + "  "), row.messages[1])))
    split = split_rows(DatasetSection(eval_fraction=0.2), keys_of([*rows, *doubles]), 1)
    held = set(split.evaluation)
    assert len(held) == 120
    assert sum((at in held) == (at + 300 in held) for at in range(300)) >= 297


def test_a_leak_is_seen_whatever_is_around_it() -> None:
    keys = keys_of([conversation(number) for number in range(50)])
    for number in range(50):
        row = conversation(number)
        asked, answer = row.messages
        one_more = asked.content.replace(" ", " really ", 1)
        changed = Conversation((Message("system", "Be brief."), Message("user", one_more), answer))
        found = keys.like(changed)
        assert found is not None and found.position == number and not found.exact
    assert keys.like(conversation(99)) is None
    short = keys_of([Conversation((Message("user", "2 + 2?"), Message("assistant", "4 \nor so", True)))])
    spaced = Conversation((Message("user", "2  +  2? "), Message("assistant", "4\nor so", True)))
    assert short.like(spaced) is not None
    assert short.like(Conversation((Message("user", "2 - 2?"), Message("assistant", "4\nor so", True)))) is None


def test_tool_calls_and_all_of_a_long_row_set_it_apart() -> None:
    from loratui.data.near_duplicates import NearDuplicates, said

    def calling(city: str) -> Conversation:
        call = {"function": {"name": "weather", "arguments": {"text": " ".join(f"{city}{n}" for n in range(30))}}}
        return Conversation((Message("user", "Go."), Message("assistant", "", True, {"tool_calls": [call]})))

    near = NearDuplicates()
    assert near.add(said(calling("rome"))) is None and near.add(said(calling("oslo"))) is None
    assert near.add(said(calling("rome"))) == (0, 1.0)
    start = " ".join(f"begin{n}" for n in range(900))
    first, second = (" ".join(f"{name}{n}" for n in range(4000)) for name in ("one", "two"))
    assert near.add(f"{start} {first}") is None and near.add(f"{start} {second}") is None
    system = Message("system", start)
    assert said(Conversation((system, Message("user", "a"), Message("assistant", "b", True)))) == "a\nb"


def test_the_first_rows_are_read_once_for_what_is_shown_and_what_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.data import read
    from loratui.tui.wizard.loading import load_dataset

    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"p{n}", "completion": "b" * n}) + "\n" for n in range(1, 301)))
    read_file, opened = read._read_file, list[str]()

    def counted(file):
        opened.append(file.path.name)
        return read_file(file)

    alone = quick_facts(find_dataset(str(path)))
    path.touch()  # another state: what was remembered is of the first
    monkeypatch.setattr(read, "_read_file", counted)
    view = load_dataset(str(path), {})
    assert len(opened) == 2  # the first rows, then those that are counted
    assert (view.facts.rows, view.facts.lengths) == (alone.rows, alone.lengths) and view.facts.rows == 300
