"""A run of several jobs is one run with its segments, on the monitor and as lines."""

from __future__ import annotations

from pathlib import Path

from loratui.core.plan import Plan
from loratui.runs.directory import Run
from loratui.runs.events import append_event, make
from loratui.runs.follow import follow_lines
from loratui.runs.start import create_run
from loratui.runs.status import Status, write_status
from loratui.tui.training.follow import Followed
from loratui.tui.training.gauges import gauges
from loratui.tui.training.news import news
from loratui.tui.training.run_state import headline


def test_the_monitor_says_where_it_waits_and_which_segment_it_is(tmp_path: Path) -> None:
    followed = Followed(
        Run(tmp_path), status=Status(state="queued", message="Job 7 waits: no nodes are free.", step=40)
    )
    assert headline(followed).plain == "◌ queued   Job 7 waits: no nodes are free."
    followed.record.take([make("paused", 1.0, step=40, reason="the time limit", job=7), make("paused", 2.0, step=80)])
    assert "segment 3" in headline(followed).plain
    assert not gauges(followed, None), "this machine's memory is none of its business"


def test_the_monitor_says_who_ended_a_job_that_could_not_say_it(tmp_path: Path) -> None:
    told = "Its job 7 is over: it was cancelled on n1. The last whole checkpoint is checkpoint-40."
    followed = Followed(Run(tmp_path), status=Status(state="stopped", message=told, step=40))
    followed.record.take([make("paused", 1.0, step=40, reason="the scheduler ends this job (SIGTERM)", job=7)])
    assert told in "".join(line.plain for line in news(followed, 120))


def test_lines_tell_of_each_segment(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    append_event(run, "job", job=7, partition="gpu")
    append_event(run, "paused", step=40, reason="the scheduler ends this job (SIGTERM)", job=7, nodes="n1")
    append_event(run, "stopped", step=60, reason="asked to stop (SIGINT)")
    write_status(run.status_path, Status(state="stopped", message="asked to stop (SIGINT)"))
    assert list(follow_lines(run, poll_seconds=0.01)) == [
        "job 7 waits in partition gpu",
        "saved at step 40 on n1, and goes on in the next job: the scheduler ends this job (SIGTERM)",
        "stopped at step 60: asked to stop (SIGINT)",
    ]
