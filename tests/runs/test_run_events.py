"""Events round-trip, keep what they do not know, and are read as they are written."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.runs.events import KINDS, Event, EventTail, Finished, Step, decode, encode, make


def test_every_kind_round_trips() -> None:
    for kind, kind_class in KINDS.items():
        event = make(kind, 12.5)
        again = decode(encode(event))
        assert type(again) is kind_class
        assert again == event


def test_design_names_of_a_step() -> None:
    names = {
        "step",
        "epoch",
        "loss",
        "learning_rate",
        "grad_norm",
        "tokens",
        "tokens_per_second",
        "memory_allocated",
        "memory_reserved",
        "memory_peak",
        "eta",
    }
    assert names <= set(Step.model_fields)


def test_unknown_fields_and_types_are_kept() -> None:
    event = decode('{"type": "step", "time": 1, "step": 3, "weather": "fine"}')
    assert isinstance(event, Step)
    assert event.fields["weather"] == "fine"
    later = decode('{"type": "teleported", "time": 2, "v": 9, "to": [1, 2]}')
    assert type(later) is Event and later.type == "teleported" and later.v == 9
    assert decode(encode(later)) == later


@given(st.floats(), st.floats())
def test_numbers_that_are_not_finite_survive(loss: float, gradient: float) -> None:
    event = decode(encode(make("step", 0.0, step=1, loss=loss, grad_norm=gradient)))
    assert isinstance(event, Step)
    for given_value, read in ((loss, event.loss), (gradient, event.grad_norm)):
        assert read is not None
        assert read == given_value or (math.isnan(read) and math.isnan(given_value))


@pytest.mark.parametrize(
    "line", ["", "{", '{"time": 1}', "[1]", '{"type": 3, "time": 1}', '{"type":"step","time":"x"}', "\x00\x00"]
)
def test_a_line_that_is_no_event(line: str) -> None:
    assert decode(line) is None


def test_text_with_line_ends_stays_one_line() -> None:
    event = make("sample", 1.0, prompt="a\nb\u2028c\x1b[31m", answer="\x00")
    assert "\n" not in encode(event)
    assert decode(encode(event)) == event


def test_tail_reads_only_whole_new_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    assert tail.new_events() == []
    first, second = encode(make("step", 1.0, step=1)), encode(make("finished", 2.0, step=1))
    path.write_text(first + "\n" + second[:10])
    assert [event.type for event in tail.new_events()] == ["step"]
    assert tail.new_events() == []
    with path.open("a") as file:
        file.write(second[10:] + "\nrubbish\n")
    (event,) = tail.new_events()
    assert isinstance(event, Finished)
    assert tail.unreadable_lines == 1


def test_tail_splits_a_character_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    data = (encode(make("sample", 1.0, prompt="größe 漢字")) + "\n").encode()
    tail = EventTail(path)
    seen = []
    with path.open("ab", buffering=0) as file:
        for byte in data:
            file.write(bytes([byte]))
            seen += tail.new_events()
    assert [event.fields["prompt"] for event in seen] == ["größe 漢字"]
