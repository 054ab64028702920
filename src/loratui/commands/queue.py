"""`loratui queue`: the runs that wait for this machine; hold, release, move, drop, and add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loratui.commands.group import NearGroup
from loratui.commands.text import table
from loratui.core.errors import InputError, LoratuiError, RunError
from loratui.format import duration
from loratui.terminal import confirm, has_person, say, say_json

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.runs.directory import Run
    from loratui.runs.waiting import Waiting


@click.group(cls=NearGroup, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """The runs that wait for this machine (`loratui train --queue`), in their order.

    One run at a time is on a GPU, and one on the processors where there is no GPU; a run that was started by hand is
    waited for. A process of its own starts them: it outlives the terminal. After a restart of the machine any command
    of loratui starts it again, or nobody needs to (`loratui queue at-boot`). With Slurm the queue is Slurm's.
    """
    if ctx.invoked_subcommand is not None:
        return
    found = _listed()
    if as_json:
        say_json(found)
        return
    if not found["waiting"]:
        say("Nothing waits for this machine. `loratui train plan.toml --queue` lets a run wait.")
        say(_boot_words())
        return
    rows = [["", "run", "expected start", "takes", ""]]
    for one in found["waiting"]:
        begins = one["expected_start_seconds"]
        start = "–" if begins is None else "next" if not begins else f"in {duration(begins)}"
        takes = f"about {duration(one['predicted_seconds'])}" if one["predicted_seconds"] else "not known"
        rows.append([str(one["place"]), one["name"], start, takes, f"held {one['why']}".strip() * one["held"]])
    say(table(rows, right=frozenset({0})))
    say(_boot_words())


@command.command()
@click.argument("run", metavar="RUN")
def hold(run: str) -> None:
    """Pass RUN over until it is released."""
    _change(run, lambda one: replace(one, held=True, why=""), "is held")


@command.command()
@click.argument("run", metavar="RUN")
def release(run: str) -> None:
    """Let a held RUN start when its turn comes."""
    _change(run, lambda one: replace(one, held=False, why=""), "waits for its turn")


@command.command()
@click.argument("run", metavar="RUN")
@click.argument("place", type=click.IntRange(min=1))
def move(run: str, place: int) -> None:
    """Let RUN be at PLACE of the queue: 1 is the next one."""
    from loratui.runs.listing import find_run
    from loratui.runs.waiting import changing

    found = find_run(run)
    with changing() as queue:
        one = _of(found, queue)
        queue.remove(one)
        queue.insert(place - 1, one)
        at = queue.index(one) + 1
    _wake()
    say(f"run {found.name} is at place {at}.")


@command.command()
@click.argument("run", metavar="RUN")
def drop(run: str) -> None:
    """Take RUN out of the queue. It stays, as a run that was stopped."""
    from loratui.runs.control import leave_queue
    from loratui.runs.listing import find_run

    found = find_run(run)
    leave_queue(found, "command")
    say(
        f"run {found.name} waits no more. Start it with: loratui resume {found.typed} · put it in again: "
        f"loratui queue add {found.typed}"
    )


@command.command(short_help="Let RUN, which is over, go on when its turn comes.")
@click.argument("run", metavar="RUN")
def add(run: str) -> None:
    """Let RUN, which stopped, failed or was lost, go on when its turn comes."""
    from loratui.runs.enqueue import queue_again
    from loratui.runs.listing import find_run

    found = find_run(run)
    seconds, memory = _predicted(found.plan())
    queue_again(found, seconds=seconds, memory=memory)
    _tell(found)


@command.command(name="at-boot", short_help="Have the queue watched after each restart.")
@click.option("--remove", is_flag=True, help="Take it away again.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def at_boot(remove: bool, yes: bool) -> None:
    """Have the queue watched after each restart of the machine, without anybody.

    A unit of your own systemd does it (systemctl --user), or where that does not run an @reboot line of your crontab.
    What is written is shown and asked about first; nothing needs root, and no file of others is touched.
    """
    from loratui.queue import at_boot as boot

    if remove:
        there = boot.found()
        if there is None:
            say("Nothing starts this queue's watcher after a restart: there is nothing to take away.")
            return
        say(f"{there.place} has this of loratui:\n\n{there.text.rstrip()}\n")
        _agreed(yes, "Take it away?")
        boot.remove(there)
        say("It is gone. After a restart any command of loratui starts the watcher.")
        return
    wanted = boot.proposed()
    where = f"your crontab gets this line{'' if boot.found() is None else ' in place of the one there'}"
    if wanted.way == "systemd":
        where = f"{wanted.place} is written, and enabled by `systemctl --user enable`"
    say(f"{where[0].upper()}{where[1:]}:\n\n{wanted.text.rstrip()}\n")
    _agreed(yes, "Do that?")
    boot.install(wanted)
    say(_boot_words())


def _agreed(yes: bool, question: str) -> None:
    if yes:
        return
    if not has_person():
        raise InputError("there is nobody to ask here.", hint="Add --yes.")
    if not confirm(question):
        say("Nothing was changed.", err=True)
        raise click.exceptions.Abort


def boot_state() -> tuple[bool, str, str]:
    """Whether the watcher is started after a restart, how in a sentence, and what would mend it."""
    from loratui.queue.at_boot import found

    try:
        there = found()
    except RunError as error:
        return False, f"Whether the queue's watcher starts after a restart is not known: {error.sentence}", ""
    if there is None:
        meaning = "After a restart of this machine the queue's watcher waits for any command of loratui."
        return False, meaning, "loratui queue at-boot has it started without one."
    how = f"After a restart of this machine the queue's watcher is started by {there.place}"
    if there.gone:
        return False, f"{how}, which names a Python that is gone.", "loratui queue at-boot writes it anew."
    if there.way == "systemd" and not there.lingers:
        return False, f"{how}, once you have logged in.", "Before that, too: loginctl enable-linger"
    return True, f"{how}.", ""


def _boot_words() -> str:
    _, meaning, mend = boot_state()
    return f"{meaning} {mend}".rstrip()


def enqueue(
    plan: Plan, *, output: Path | None, rehearse: bool | None, auto_recover: bool, trackers: Sequence[str]
) -> None:
    """Make a run that waits, and say when it is expected to start. Raises LoratuiError."""
    from loratui.runs.enqueue import queue_run

    seconds, memory = _predicted(plan)
    run = queue_run(
        plan,
        output=output,
        rehearse=rehearse,
        auto_recover=auto_recover,
        trackers=trackers,
        seconds=seconds,
        memory=memory,
    )
    say(f"run {run.name} in {run.path}")
    _tell(run)


def _tell(run: Run) -> None:
    _wake()
    one = next((one for one in _listed()["waiting"] if one["path"] == str(run.place)), None)
    if one is None:
        say(f"It is started. Watch: loratui attach {run.typed}")
        return
    begins = one["expected_start_seconds"]
    start = "" if begins is None else ", starts next" if not begins else f", expected to start in {duration(begins)}"
    say(f"It waits at place {one['place']}{start}. See: loratui queue · watch: loratui attach {run.typed}")


def _listed() -> dict[str, Any]:
    """The object that `loratui queue --json` prints."""
    from loratui.machine.detect import detect_machine
    from loratui.queue.forecast import expected
    from loratui.queue.trainings import trainings
    from loratui.queue.wake import watched
    from loratui.runs.waiting import read_queue

    queue = read_queue()
    begins = expected(queue, detect_machine(), trainings()) if queue else {}
    return {
        "watched": watched(),
        "at_boot": _boot_way(),
        "waiting": [
            {
                "place": place,
                "name": Path(one.path).name,
                "path": one.path,
                "held": one.held,
                "why": one.why,
                "expected_start_seconds": begins.get(one.path),
                "predicted_seconds": one.seconds or None,
                "predicted_memory": one.memory or None,
                "added": one.added,
            }
            for place, one in enumerate(queue, 1)
        ],
    }


def _boot_way() -> str | None:
    from loratui.queue.at_boot import found

    try:
        there = found()
    except RunError:
        return None
    return there.way if there is not None and not there.gone else None


def _change(name: str, how: Any, words: str) -> None:
    from loratui.runs.listing import find_run
    from loratui.runs.waiting import changing

    found = find_run(name)
    with changing() as queue:
        one = _of(found, queue)
        queue[queue.index(one)] = how(one)
    _wake()
    say(f"run {found.name} {words}.")


def _of(run: Run, queue: list[Waiting]) -> Waiting:
    one = next((one for one in queue if one.path == str(run.place)), None)
    if one is None:
        raise RunError(f"run {run.name} does not wait for this machine.", hint="`loratui queue` lists those that do.")
    return one


def _wake() -> None:
    from loratui.queue.wake import wake

    wake()


def _predicted(plan: Plan) -> tuple[float, int]:
    """Seconds and bytes that are predicted for a plan here; 0 for what cannot be told."""
    from loratui.commands.situation import situation_of
    from loratui.core.plan_text import fields
    from loratui.core.proposal import propose
    from loratui.runs.enqueue import predicted

    try:
        return predicted(propose(situation_of(plan), by_hand={key: plan.get(key) for key in fields()}))
    except (LoratuiError, OSError, ValueError, ZeroDivisionError):
        return 0.0, 0
