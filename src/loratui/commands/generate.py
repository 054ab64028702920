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
@click.option("--adapter", required=True, metavar="RUN_OR_FOLDER", help="A run, an adapter's folder, or a model.")
@click.option(
    "--input", "source", required=True, metavar="FILE", help="JSON, JSONL, CSV or Parquet with the rows to answer."
)
@click.option(
    "--output",
    default="",
    metavar="FILE",
    help="File for the answers: .json, .jsonl or .csv; without it they are printed at the end.",
)
@click.option("--base", default="", help="Base model, instead of the one that the adapter names.")
@click.option("--base-only", is_flag=True, help="Answer with the base, without the adapter.")
@click.option(
    "--quantization",
    type=click.Choice(["none", "nf4", "fp4", "int8"]),
    help="Hold the base so; by default as the run trained it.",
)
@click.option("--device", default="", help="cuda or cpu; by default the first that is there.")
@click.option("--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Rows answered at once.")
@click.option("--again", is_flag=True, help="Answer every row anew, also those of an interrupted start.")
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default="precise", show_default=True, help="Settings to begin from."
)
@trust_option
@settings_options
def command(
    adapter: str,
    source: str,
    output: str,
    base: str,
    base_only: bool,
    quantization: str | None,
    device: str,
    batch_size: int,
    again: bool,
    preset: str,
    trusted: bool,
    **values: str | None,
) -> None:
    """Answer every row of a file, with an adapter or a model.

    Interrupted, the same command goes on where it stopped. Answers go to the output, everything for people to
    standard error.
    """
    from loratui.worker.generate import GenerateRequest, execute

    settings = PRESETS[preset]
    for name, value in values.items():
        if value is not None:
            settings = set_value(settings, name, value)
    click.get_current_context().exit(
        execute(
            GenerateRequest(
                adapter,
                source,
                output,
                base=base,
                base_only=base_only,
                quantization=quantization or "",
                device=device,
                batch_rows=batch_size,
                again=again,
                settings=settings,
                ask=partial(ask_for_load, trusted=trusted),
            )
        )
    )
