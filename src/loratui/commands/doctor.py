"""`loratui doctor`: what works here, what does not, and the mend."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO

import click

from loratui.core.hardware import Machine
from loratui.machine.device import visible_devices
from loratui.machine.doctor import Check, hub_checks, machine_checks, terminal_checks, training_works
from loratui.terminal import Styled, say, say_json

SYMBOLS = {"ok": "✓", "note": "·", "warning": "!", "fault": "✗"}
COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "fault": "red"}
WORKER_SECONDS = 240.0
"""Importing torch from a cold network disk takes a minute; the checks themselves take seconds."""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--offline", is_flag=True, help="Leave the hub alone.")
@click.option("--quick", is_flag=True, help="Leave out what needs torch.")
@click.option("--verbose", is_flag=True, help="Show what the libraries print.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, offline: bool, quick: bool, verbose: bool) -> None:
    """Check the installation. Each line says how a thing is, what that means, and how to mend it.

    Exit status 1 where training could not work.
    """
    checks: list[Check] = []
    for check in all_checks(offline=offline, quick=quick, verbose=verbose):
        checks.append(check)
        if not as_json:
            for parts in check_lines(check):
                say(*parts)
    works = training_works(checks)
    if as_json:
        say_json({"ok": works, "checks": [check.model_dump() for check in checks]}, indent=None)
    else:
        faults = sum(check.state == "fault" for check in checks)
        say("\n" + verdict(faults, quick=quick))
    ctx.exit(0 if works else 1)


def verdict(faults: int, *, quick: bool) -> str:
    """What all the checks come to."""
    if faults:
        things = "1 thing" if faults == 1 else f"{faults} things"
        return f"Training could not work here: {things} to mend, marked {SYMBOLS['fault']}."
    return "Nothing stands in the way so far; torch was not checked." if quick else "Training works here."


def all_checks(*, offline: bool, quick: bool, verbose: bool) -> Iterator[Check]:
    """Every check, as each is done; the slow ones come last."""
    from loratui.machine.detect import detect_machine

    machine = detect_machine()
    yield from machine_checks(machine)
    yield from terminal_checks(os.environ)
    yield from queue_checks()
    if not offline:
        yield from hub_checks()
    if not quick:
        yield from worker_checks(machine, verbose=verbose)


def queue_checks() -> Iterator[Check]:
    """Whether what waits for this machine is watched after a restart."""
    from loratui.commands.queue import boot_state

    starts, meaning, mend = boot_state()
    yield Check(name="queue", state="ok" if starts else "note", meaning=meaning, mend=mend)


def worker_checks(machine: Machine, *, verbose: bool, seconds: float = WORKER_SECONDS) -> Iterator[Check]:
    """The checks that need torch, from a process of their own: a library that crashes ends that process, not this
    one.
    """
    environment = dict(os.environ, DRIVER_CUDA=(machine.cuda_version or "") if machine.driver == "works" else "")
    environment["GPU_VENDOR"] = machine.vendor if machine.gpus else ""
    if machine.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = visible_devices(machine, [])
    process = subprocess.Popen(
        [sys.executable, "-m", "loratui.worker", "doctor"],
        env=environment,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if verbose else subprocess.DEVNULL,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout is not None
    output = process.stdout
    threading.Thread(target=_pass_on, args=(output, lines), daemon=True).start()
    deadline = time.monotonic() + seconds
    try:
        while (line := lines.get(timeout=max(0.1, deadline - time.monotonic()))) is not None:
            yield Check.model_validate_json(line)
    except queue.Empty:
        yield Check(
            name="torch",
            state="fault",
            meaning=f"The checks with torch did not end within {seconds:.0f} s.",
            mend=(
                "The GPU or its driver may hang: see `nvidia-smi` and `dmesg`. `loratui doctor --verbose` shows how "
                "far they came."
            ),
        )
        process.kill()
        process.wait()
        return
    except GeneratorExit:
        process.kill()
        process.wait()
        raise
    yield from ending_check(process.wait())


def _pass_on(output: IO[str], lines: queue.Queue[str | None]) -> None:
    """Lines of a process into a queue, and None at their end."""
    with output:
        for line in output:
            lines.put(line)
    lines.put(None)


def ending_check(status: int) -> Iterator[Check]:
    """What an ending other than 0 means."""
    if status == 0:
        return
    how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
    illegal = status == -4
    yield Check(
        name="torch",
        state="fault",
        meaning=f"The process of the checks with torch {how}.",
        mend="A library is built for another processor: reinstall torch and bitsandbytes."
        if illegal
        else "`loratui doctor --verbose` shows where; reinstalling torch often mends it.",
    )


def check_lines(check: Check) -> list[list[str | Styled]]:
    """A check as one line, and its mend below."""
    mark = Styled(SYMBOLS[check.state], color=COLOURS[check.state])
    lines: list[list[str | Styled]] = [[mark, f" {check.name:<16}{check.meaning}"]]
    if check.mend:
        lines.append([f"  {'':<16}", Styled(check.mend, dim=True)])
    return lines
