"""`loratui resume`: go on with a run that ended early; change it, or train it for longer, when asked."""

from __future__ import annotations

import sys

import click

from loratui.core.errors import RunError


@click.command()
@click.argument("run", metavar="RUN")
@click.option("-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the plan first, e.g. training.batch_size=1; may be repeated.")
@click.option("--extend", type=float, metavar="EPOCHS", help="Train for so many epochs more, also where the run is finished.")
@click.option("--auto-recover", is_flag=True, help="Unattended: apply the first fix of a failure and go on, up to 3 times.")
@click.option("--yes", is_flag=True, help="Go on also where the rest would not be what it would have been.")
@click.option("--detach", is_flag=True, help="Return once the run has started.")
@click.pass_context
def command(ctx: click.Context, run: str, settings: tuple[str, ...], extend: float | None, auto_recover: bool, yes: bool, detach: bool) -> None:
    """Go on with RUN from its last whole checkpoint: the losses are those of a run that was never interrupted."""
    from loratui.commands.attach import follow
    from loratui.core.plan_text import parse_setting
    from loratui.runs.control import change_and_resume, extend_run, resume_run
    from loratui.runs.fingerprint import what_would_differ
    from loratui.runs.listing import find_run
    from loratui.runs.start import wait_started

    changes = dict(parse_setting(text) for text in settings)
    if changes and extend:
        raise RunError("--set and --extend exclude each other.", hint="Do one after the other.")
    found = find_run(run)
    differences = what_would_differ(found)
    if differences:
        click.echo("Since this run began:", err=True)
        for one in differences:
            click.echo(f"  {one}", err=True)
        if not yes and not (sys.stdin.isatty() and click.confirm("Go on with it all the same?", err=True)):
            raise RunError(f"run {found.name} would not go on as it began.", hint="Restore what changed, or give --yes.")
    if auto_recover:
        from loratui.runs.recovery import allow

        allow(found)
    if extend:
        pid = extend_run(found, extend)
    else:
        pid = change_and_resume(found, changes) if changes else resume_run(found)
    if detach:
        status = wait_started(found, pid=pid)
        click.echo(f"run {found.name} goes on from step {status.step}. Watch: loratui attach {found.name}")
        return
    ctx.exit(follow(found))
