"""What the training screen shows of preferences, and what a terminal without a screen says."""

from __future__ import annotations

from loratui.runs.events import make
from loratui.runs.follow import event_line
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import facts

FIGURES = {"reward_chosen": 0.25, "reward_rejected": -0.5, "reward_margin": 0.75, "preference_accuracy": 0.875}


def test_margin_and_order_stand_among_the_figures() -> None:
    record = RunRecord()
    record.take([make("step", 1.0, step=number, loss=0.6, **FIGURES) for number in (1, 2)])
    shown = {name: (value, note) for name, value, note in facts(record, None)}
    assert shown["in order"] == ("88%", "of pairs") and shown["margin"] == ("+0.750", "+0.250 over -0.500")
    record.take([make("eval", 2.0, step=2, loss=0.5, **FIGURES | {"preference_accuracy": 0.75})])
    assert {name: note for name, _, note in facts(record, None)}["in order"] == "held: 75%"
    curves = record.as_curves(finished=False)
    assert list(curves.margins) == [0.75, 0.75] and list(curves.orders) == [0.875, 0.875]
    assert list(curves.chosen_rewards) == [0.25, 0.25]


def test_where_answers_are_learnt_there_is_no_word_of_pairs() -> None:
    record = RunRecord()
    record.take([make("step", 1.0, step=1, loss=2.0, token_accuracy=0.5)])
    assert not {"in order", "margin"} & {name for name, _, _ in facts(record, None)}


def test_an_evaluation_tells_its_preference_accuracy_on_one_line() -> None:
    line = event_line(make("eval", 0, step=4, loss=0.5, best=True, **FIGURES))
    assert line == "evaluation at step 4: loss 0.5000  pairs in order 0.875  margin 0.750  (best so far)"
