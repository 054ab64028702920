"""The time that a run took is what its workers worked; the pauses between them are said apart."""

from __future__ import annotations

import pytest

from loratui.runs.events import Event, Finished, make
from loratui.runs.follow import event_line
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import facts, finished_words

FIRST = [make("phase", 1_000.0, phase="load_model"), make("started", 1_010.0), make("step", 1_060.0, step=5)]
SECOND = [make("phase", 4_000.0, phase="load_model"), make("started", 4_020.0, step=5), make("step", 4_060.0, step=9)]


def elapsed(events: list[Event]) -> tuple[str, str]:
    record = RunRecord()
    record.take(events)
    values = {name: value for name, value, _ in facts(record, None)}
    return values["in all"], values.get("paused", "")


@pytest.mark.parametrize(
    "between",
    [
        [],
        [make("stopped", 1_060.0, step=5)],
        [make("stopped", 1_060.0, step=5), make("fix", 3_999.0, changes={"training.learning_rate": [1e-3, 1e-4]})],
    ],
    ids=["killed", "stopped", "changed"],
)
def test_pauses_do_not_count(between: list[Event]) -> None:
    assert elapsed([*FIRST, *between, *SECOND]) == ("2 min 00 s", "49 min")


def test_a_run_without_a_pause_says_none_and_a_clock_turned_back_counts_as_nothing() -> None:
    assert elapsed(FIRST) == ("1 min 00 s", "")
    assert elapsed([*FIRST, make("phase", 900.0, phase="load_model"), make("step", 1_070.0, step=6)]) == (
        "1 min 10 s",
        "",
    )


def test_the_figures_of_a_finished_run_are_those_of_the_weights_that_its_result_holds() -> None:
    record = RunRecord()
    best = make("eval", 20.0, step=81, loss=0.0517, exact_match=0.67)
    record.take([best, make("eval", 30.0, step=90, loss=0.0578, exact_match=0.33)])
    ended = make("finished", 31.0, step=90, seconds=28.0, eval_loss=0.0578, result="adapter", result_step=81)
    assert isinstance(ended, Finished)
    words = finished_words(ended, record)
    assert "held-out loss 0.0517, exact match 67%, with the weights of step 81" in words, words
    last = make("finished", 31.0, step=90, seconds=28.0, eval_loss=0.0578, result="adapter", result_step=90)
    assert isinstance(last, Finished) and "held-out loss 0.0578, exact match 33%" in finished_words(last, record)


def test_a_workers_time_begins_with_its_start_and_not_with_its_first_word() -> None:
    late = [make("phase", 1_000.0, phase="load_model", worker_seconds=5.0), *FIRST[1:]]
    assert elapsed(late) == ("1 min 05 s", "")
    second = [make("phase", 4_000.0, phase="load_model", worker_seconds=8.0), *SECOND[1:]]
    assert elapsed([*late, *second]) == ("2 min 13 s", "48 min")


def test_the_screen_the_terminal_and_the_message_call_each_kind_of_time_alike() -> None:
    ended = make("finished", 31.0, step=24, seconds=7.4, worker_seconds=12.6, result="adapter")
    assert isinstance(ended, Finished)
    assert "24 steps in 7 s, 13 s in all;" in event_line(ended)
    assert finished_words(ended, RunRecord()).startswith("24 steps in 7 s")
    gone_on = make("finished", 31.0, step=24, begun_at=10, seconds=4.0, worker_seconds=9.0, result="adapter")
    assert "24 steps, the last 14 of them in 4 s;" in event_line(gone_on)
    nothing_left = gone_on.model_copy(update={"begun_at": gone_on.step})
    assert "24 steps;" in event_line(nothing_left) and "the last 0" not in event_line(nothing_left)
    record = RunRecord()
    record.take([make("phase", 10.0, phase="load_model", worker_seconds=5.0), make("step", 22.0, step=24), ended])
    assert ("in all", "26 s", "with loading") in facts(record, None)
