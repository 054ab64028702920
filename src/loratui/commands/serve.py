"""`loratui serve`: runs over HTTP on one base, by our own server; or the commands of others. This process is the
worker: it holds the models.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from loratui.commands.trust import ask_for_load, trust_option
from loratui.core.errors import InputError
from loratui.terminal import say, say_json


@click.command("serve")
@click.argument("sources", metavar="RUN_OR_FOLDER...", nargs=-1, required=True)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Others than this machine need the key in LORATUI_API_KEY.",
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--device", default="", help="cuda or cpu; by default the first that is there.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=16, show_default=True, help="Requests answered at once."
)
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=2048, show_default=True, help="Tokens of an answer at most."
)
@click.option(
    "--most-waiting",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Requests that may wait; more are refused.",
)
@click.option("--print", "only_print", is_flag=True, help="Only print the commands of other servers.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="With --print: one JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    sources: tuple[str, ...],
    host: str,
    port: int,
    device: str,
    batch_size: int,
    max_tokens: int,
    most_waiting: int,
    only_print: bool,
    as_json: bool,
    trusted: bool,
) -> None:
    """Answer over HTTP, in the way of OpenAI's interface: base, runs and their checkpoints, on one base in memory.

    A request names whom it asks: /v1/models lists them. Where LORATUI_API_KEY is set, clients must show it.
    """
    if only_print:
        if len(sources) > 1:
            raise InputError("--print takes one run.", hint="Give it for each of them.")
        _print(sources[0], host, port, as_json)
        return
    if as_json:
        raise click.UsageError("--json goes with --print.")
    from loratui.worker.serve import ServeRequest, execute

    ctx.exit(
        execute(
            ServeRequest(
                sources,
                host,
                port,
                device,
                batch_size,
                max_tokens,
                most_waiting,
                partial(ask_for_load, trusted=trusted),
            )
        )
    )


def _print(source: str, host: str, port: int, as_json: bool) -> None:
    """The commands of other servers, the merge before them where they take whole models alone."""
    from loratui.commands.whole_model import merge_line
    from loratui.export.serving import serving_steps
    from loratui.workers.target import served

    what = served(source)
    steps = serving_steps(what, host=host, port=port)
    unmerged = what.adapter and not (Path(what.merged) / "config.json").is_file()
    first = merge_line(source, what.merged) if unmerged else ""
    if as_json:
        servers = [{"name": step.words, "command": list(step.command), "missing": step.missing} for step in steps]
        say_json({"first": first, "servers": servers})
        return
    if first:
        say(f"Before the first two:\n  {first}")
    for step in steps:
        say(
            f"{step.words}:\n  {step.line}"
            + (f"\n  not here: {step.missing}" if step.missing else "")
            + "".join(f"\n  ({note})" for note in step.notes)
        )
