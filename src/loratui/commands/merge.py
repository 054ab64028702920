"""`loratui merge`: an adapter merged into its base, with proof. This process is the worker: it loads the model itself."""

from __future__ import annotations

import click


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Merge an adapter into its base, and prove it."""
    from loratui.worker.merge import main

    ctx.exit(main(arguments))
