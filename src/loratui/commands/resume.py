"""`loratui resume`: go on with a run that ended early."""

from __future__ import annotations

import click


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--detach", is_flag=True, help="Return once the run has started.")
@click.pass_context
def command(ctx: click.Context, run: str, detach: bool) -> None:
    """Go on with RUN from its last whole checkpoint: the losses are those of a run that was never interrupted."""
    from loratui.commands.attach import follow
    from loratui.runs.control import resume_run
    from loratui.runs.listing import find_run
    from loratui.runs.start import wait_started

    found = find_run(run)
    pid = resume_run(found)
    if detach:
        status = wait_started(found, pid=pid)
        click.echo(f"run {found.name} goes on from step {status.step}. Watch: loratui attach {found.name}")
        return
    ctx.exit(follow(found))
