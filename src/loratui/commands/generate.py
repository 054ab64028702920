"""`loratui generate`: answer a file of prompts. This process is the worker: it loads the model itself."""

from __future__ import annotations

import click


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Answer a file of prompts."""
    from loratui.worker.generate import main

    ctx.exit(main(arguments))
