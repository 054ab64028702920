"""What the training screen shows of preferences, and what a terminal without a screen says."""

from __future__ import annotations

from loratui.runs.events import make
from loratui.runs.follow import event_line
from loratui.tui.training.curves import loss_picture
from loratui.tui.training.history_lines import history_lines
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


def test_what_it_began_with_is_the_charts_first_mark_and_never_the_best() -> None:
    record = RunRecord()
    record.take([make("started", 1.0, step=0, total_steps=4), make("eval", 1.5, step=0, loss=0.5)])
    assert {name: (value, note) for name, value, note in facts(record, None)}["held out"] == ("–", "before 0.5000")
    record.take([make("step", 2.0, step=1, loss=0.6), make("eval", 3.0, step=1, loss=0.7, best=True)])
    assert loss_picture(record).marks == ((0, 0.5), (1, 0.7))
    assert record.best_eval is not None and record.best_eval.step == 1 and record.evaluations == 1
    assert record.as_curves(finished=True).base_loss == 0.5
    told = [line.plain.strip() for line in history_lines(record, 60, 20)]
    assert told[-1].startswith("before it") and "best" in told[-2]
    record.take([make("fix", 4.0, start="anew")])
    assert not record.held_out, "another plan begins with another loss"


def test_the_order_of_judged_answers_is_that_of_the_held_out_ones() -> None:
    record = RunRecord()
    record.take([make("step", 1.0, step=1, loss=0.5, reward_chosen=0.1, reward_rejected=0.0)])
    assert "in order" not in {name for name, _, _ in facts(record, None)}
    record.take([make("eval", 2.0, step=1, loss=0.5, preference_accuracy=0.75)])
    assert {name: (value, note) for name, value, note in facts(record, None)}["in order"] == (
        "75%",
        "held: wanted first",
    )


def test_the_evaluation_before_the_first_step_is_told_as_such() -> None:
    assert event_line(make("eval", 0, step=0, loss=0.5)) == "evaluation before the first step: loss 0.5000"
