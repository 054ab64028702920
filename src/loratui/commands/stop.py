"""`loratui stop`: let a run finish its step, save and stop."""

from __future__ import annotations

import click

from loratui.core.errors import RunError
from loratui.terminal import say


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--kill", is_flag=True, help="Cancel its job at once (Slurm): what is not saved is lost.")
@click.option("--wait", default=120.0, show_default=True, metavar="SECONDS", help="How long to wait for the end.")
def command(run: str, kill: bool, wait: float) -> None:
    """Ask RUN to finish its step, save a checkpoint and stop."""
    from loratui.runs.control import cancel_run, stop_run, wait_ended
    from loratui.runs.listing import find_run

    found = find_run(run)
    if kill:
        cancel_run(found)
    else:
        stop_run(found, "command")
    status = wait_ended(found, wait)
    if not status.over:
        raise RunError(
            f"run {found.name} was asked to stop and is still {status.state} after {wait:g} s.",
            hint=f"See {found.log_path}.",
        )
    made = f"at step {status.step:,} of {status.total:,}" if status.step else "before its first step"
    say(f"run {found.name} is {status.state} {made}. Go on with: loratui resume {found.typed}")
