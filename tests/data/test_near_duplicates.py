"""Near duplicates: found where rows differ by a word, not where they share a form."""

from __future__ import annotations

import random

from loratui.data.near_duplicates import NearDuplicates, likeness, sketch

WORDS = [f"word{n}" for n in range(500)]


def text(seed: int, count: int = 120) -> list[str]:
    return random.Random(seed).choices(WORDS, k=count)


def test_one_changed_word_is_found_and_other_rows_are_not():
    near = NearDuplicates()
    for seed in range(300):
        assert near.add(" ".join(text(seed))) is None
    hits = 0
    for seed in range(300):
        changed = text(seed)
        changed[60] = "changed"
        found = near.add(" ".join(changed).upper() + "!")
        hits += found is not None and found[0] == seed
    assert hits >= 285


def test_the_share_is_close_to_the_true_one():
    errors = []
    for seed in range(60):
        kept = 20 + seed
        one, other = text(seed), text(seed)[:kept] + text(seed + 1000)[kept:]
        parts = [{tuple(words[at : at + 3]) for at in range(len(words) - 2)} for words in (one, other)]
        true = len(parts[0] & parts[1]) / len(parts[0] | parts[1])
        errors.append(likeness(sketch(" ".join(one)), sketch(" ".join(other))) - true)
    assert abs(sum(errors)) / len(errors) < 0.03
    assert max(map(abs, errors)) < 0.3


def test_texts_without_spaces():
    near = NearDuplicates()
    line = "人工智能正在改变我们的生活方式和工作方式，许多企业已经开始使用这项技术来提高效率并降低成本。"
    assert near.add(line * 1 + "今天天气很好。") is None
    assert near.add("完全不同的一句话，讲的是另外一件事情，和前面的内容没有任何关系，只是为了测试。") is None
    found = near.add(line + "今天天气很好！")
    assert found is not None and found[0] == 0


def test_short_rows_are_left_alone():
    near = NearDuplicates()
    assert near.add("what is 2 and 2") is None
    assert near.add("what is 2 and 3") is None
    assert near.add("") is None
