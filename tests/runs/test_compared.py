"""Which of two runs is better held out, and when that cannot be said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs import row_losses
from loratui.runs.compared import Side, differing_words, held_out_words
from loratui.runs.directory import Run
from loratui.runs.events import Eval, make
from loratui.runs.row_losses import RowLosses

TOKENS = [10] * 40


def side(
    tmp_path: Path, name: str, per_token: float | None, *, rows: str = "abc", wobble: float = 0.0, **more: Any
) -> Side:
    """A run of 40 held-out rows of 10 tokens that lose so much each; every second one `wobble` more, others less."""
    run = Run(tmp_path / name)
    run.path.mkdir()
    run.fingerprint_path.write_text(json.dumps({"data": {"held_out": rows, "digest": 2}}))
    best = None
    if per_token is not None:
        nll = [10 * (per_token + (wobble if at % 2 else -wobble)) for at in range(40)]
        row_losses.keep(run, 20, RowLosses.of(nll, TOKENS))
        event = make("eval", 1.0, step=20, loss=per_token, rows=40)
        assert isinstance(event, Eval)
        best = event
    return Side(run, with_values(Plan(), more.pop("values", {})), best, name, **more)


def test_the_better_one_is_named_with_how_much_and_with_chance(tmp_path: Path) -> None:
    one, other = side(tmp_path, "one", 0.5), side(tmp_path, "other", 0.4, wobble=0.01)
    said = held_out_words(one, other, [])
    assert said.startswith("other is better held out: 0.4000 nats a token, 0.1000 below one (20 %)"), said
    assert "on the same 40 rows; 95 % between 0.09" in said, said
    assert held_out_words(other, one, []) == said


def test_what_chance_explains_is_no_difference(tmp_path: Path) -> None:
    said = held_out_words(side(tmp_path, "one", 0.5), side(tmp_path, "other", 0.49, wobble=0.2, over=False), [])
    assert said.startswith("Held out they cannot be told apart so far: 0.5000 and 0.4900 nats a token"), said
    assert "95 % between -0.0" in said and "+0.0" in said, said


def test_other_rows_cannot_be_compared_and_it_says_why(tmp_path: Path) -> None:
    one = side(tmp_path, "one", 0.5)
    other = side(tmp_path, "other", 0.4, rows="xyz", values={"training.seed": 7})
    said = held_out_words(one, other, ["lora.r", "training.seed"])
    assert "cannot be compared: other rows, or other tokens of them, were held out (Seed)." in said, said
    assert "better" not in said
    third = side(tmp_path, "third", 0.4, rows="xyz")
    assert "the dataset has changed between them" in held_out_words(one, third, [])


def test_other_losses_cannot_be_compared(tmp_path: Path) -> None:
    one = side(tmp_path, "one", 0.5)
    pairs = side(tmp_path, "pairs", 0.4, values={"training.objective": "dpo"})
    other = side(tmp_path, "other", 0.3, values={"training.objective": "dpo", "preference.beta": 0.3})
    assert "SFT and DPO measure losses of other kinds" in held_out_words(one, pairs, ["training.objective"])
    assert "what the loss measures follows from Beta" in held_out_words(pairs, other, ["preference.beta"])


def test_a_run_without_an_evaluation_has_nothing_to_compare(tmp_path: Path) -> None:
    said = held_out_words(side(tmp_path, "one", 0.5), side(tmp_path, "new", None), [])
    assert said == "Nothing says yet which is better: new has no held-out loss."


def test_what_differs_is_named_up_to_a_point() -> None:
    assert differing_words([]) == "Their plans are the same."
    assert differing_words(["lora.r"]) == "They differ in Rank."
    assert differing_words(["lora.r", "lora.alpha"]) == "They differ in Rank and Alpha."
    many = ["lora.r", "lora.alpha", "training.seed", "training.epochs", "training.learning_rate"]
    assert differing_words(many) == "They differ in Rank, Alpha, Seed and 2 more."


def test_the_difference_agrees_with_the_two_figures_beside_it(tmp_path: Path) -> None:
    """0.0176 and 0.0011 were said to be 0.0164 apart."""
    said = held_out_words(side(tmp_path, "one", 0.01756), side(tmp_path, "other", 0.00114), [])
    assert "0.0011 nats a token, 0.0165 below one" in said, said
