"""`loratui attach`: follow a run, on the monitor's screen or as lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from loratui.core.errors import LoratuiError
from loratui.terminal import ring, say
from loratui.tui.start import open_interface

if TYPE_CHECKING:
    from loratui.runs.directory import Run
    from loratui.runs.status import Status


WORSE = 3
"""Exit status: the run finished, and on held-out rows its result is worse than its base."""


@click.command()
@click.argument("run", default="last", metavar="[RUN]")
@click.option(
    "--plain", is_flag=True, help="Print lines instead of drawing a screen (always so where there is no terminal)."
)
@click.pass_context
def command(ctx: click.Context, run: str, plain: bool) -> None:
    """Follow RUN (a name, the start of one, or a directory; the newest by default). Leaving it changes nothing for the
    run.
    """
    from loratui.runs.listing import find_run

    found = find_run(run)
    if plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        ctx.exit(follow(found))

    ctx.exit(open_interface(screen="training", run=str(found.path)))


def follow(run: Run, *, since: int = 0) -> int:
    """Print a run's progress until it is over; 0 when it finished or was stopped, 1 when it failed or its result is
    worth nothing, WORSE where it is worse than its base, 130 when left.

    since: bytes of its events that are passed over.
    """
    from loratui.runs.follow import follow_lines, mending_lines
    from loratui.runs.origin import is_foreign
    from loratui.runs.start import exit_status_of
    from loratui.runs.verdict import ruin_of

    if is_foreign(run):
        say(f"Run {run.name} was not made here.", err=True)
    try:
        for line in follow_lines(run, since=since):
            say(line)
    except KeyboardInterrupt:
        say(f"\nThe run goes on. Watch: loratui attach {run.typed} · stop: loratui stop {run.typed}")
        return 130
    status = run.status()
    _ring(run, status)
    if status.state in ("failed", "lost"):
        reason = status.message or "the worker is gone and said nothing."
        code = exit_status_of(status.pid) if status.state == "lost" else None
        if code is not None and code < 0:
            from loratui.child_process import signal_name

            reason = f"it was ended by {signal_name(-code)}. {reason}"
        say(f"loratui: run {run.name} {status.state}: {reason} Its log: {run.log_path}", err=True)
        for line in mending_lines(run):
            say(line, err=True)
        return 1
    ruin = ruin_of(run, status)
    if ruin is None:
        return _beside_its_base(run, status)
    say(f"loratui: run {run.name} finished, but {ruin.word}; its result is worth nothing. {ruin.message}", err=True)
    for line in mending_lines(run):
        say(line, err=True)
    return 1


def _ring(run: Run, status: Status) -> None:
    """Call for the person at the terminal, as they set it. Broken settings are told of, and nothing is rung."""
    from loratui.notify.happening import happening_of
    from loratui.settings import read_settings

    try:
        settings = read_settings().notify
    except LoratuiError as error:
        say(f"loratui: nobody is called: {error.sentence}", err=True)
        return
    told = happening_of(run, status) if settings.terminal != "off" and sys.stderr.isatty() else None
    if told is not None and told.kind in settings.on:
        ring(told.title, told.message, settings.terminal)


def _beside_its_base(run: Run, status: Status) -> int:
    """Say that the result is worse than its base, where it is; the exit status."""
    from loratui.runs.follow import mending_lines
    from loratui.runs.verdict import worse_than_base

    found = worse_than_base(run, status)
    if found is None:
        return 0
    say(f"loratui: run {run.name} finished, but is worse than its base. {found.message}", err=True)
    for line in mending_lines(run):
        say(line, err=True)
    return WORSE
