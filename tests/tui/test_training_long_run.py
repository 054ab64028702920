"""A run of a million steps is opened by its outline: quickly, no evaluation lost, its end whole."""

from __future__ import annotations

from pathlib import Path

from loratui.runs.events import Eval, Step, encode, make
from loratui.tui.training.follow import follow
from loratui.tui.training.history import History
from work_done import calls_of

STEPS = 1_000_000


def test_a_million_steps_open_in_a_moment(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "plan.toml").write_text("version = 1\n")
    pattern = encode(
        make(
            "step",
            1.0,
            step=999_999_999,
            loss=1.25,
            learning_rate=1e-4,
            grad_norm=0.5,
            tokens=1,
            tokens_per_second=9.0,
            eta=5.0,
        )
    )
    evaluation = encode(make("eval", 1.0, step=999_999_999, loss=0.5))
    with (run / "events.jsonl").open("w") as file:
        file.write(encode(make("started", 1.0, total_steps=STEPS)) + "\n")
        for step in range(1, STEPS + 1):
            file.write(pattern.replace("999999999", str(step)) + "\n")
            if step % 50_000 == 0:
                file.write(evaluation.replace("999999999", str(step)) + "\n")
        file.write('{"type":"step","time":1.0,"st')
    history, events = History(run / "events.jsonl"), list[object]()
    calls = calls_of(lambda: events.extend(history))
    assert calls < 3 * STEPS, "2.3 a line: hardly any is parsed"
    assert sum(isinstance(event, Eval) for event in events) == STEPS // 50_000
    steps = [event.step for event in events if isinstance(event, Step)]
    assert steps == sorted(steps)
    assert steps[-1000:] == list(range(STEPS - 999, STEPS + 1))
    assert len(steps) < 25_000
    assert history.offset == (run / "events.jsonl").stat().st_size - 29
    followed = follow(str(run))
    followed.poll()
    assert followed.record.step is not None
    assert followed.record.step.step == STEPS
    with (run / "events.jsonl").open("a") as file:
        file.write('ep":1000001,"loss":0.5}\n')
    followed.poll()
    assert followed.record.step.step == STEPS + 1
