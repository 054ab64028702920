"""A run's past, however long: read in constant memory, from the end where that is nearer, and the same as ever."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plain_course import course_of

from loratui.core.plan import Plan
from loratui.runs import course, lines
from loratui.runs.course import Course, read_course, sound_until
from loratui.runs.directory import Run
from loratui.runs.events import Event, EventTail, Step, encode, make
from loratui.runs.failure import trouble_of
from loratui.runs.follow import LONG_BYTES, follow_lines, mending_lines
from loratui.runs.history import figures_of, last_start, last_step, read_figures, since_last_start
from loratui.runs.lines import LineTail, from_the_end
from loratui.runs.model_card import model_card
from loratui.runs.recovery import allow
from loratui.runs.start import create_run
from loratui.runs.status import Status, write_status
from loratui.tui.training.record import KEPT_CHECKPOINTS, KEPT_EVALS, RunRecord


@pytest.fixture
def run(tmp_path: Path) -> Run:
    found = create_run(Plan(), output=tmp_path / "run")
    write_status(found.status_path, Status(state="finished"))
    return found


def write(run: Run, *events: Event) -> None:
    run.events_path.write_text("".join(encode(event) + "\n" for event in events))


def step(number: int, loss: float = 1.0, **more: Any) -> Event:
    return make("step", 1.0 + number, step=number, epoch=number / 10, loss=loss, learning_rate=1e-4, **more)


@pytest.mark.parametrize("seed", range(60))
def test_lines_are_the_same_in_pieces_and_backwards(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(lines, "CHUNK_BYTES", chance.choice([1, 2, 7, 16]))
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 20)
    path = tmp_path / "lines"
    written = [bytes(chance.choices(b"ab", k=chance.choice([0, 1, 5, 12, 50]))) for _ in range(chance.randrange(9))]
    data = b"".join(line + b"\n" for line in written) + b"torn"
    tail, seen = LineTail(path), list[bytes]()
    path.touch()
    for start in range(0, len(data), 9):
        with path.open("ab") as file:
            file.write(data[start : start + 9])
        seen += [line for _, part in tail.chunks() for line in part]
    assert seen == [line for line in written if len(line) < 50] and tail.too_long == sum(len(a) == 50 for a in written)
    assert tail.offset == len(data) - 4
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 1000)
    backwards = list(from_the_end(path))
    assert [line for _, line in backwards] == written[::-1]
    assert all(data[place:].startswith(line + b"\n") for place, line in backwards)


def test_a_line_without_an_end_never_holds_the_rest_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 4 << 20)
    with run.events_path.open("wb") as file:
        file.write(b"x" * (6 << 20) + b"\n" + encode(step(1)).encode() + b"\n")
    tail = EventTail(run.events_path)
    assert [event.type for event in tail.stream()] == ["step"] and tail.unreadable_lines == 1
    piecewise = EventTail(run.events_path)
    found = [event for _ in range(9) for event in piecewise.new_events(limit_bytes=1 << 20)]
    assert [event.type for event in found] == ["step"] and piecewise.unreadable_lines == 1


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"loss": math.nan},
        {"grad_norm": math.inf, "token_accuracy": 0.5},
        {"loss": -math.inf, "seconds": 2.0},
        {"loss": None},
        {"learning_rate": None, "grad_norm": 1e-12},
        {"later": {"loss": 9}},
    ],
)
def test_figures_without_decoding_are_those_of_the_decoded(more: dict[str, Any]) -> None:
    event = make("step", 3.25, **{"step": 7, "epoch": 0.5, "loss": 1.25, "learning_rate": 2e-5, **more})
    assert isinstance(event, Step)
    expected = figures_of(event)
    for line in (encode(event), json.dumps(json.loads(encode(event))), json.dumps({"v": 1, **event.model_dump()})):
        found = read_figures(line.encode())
        assert found is not None and str(found) == str(expected), line
    assert read_figures(encode(event)[:-1].encode()) is None, "a torn line is none"
    assert read_figures(encode(make("eval", 1.0, step=7)).encode()) is None


def as_lists(one: Course) -> tuple[Any, ...]:
    return list(one.steps), one.base, one.evals, one.total_steps, one.data, one.changed_at


@pytest.mark.parametrize("seed", range(25))
def test_the_course_of_a_file_is_that_of_its_events(seed: int, run: Run) -> None:
    """Whatever was resumed, and from where."""
    chance = random.Random(seed)
    events, at = [make("started", 1.0, total_steps=40)], 0
    for _ in range(chance.randrange(60)):
        match chance.randrange(12):
            case 0:
                at = chance.randrange(at + 1)
                events.append(make("started", 1.0, step=at, total_steps=40 + at))
            case 1:
                events.append(make("eval", 1.0, step=at, loss=chance.choice([1.0, None])))
            case 2:
                events.append(make("data", 1.0, examples=at))
            case 3:
                start = chance.choice(["checkpoint", "adapter"])
                events.append(make("fix", 1.0, from_step=at, start=start))
            case _:
                at += 1
                events.append(step(at, chance.choice([1.0, 2.0, 5.0])))
    write(run, *events)
    assert as_lists(read_course(run)) == as_lists(course_of(events))
    assert sound_until(read_course(run), precision="bf16") == sound_until(course_of(events), precision="bf16")
    assert next(since_last_start(run.events_path)) == [one for one in events if one.type == "started"][-1]
    wanted = chance.randrange(at + 1)
    made = [one for one in course_of(events).steps if one.step <= wanted]
    found = last_step(run.events_path, wanted)
    assert (found.step if found else None) == (made[-1].step if made else None)


def test_the_curves_of_a_long_run_keep_its_end_and_what_went_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "CURVE_STEPS", 100)
    monkeypatch.setattr(course, "LAST_STEPS", 20)
    write(run, *(step(at, math.nan if at in (777, 888) else 1.0) for at in range(1, 1001)))
    curves = read_course(run).curves()
    assert len(curves.steps) < 130 and curves.steps == sorted(curves.steps) and curves.steps[0] == 1
    assert list(curves.steps[-20:]) == list(range(981, 1001)), "the end is whole"
    assert [at for at, loss in zip(curves.steps, curves.losses, strict=True) if math.isnan(loss)] == [777]
    assert len(curves.steps) == len(curves.grad_norms) == len(curves.learning_rates)


def test_the_end_of_a_long_history_is_printed_with_its_start(run: Run) -> None:
    count = LONG_BYTES // 100
    started = make("started", 1.0, total_steps=count, examples=3, device="CPU")
    write(run, started, make("started", 2.0, total_steps=count, examples=4), *(step(at) for at in range(1, count + 1)))
    shown = list(follow_lines(run, step_seconds=0.0))
    assert shown[0].startswith(f"started: {count} steps, 4 rows")
    assert "of earlier events are passed over" in shown[1]
    assert shown[-1].startswith(f"step {count}/{count}") and 1_000 < len(shown) < count
    numbers = [int(line.split()[1].split("/")[0]) for line in shown[2:]]
    assert numbers == list(range(numbers[0], count + 1)), "the end is whole"


def test_the_last_failure_is_found_behind_whatever_came_before(run: Run) -> None:
    way = {"change": {"training.learning_rate": 1e-5}, "advice": "Lower it."}
    odd = {"change": "everything", "advice": "rubbish of a stranger"}
    write(
        run,
        make("started", 1.0),
        make("oom", 2.0, where="load"),
        make("started", 3.0),
        *(step(at) for at in range(1, 5_000)),
        make("finding", 9.0, finding="diverged", severity="error", step=7, fixes=[odd, way]),
    )
    assert last_start(run.events_path)[1] == make("started", 3.0)
    trouble = trouble_of(since_last_start(run.events_path))
    assert trouble is not None and trouble.reason == "diverged"
    printed = mending_lines(run)
    assert any("--set training.learning_rate=1e-5" in line for line in printed) and "everything" not in str(printed)
    assert "with --auto-recover the first is applied unattended" in printed[-1]
    for left in (2, 0):
        allow(run, left)
        assert "--auto-recover was on, and leaves it to you" in mending_lines(run)[-1], "it cannot advise what was on"


def test_a_card_of_a_resumed_run_tells_what_counts(run: Run) -> None:
    evals = [make("eval", 1.0, step=at, loss=at / 100, rows=5, generated=at) for at in range(1, 41)]
    write(
        run,
        make("started", 1.0, total_steps=60),
        *(step(at, 9.0) for at in range(1, 51)),
        *evals,
        make("eval", 1.0, step=50, loss=99.0),
        make("started", 2.0, step=40, resumed_from="checkpoint-40", total_steps=60),
        make("eval", 2.0, step=40, loss=0.125, rows=5),
        *(step(at, 4.0) for at in range(41, 61)),
    )
    card = model_card(run)
    assert "at step 1: 9.0000; at step 60: 4.0000" in card and "99.0000" not in card
    assert "On 5 held-out rows (20 in the middle are not listed)" in card
    assert (
        "| 10 | 0.1000 |" in card and "| 11 |" not in card and "| 31 | 0.3100 |" in card and "| 40 | 0.1250 |" in card
    )
    assert "resumed | 1 time" in card and "steps made | 60 of 60" in card


DAMAGED = [
    '{"type":"step","time":1.0,"v":1,"step":2,"epoch":Infinity,"loss":1.0}',
    '{"type":"step","time":1e300,"v":1,"step":2,"loss":1.0}',
    '{"type":"step","time":NaN,"v":1,"step":2}',
    '{"type":"step","time":1.0,"step":' + "9" * 400 + "}",
    '{"type":"step","time":1.0,"step":-4}',
    '{"type":"step","time":1.0,"step":2.5}',
    '{"type":"step","time":1.0,"step":2,"loss":[1]}',
    '{"type":"step","step":2,"loss":1.0}',
    '[{"type":"step","time":1.0,"step":2,"loss":1.0}]',
    '{"type":"fix","time":1.0,"changes":{"lora.r":[1,2,3]}}',
    '{"type":"sample","time":1.0,"prompt":{"a":1}}',
    '{"type":"data","time":1.0,"examples":' + "[" * 5000 + "]" * 5000 + "}",
    "\x00\x00\x00\x00",
    '{"type":"st',
]


def test_damaged_lines_are_counted_and_said_once(run: Run) -> None:
    good = [step(1), step(3)]
    text = "\n".join([encode(good[0]), *DAMAGED, encode(good[1]), *DAMAGED]) + "\n"
    run.events_path.write_text(text)
    shown = list(follow_lines(run, step_seconds=0.0))
    assert [line.split()[1] for line in shown if line.startswith("step")] == ["1", "3"]
    said = [line for line in shown if "passed over" in line]
    assert said == [
        f"{2 * len(DAMAGED)} lines of events.jsonl are damaged and passed over: what they told is not shown."
    ]
    assert [one.step for one in read_course(run).steps] == [1, 3]
    assert "at step 3: 1.0000" in model_card(run)


def test_numbers_that_are_none_are_shown_as_such(run: Run) -> None:
    run.events_path.write_text(
        '{"type":"step","time":1.0,"v":1,"step":2,"loss":Infinity,"eta":Infinity}\n'
        '{"type":"step","time":2.0,"v":1,"step":3,"loss":1.0,"eta":"NaN","seconds":-Infinity}\n'
        '{"type":"finished","time":3.0,"step":3,"seconds":Infinity,"result":"adapter"}\n'
    )
    shown = list(follow_lines(run))
    assert shown[0].startswith("step 2  loss inf") and "– left" in shown[0]
    assert shown[-1] == "finished: 3 steps in –; the result is in adapter"
    assert model_card(run)


def test_a_record_never_grows_with_the_run() -> None:
    record = RunRecord()
    for at in range(1, 3 * KEPT_EVALS):
        record.take([make("eval", 1.0, step=at, loss=0.5 if at == 7 else 1.0), make("checkpoint", 1.0, step=at)])
    assert len(record.evals) <= KEPT_EVALS and len(record.checkpoints) == KEPT_CHECKPOINTS
    assert record.evaluations == record.saves == 3 * KEPT_EVALS - 1
    assert record.best_eval is not None and record.best_eval.step == 7 and record.evals[-1].step == 3 * KEPT_EVALS - 1
    assert [one.step for one in record.evals] == sorted(one.step for one in record.evals)


PEAK = """
import resource, sys
from pathlib import Path
from loratui.runs.directory import Run
from loratui.runs.course import read_course, sound_until
from loratui.runs.events import encode, make
from loratui.runs.follow import follow_lines, mending_lines
from loratui.runs.model_card import model_card
from loratui.tui.training.follow import follow
run = Run(Path(sys.argv[1]))
pattern = encode(make("step", 2.0, step=999_999_999, epoch=0.5, loss=1.0, learning_rate=1e-4, tokens=5, eta=9.0))
for steps in (10_000, 100_000):
    with run.events_path.open("w") as file:
        file.write(encode(make("started", 1.0, total_steps=steps)) + chr(10))
        file.writelines(pattern.replace("999999999", str(at)) + chr(10) for at in range(1, steps + 1))
    model_card(run)
    sum(1 for _ in follow_lines(run))
    mending_lines(run)
    course = read_course(run)
    sound_until(course, precision="bf16")
    course.watch(10**9)
    followed = follow(str(run.path))
    while not followed.whole:
        followed.poll()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_number_of_events(run: Run) -> None:
    """100,000 steps took 190 MiB more than 10,000."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # counting takes room too
    command = [sys.executable, "-c", PEAK, str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=bare)
    little, much = map(int, done.stdout.split())
    assert much - little < 40, f"{little} MiB for 10,000 steps, {much} MiB for 100,000"
