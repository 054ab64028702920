"""The figures of rows are those of the libraries, and of the papers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from loratui.core.errors import InputError
from loratui.evaluation.intervals import interval
from loratui.evaluation.journal import Journal
from loratui.evaluation.measures import measure_of
from loratui.evaluation.records import Needs, Records
from loratui.evaluation.report import Floor, Side, brief_verdict_lines, document, figure_lines, right_line, table
from loratui.evaluation.scoring import Given, Item, Outcome, Rules, applicable, figures, repeats

WRITTEN = ["the cat sat on the mat", "a small house by the sea", "nothing at all, really"]
ANSWERS = ["the cat is on the mat", "a big house near the sea", "nothing at all, really"]
ITEMS = [Item(row, f"question {row}", text, True) for row, text in enumerate(WRITTEN)]


def outcomes(*answers: str, ended: str = "stop token") -> list[Outcome]:
    return [Outcome([Given(text, ended, len(text))]) for text in answers]


def value(name: str, items: list[Item], found: list[Outcome], rules: Rules | None = None) -> float:
    return interval(measure_of(name), figures([name], items, found, rules or Rules())[name]).value


def test_rouge_is_the_librarys_own() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    scores = [scorer.score(wanted, answer) for wanted, answer in zip(WRITTEN, ANSWERS, strict=True)]
    for name in ("rouge1", "rouge2", "rougeL"):
        wanted = np.mean([one[name].fmeasure for one in scores])
        assert value(name, ITEMS, outcomes(*ANSWERS)) == pytest.approx(wanted)


def test_bleu_and_chrf_are_sacrebleus_own_over_the_whole() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    for name, metric in (("bleu", sacrebleu.metrics.BLEU()), ("chrf", sacrebleu.metrics.CHRF())):
        wanted = metric.corpus_score(ANSWERS, [WRITTEN]).score
        assert 0 < value(name, ITEMS, outcomes(*ANSWERS)) == pytest.approx(wanted)


def test_json_is_compared_field_by_field() -> None:
    wanted = {"name": "Ada", "count": 3, "tags": ["a", "b"], "in": {"x": True}}
    items = [Item(row, "q", json.dumps(wanted)) for row in range(5)]
    other = {**wanted, "count": 4, "tags": ["a"]}
    found = outcomes(
        json.dumps(wanted, indent=2),
        json.dumps(other),
        json.dumps({**wanted, "more": 1}),
        "no JSON",
        '{"in": {"x": 1}}',
    )
    rows = figures(["json_fields", "json_valid"], items, found, Rules())
    assert rows["json_fields"][:, 0] == pytest.approx([1, 3 / 5, 5 / 6, 0, 0])
    assert rows["json_valid"][:, 0].tolist() == [1, 1, 1, 0, 1]
    plain = figures(["json_fields"], ITEMS, outcomes(*ANSWERS), Rules())["json_fields"]
    assert np.isnan(plain).all(), "a text that is no JSON asks for none"
    assert "json_fields" in applicable(items, Rules()) and "json_fields" not in applicable(ITEMS, Rules())


def test_what_a_pattern_finds_last_is_compared() -> None:
    rules = Rules(extract=r"#### (-?[\d,.]+)")
    items = [Item(0, "q", "… #### 1,018"), Item(1, "q", "… #### 7"), Item(2, "q", "nothing"), Item(3, "q", "#### 5")]
    found = outcomes("#### 3 no, #### 1018.", "so 7", "#### 1", "#### 5")
    rows = figures(["extracted"], items, found, rules)["extracted"][:, 0]
    assert rows[:2].tolist() == [1, 0] and math.isnan(rows[2]) and rows[3] == 1
    with pytest.raises(InputError, match="--extract: this is no regular expression"):
        Rules(extract="(")
    assert figures(["pattern"], items, found, Rules(pattern="####"))["pattern"][:, 0].tolist() == [1, 0, 1, 1]


def test_pass_at_k_is_the_unbiased_estimate() -> None:
    """Chen et al. 2021, 2107.03374: 1 - C(n - c, k) / C(n, k)."""
    item = Item(0, "q", "4")
    found = [Outcome([Given(text, "stop token", 1) for text in ("4", "5", "5", "4", "6")])]
    assert value("pass@1", [item], found) == pytest.approx(2 / 5)
    assert value("pass@2", [item], found) == pytest.approx(1 - 3 / 10)
    assert value("pass@4", [item], found) == 1
    assert value("exact_match", [item], found) == pytest.approx(2 / 5), "the mean over a row's answers"
    assert math.isnan(value("pass@6", [item], found))


def test_choices_by_likelihood() -> None:
    items = [
        Item(0, "q", "yes", choices=("no", "yes"), right=1),
        Item(1, "q", "b", choices=("a", "long answer"), right=0),
    ]
    found = [Outcome(choices=(-3.0, -1.0)), Outcome(choices=(-4.0, -5.0))]
    assert value("choice", items, found) == 1
    assert value("choice_by_length", items, found) == 0.5, "the longer one is likelier for each of its letters"


def test_answers_that_are_no_answers() -> None:
    found = outcomes("", " \n", "fine", "go on " * 30, "ababababababababababababab")
    items = [Item(row, "q", "fine") for row in range(5)]
    assert value("empty", items, found) == pytest.approx(2 / 5)
    assert value("repeats", items, found) == pytest.approx(2 / 5)
    assert value("unfinished", items, outcomes("a", "b", "c", "d", "e", ended="length")) == 1
    assert not repeats('{"name": "Ada", "item": "lamp", "colour": "blue", "count": 3, "price": 42, "day": "Monday"}')
    assert not repeats(
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    )


def test_the_document_the_table_and_what_was_missed() -> None:
    items = [Item(row, f"question {row}", "yes") for row in range(40)]
    base = Side("base", "base", outcomes(*["no"] * 40))
    run = Side("run", "run", outcomes(*["yes"] * 36, "", *["no"] * 3))
    found = document([base, run], items, ["exact_match", "empty"], Rules(), [Floor.of("exact_match=95%")])
    assert found["judged"] == "run" and found["sides"][1]["figures"]["exact_match"]["value"] == 0.9
    (line,) = [one for one in found["differences"] if one["words"]]
    assert line["told"] == "better" and line["measure"] == "exact_match" and line["against"] == "base"
    assert [(row["row"], row["why"]) for row in found["failed"]][:2] == [(37, "empty"), (38, "another answer")]
    assert found["missed"] == [{"measure": "exact_match", "wanted": 0.95, "value": 0.9}]
    assert json.loads(json.dumps(found)) == found
    lines = table(found, width=80, failed=1)
    assert all(len(line) <= 80 for line in lines[:4]) and any(line.startswith("exact match") for line in lines)
    assert "  … 3 more; --failed N shows N of them." in lines
    assert document([base, run], items, ["exact_match"], Rules(), [Floor.of("exact_match=0.9")])["missed"] == []
    with pytest.raises(InputError, match="is not measured"):
        document([run], items, ["exact_match"], Rules(), [Floor.of("loss=1")])
    with pytest.raises(InputError, match="Did you mean exact_match"):
        Floor.of("exact_mach=1")
    assert Floor.of("loss=2").met(1.5) and not Floor.of("loss=2").met(2.5), "less of it is better"


def test_what_cannot_be_told_is_named_in_one_line_with_what_would_tell_it_first() -> None:
    def line(measure: str, told: str, rows: int | None = None) -> dict[str, object]:
        return {
            "against": "base",
            "measure": measure,
            "told": told,
            "rows_needed": rows,
            "words": f"{told}: {measure}, on 20 rows",
        }

    found = {
        "rows": 20,
        "sides": [{"name": "base", "title": "base"}, {"name": "run", "title": "run"}],
        "differences": [
            line("exact_match", "no difference"),
            line("rouge1", "no difference", 440),
            line("loss", "better"),
            line("rougeL", "no difference", 96),
        ],
    }
    assert brief_verdict_lines(found) == [
        "run, beside base, on 20 rows:",
        "  loss: better: loss",
        "  no difference can be told: exact match, ROUGE-1, ROUGE-L; about 96 more rows would tell ROUGE-L",
        "",
    ]


def test_no_figure_touches_its_name_however_long() -> None:
    """`right choice by length100.0 %`"""
    items = [Item(row, "q", "a", choices=("a", "b"), right=0) for row in range(4)]
    side = Side("run", "run", [Outcome(choices=(-1.0, -2.0)) for _ in items])
    lines = figure_lines(document([side], items, ["choice", "choice_by_length"], Rules()), width=80)
    assert any(line.startswith("right choice by length 100.0 %") for line in lines)


def test_two_sides_stand_beside_each_other_in_a_narrow_window_and_a_third_below() -> None:
    items = [Item(row, f"question {row}", "yes") for row in range(40)]
    sides = [Side(name, name, outcomes(*["yes"] * 40)) for name in ("base", "checkpoint-5", "run")]
    found = document(sides, items, ["exact_match", "unfinished"], Rules())
    lines = figure_lines(found, width=66)
    assert [line.split() for line in lines if "  base" in line or line.endswith("run")] == [
        ["base", "checkpoint-5"],
        ["run"],
    ]
    assert max(map(len, lines)) <= 66 and sum(line.startswith("exact match") for line in lines) == 2
    usual = figure_lines(found, width=200)
    assert usual[0].split() == ["base", "checkpoint-5", "run"] and usual[0].index("base") == 22
    assert lines[1].count("100.0 %") == 2


def test_records_are_continued_and_a_torn_line_is_made_again(tmp_path: Path) -> None:
    identity = {"base": "b"}
    records = Records(tmp_path, "my side/..", identity)
    records.begin()
    records.add_answers({(0, 0): Given("one\n", "stop token", 2), (1, 0): Given("two", "length", 3)})
    records.add_likelihoods({0: (1.5, 4, 3)})
    with pytest.raises(InputError, match="another process is writing it"):
        Records(tmp_path, "my side/..", identity).begin()
    records.refuse(2, "too long")
    records.close()
    assert records.path.parent == tmp_path
    with records.path.open("a") as file:
        file.write('["answer", 3, 0, "tor')
    again = Records(tmp_path, "my side/..", identity)
    again.begin()
    assert (
        again.answers == records.answers and again.likelihoods == {0: (1.5, 4, 3)} and again.problems == {2: "too long"}
    )
    items = [Item(row, "q", "a", written=True) for row in range(4)]
    assert again.left(items, Needs(1, True, False)) == 1 + 2, "an answer of row 3, and what was written in 1 and 3"
    again.add_answers({(3, 0): Given("whole", "stop token", 1)})
    again.close()
    assert Records(tmp_path, "my side/..", identity).answers[3, 0].text == "whole"
    assert Records(tmp_path, "my side/..", {"base": "other"}).answers == {}
    (tmp_path / "link").symlink_to(records.path)
    with pytest.raises(InputError, match="a link"):
        Journal(tmp_path / "link", identity)


def test_how_many_rows_are_right_is_one_sentence_with_the_judged_side_first() -> None:
    sides = [Side("base", "base", outcomes("x", "x", WRITTEN[2])), Side("adapter", "adapter", outcomes(*WRITTEN))]
    assert right_line(document(sides, ITEMS, ["exact_match"], Rules())) == (
        "adapter: 3 of 3 · base: 1 of 3 answers right."
    )
    assert right_line(document(sides, ITEMS, ["rouge1"], Rules())) == ""


def test_a_figure_that_no_answer_of_one_word_can_reach_does_not_apply() -> None:
    """A model that had all rows right read `BLEU 0.0`, `ROUGE-2 0.0 %`, and that more rows would tell them."""
    pytest.importorskip("sacrebleu")
    items = [Item(row, "Capital?", text, True) for row, text in enumerate(["Lima.", "Oslo.", "Nairobi."] * 5)]
    base, right = outcomes(*["the capital of it is We, and so on"] * 15), outcomes(*[item.expected for item in items])
    names = ["exact_match", "rouge1", "rouge2", "bleu", "chrf"]
    found = document([Side("base", "base", base), Side("run", "run", right)], items, names, Rules())
    for side in found["sides"]:
        for name, why in (
            ("rouge2", "written answers of one word have no pairs of words."),
            ("bleu", "no written answer has four words or signs in a row."),
        ):
            assert side["figures"][name] == {"value": None, "low": None, "high": None, "rows": 0, "why_none": why}
    assert found["sides"][1]["figures"]["rouge1"]["value"] == 1
    assert {one["measure"] for one in found["differences"]} == {"exact_match", "rouge1", "chrf"}
    assert "ROUGE-2" not in (told := "\n".join(brief_verdict_lines(found))) and "BLEU" not in told
    lines = table(found, width=80)
    assert any(line.split() == ["BLEU", *["does", "not", "apply"] * 2] for line in lines), lines
    assert "ROUGE-2 does not apply: written answers of one word have no pairs of words." in lines
    assert json.loads(json.dumps(found)) == found


def test_of_rows_of_which_some_are_long_enough_the_figures_are_told() -> None:
    """ROUGE-2 of those rows alone; BLEU, whose words add up over all rows, of all."""
    sacrebleu = pytest.importorskip("sacrebleu")
    items = [*ITEMS, Item(3, "q", "Lima.", True)]
    found = document([Side("run", "run", outcomes(*ANSWERS, "Lima."))], items, ["rouge2", "bleu"], Rules())
    told = found["sides"][0]["figures"]
    assert told["rouge2"]["value"] == pytest.approx(value("rouge2", ITEMS, outcomes(*ANSWERS)))
    assert (told["rouge2"]["rows"], told["bleu"]["rows"]) == (3, 4)
    whole = sacrebleu.metrics.BLEU().corpus_score([*ANSWERS, "Lima."], [[*WRITTEN, "Lima."]]).score
    assert told["bleu"]["value"] == pytest.approx(whole)
    assert not any("does not apply" in line for line in table(found))


def test_a_part_of_words_alone_has_no_bleu_beside_one_of_sentences() -> None:
    pytest.importorskip("sacrebleu")
    items = [
        Item(row, "q", text, True, part="long" if row < 5 else "short")
        for row, text in enumerate([WRITTEN[0]] * 5 + ["Lima."] * 5)
    ]
    found = document([Side("run", "run", outcomes(*[item.expected for item in items]))], items, ["bleu"], Rules())
    figures_of = {one["part"]: one["sides"][0]["figures"]["bleu"] for one in found["parts"]}
    assert figures_of["long"]["value"] == pytest.approx(100) and figures_of["short"]["value"] is None
