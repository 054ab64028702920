"""`loratui evaluate`: how good a result is, with intervals. This process is the worker: it loads the models itself."""

from __future__ import annotations

from functools import partial

import click

from loratui.commands.generate import settings_options
from loratui.commands.trust import ask_for_load, trust_option
from loratui.core.errors import InputError
from loratui.core.generation import PRESETS, set_value


@click.command("evaluate")
@click.argument("target", metavar="RUN_OR_MODEL")
@click.option(
    "--data", default="", metavar="FILE", help="Rows with written answers; by default those the run held out."
)
@click.option(
    "--against", multiple=True, metavar="RUN", help="Another run, adapter or model beside it; may be repeated."
)
@click.option("--checkpoints", is_flag=True, help="The run's checkpoints beside it, too.")
@click.option("--without-base", is_flag=True, help="Do not ask the base.")
@click.option(
    "--tasks",
    default="",
    metavar="NAME,…",
    help="Public benchmarks of lm-evaluation-harness instead of rows: names, or YAML files of tasks.",
)
@click.option(
    "--shots", type=click.IntRange(min=0), metavar="N", help="With --tasks: solved examples before each question."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N rows alone.")
@click.option("--metrics", default="", metavar="NAME,…", help="Measure these alone; by default what the rows allow.")
@click.option(
    "--extract", default="", metavar="REGEX", help="Compare what this finds last in answer and written answer."
)
@click.option("--pattern", default="", metavar="REGEX", help="Every answer must match this.")
@click.option("--choices", default="", metavar="COLUMN", help="Answers to choose from: the likeliest one is chosen.")
@click.option("--right", default="", metavar="COLUMN", help="With --choices: the right one's text, label or number.")
@click.option("--samples", type=click.IntRange(1, 100), default=1, show_default=True, help="Answers to each row.")
@click.option("--pass-at", default="", metavar="K,…", help="pass@K: how often one of K answers is right.")
@click.option("--at-least", multiple=True, metavar="NAME=VALUE", help="End with 1 where it is missed; may be repeated.")
@click.option("--failed", type=click.IntRange(min=0), default=3, show_default=True, help="Failed rows to show.")
@click.option(
    "--judge",
    "judge_url",
    default="",
    metavar="URL",
    help="Have a model at this OpenAI-compatible address compare the answers, too: they are sent there. Its key is "
    "read from LORATUI_JUDGE_KEY.",
)
@click.option("--judge-model", default="", metavar="NAME", help="The judge's name at that address.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--system", default="", metavar="TEXT", help="System message for rows that bring none.")
@click.option("--raw", is_flag=True, help="Lines of plain text go to the model as they are, without the chat template.")
@click.option("--base", default="", help="Base model, instead of the one that the adapter names.")
@click.option(
    "--quantization",
    type=click.Choice(["none", "nf4", "fp4", "int8"]),
    help="Hold the base so; by default as the run trained it.",
)
@click.option("--device", default="", help="cuda or cpu; by default the first that is there.")
@click.option("--batch-size", type=click.IntRange(min=1), default=48, show_default=True, help="Rows answered at once.")
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default="precise", show_default=True, help="Settings to begin from."
)
@trust_option
@settings_options
def command(
    target: str,
    data: str,
    against: tuple[str, ...],
    checkpoints: bool,
    without_base: bool,
    tasks: str,
    shots: int | None,
    limit: int | None,
    metrics: str,
    extract: str,
    pattern: str,
    choices: str,
    right: str,
    samples: int,
    pass_at: str,
    at_least: tuple[str, ...],
    failed: int,
    judge_url: str,
    judge_model: str,
    as_json: bool,
    system: str,
    raw: bool,
    base: str,
    quantization: str | None,
    device: str,
    batch_size: int,
    preset: str,
    trusted: bool,
    **values: str | None,
) -> None:
    """Measure RUN_OR_MODEL beside its base, with 95 % intervals, and say whether it is better.

    Answers are kept row by row in the run; interrupted, the same command goes on where it stopped. Exit status 1 where
    --at-least is missed.
    """
    from loratui.evaluation.judge_client import Judge
    from loratui.evaluation.report import Floor
    from loratui.evaluation.scoring import Rules
    from loratui.worker.evaluate import EvaluateRequest, execute

    benchmarks = [name.strip() for name in tasks.split(",") if name.strip()]
    if benchmarks and any((data, metrics, extract, pattern, choices, pass_at, at_least, system, judge_url)):
        raise click.UsageError("--tasks brings rows and measures of its own: leave out --data and what judges answers.")
    for option, lost, needed in (
        ("--shots", shots is not None and not benchmarks, "--tasks"),
        ("--right", right and not choices, "--choices"),
        ("--judge-model", judge_model and not judge_url, "--judge"),
    ):
        if lost:
            raise click.UsageError(f"{option} goes with {needed} alone.")
    settings = PRESETS[preset]
    for name, value in values.items():
        if value is not None:
            settings = set_value(settings, name, value)
    tries = _tries(pass_at, samples)
    if samples > 1 and settings.greedy:
        raise InputError(
            "several answers to a row are all the same at temperature 0.", hint="Add --temperature 0.8, say."
        )
    request = EvaluateRequest(
        target,
        data,
        against,
        checkpoints,
        without_base,
        limit or 0,
        tuple(name.strip() for name in metrics.split(",") if name.strip()),
        Rules(extract, pattern, tries),
        samples,
        choices,
        right,
        system,
        raw,
        base,
        quantization or "",
        device,
        batch_size,
        settings,
        tuple(Floor.of(one) for one in at_least),
        failed,
        Judge(judge_url, judge_model) if judge_url else None,
        as_json,
        partial(ask_for_load, trusted=trusted),
    )
    if benchmarks:
        from loratui.worker.benchmarks import Tasks
        from loratui.worker.benchmarks import execute as execute_tasks

        click.get_current_context().exit(execute_tasks(request, Tasks(benchmarks, shots)))
    click.get_current_context().exit(execute(request))


def _tries(pass_at: str, samples: int) -> tuple[int, ...]:
    parts = [part.strip() for part in pass_at.split(",") if part.strip()]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"{pass_at!r} is no list of whole numbers.", where="--pass-at", hint="Write 1,4, say.")
    tries = tuple(dict.fromkeys(int(part) for part in parts))
    if tries and max(tries) > samples:
        raise InputError(
            f"pass@{max(tries)} needs as many answers to each row.", hint=f"Add --samples {max(tries)} or more."
        )
    return tries
