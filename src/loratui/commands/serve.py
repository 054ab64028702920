"""`loratui serve`: a run's result over HTTP, by the server that transformers brings; or the commands of others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from loratui.commands.trust import ask_for_load, trust_option
from loratui.core.errors import WorkerError
from loratui.terminal import listened, say, say_json


@click.command("serve")
@click.argument("source", metavar="RUN_OR_FOLDER")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--device", default="", help="cuda or cpu; by default the first that is there.")
@click.option(
    "--dtype",
    type=click.Choice(["bf16", "fp16", "fp32"]),
    help="Number format of the merged weights, where they are merged now.",
)
@click.option("--print", "only_print", is_flag=True, help="Only print the commands, of other servers too.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="With --print: one JSON object.")
def command(
    source: str,
    host: str,
    port: int,
    device: str,
    dtype: str | None,
    only_print: bool,
    as_json: bool,
    trusted: bool,
) -> None:
    """Answer over HTTP, in the way of OpenAI's interface, with `transformers serve`.

    An adapter is merged into its base first (RUN/merged, with its proof), because that server takes whole models alone.
    """
    from loratui.child_process import run_tool
    from loratui.commands.whole_model import merge_line, tool_line, whole_model
    from loratui.export.serving import LOOPBACK, can_serve, question, serving_steps, transformers_command
    from loratui.hub.client import hub_cache
    from loratui.workers.code import code_options
    from loratui.workers.protocol import Load
    from loratui.workers.target import served

    what = served(source)
    if only_print:
        steps = serving_steps(what, host=host, port=port)
        first = (
            merge_line(source, what.merged)
            if what.adapter and not (Path(what.merged) / "config.json").is_file()
            else ""
        )
        if as_json:
            say_json(
                {
                    "first": first,
                    "servers": [
                        {"name": step.words, "command": list(step.command), "missing": step.missing} for step in steps
                    ],
                }
            )
            return
        if first:
            say(f"Before the first two (`loratui serve` does it by itself):\n  {first}")
        for step in steps:
            say(
                f"{step.words}:\n  {step.line}"
                + (f"\n  not here: {step.missing}" if step.missing else "")
                + "".join(f"\n  ({note})" for note in step.notes)
            )
        return
    if missing := can_serve():
        raise WorkerError(
            f"this cannot be served here: {missing}.", hint="`loratui serve --print` has the commands of other servers."
        )
    model, _ = whole_model(source, dtype=dtype or "")
    load = Load(str(model), trust_remote_code=what.trust_remote_code, code_of=what.base, code_revision=what.revision)
    ask_for_load(load, trusted)
    trust = bool(code_options(load, load.base)["trust_remote_code"])
    if host not in LOOPBACK:
        say(f"! Listening on {host}: whoever reaches this machine can ask this model, without a password.", err=True)
    say(
        (
            f"Serving {model} at http://{host}:{port} (ctrl+c ends it). Ask it with:\n  "
            f"{question(str(model), host=host, port=port)}"
        ),
        err=True,
    )
    hub_cache().mkdir(parents=True, exist_ok=True)  # the server's list of models fails where there is none
    os.environ.setdefault("HF_HUB_DISABLE_UPDATE_CHECK", "1")
    arguments = transformers_command(str(model), host=host, port=port, device=device, trust_remote_code=trust)
    if listened():  # the screen hears the server's lines, and its beats say that it lives
        status, last = run_tool(arguments, tool_line)
        if status:
            raise WorkerError(f"the server ended with status {status}; it said last: {last}")
        return
    sys.stderr.flush()
    sys.stdout.flush()
    os.execv(arguments[0], arguments)
