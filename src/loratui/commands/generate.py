"""`loratui generate`: answer a file of prompts. This process is the worker: it loads the model itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

from loratui.commands.trust import ask_for_load, trust_option
from loratui.core.generation import PRESETS, GenerationSettings, range_of, set_value

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def settings_options(function: Decorated) -> Decorated:
    """An option for each setting of generating, with the schema's own description and range."""
    for name, field in reversed(GenerationSettings.model_fields.items()):
        option = click.option(
            f"--{name.replace('_', '-')}", name, metavar="NUMBER", help=f"{field.description} ({range_of(name)})"
        )
        function = option(function)
    return function


@click.command("generate")
@click.argument("run", required=False, default="")
@click.argument("rows", required=False, default="", metavar="[FILE]")
@click.option("--adapter", default="", metavar="RUN", help="A run, an adapter's folder, or a model; the same as RUN.")
@click.option(
    "--input",
    "source",
    default="",
    metavar="FILE",
    help="The rows to answer: JSON, JSONL, CSV, Parquet or lines of text; the same as FILE.",
)
@click.option(
    "-o",
    "--output",
    default="",
    metavar="FILE",
    help="File for the answers: .json, .jsonl, .csv, .parquet or .txt (an answer a line); without it they are printed "
    "at the end.",
)
@click.option("--force", is_flag=True, help="Replace the output if it is there already; never the input.")
@click.option("--n", "samples", type=click.IntRange(1, 100), default=1, show_default=True, help="Answers to each row.")
@click.option("--raw", is_flag=True, help="Lines of plain text go to the model as they are, without the chat template.")
@click.option("--system", default="", metavar="TEXT", help="System message for rows that bring none.")
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON; the same as without --output.")
@click.option("--base", default="", help="Base model, instead of the one that the adapter names.")
@click.option("--base-only", is_flag=True, help="Answer with the base, without the adapter.")
@click.option(
    "--quantization",
    type=click.Choice(["none", "nf4", "fp4", "int8"]),
    help="Hold the base so; by default as the run trained it.",
)
@click.option("--device", default="", help="cuda or cpu; by default the first that is there.")
@click.option("--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Rows answered at once.")
@click.option(
    "--again", is_flag=True, help="Answer every row anew, also those of an interrupted start, and replace the output."
)
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default="precise", show_default=True, help="Settings to begin from."
)
@trust_option
@settings_options
def command(
    run: str,
    rows: str,
    adapter: str,
    source: str,
    output: str,
    base: str,
    base_only: bool,
    quantization: str | None,
    device: str,
    batch_size: int,
    again: bool,
    force: bool,
    samples: int,
    raw: bool,
    system: str,
    as_json: bool,
    preset: str,
    trusted: bool,
    **values: str | None,
) -> None:
    """Answer every row of FILE, with the run, the adapter or the model RUN.

    Interrupted, the same command goes on where it stopped. Answers go to the output, everything for people to
    standard error.
    """
    from loratui.worker.generate import GenerateRequest, execute

    given = [one for one in (run, rows) if one]
    model = adapter or (given.pop(0) if given else "")
    file = source or (given.pop(0) if given else "")
    if given or not model or not file:
        raise click.UsageError("Name RUN (or --adapter) and FILE (or --input) once each.")
    if as_json and output:
        raise click.UsageError("--json prints the answers; leave it or --output out.")
    settings = PRESETS[preset]
    for name, value in values.items():
        if value is not None:
            settings = set_value(settings, name, value)
    click.get_current_context().exit(
        execute(
            GenerateRequest(
                model,
                file,
                output,
                base=base,
                base_only=base_only,
                quantization=quantization or "",
                device=device,
                batch_rows=batch_size,
                again=again,
                samples=samples,
                raw=raw,
                system=system,
                force=force,
                settings=settings,
                ask=partial(ask_for_load, trusted=trusted),
            )
        )
    )
