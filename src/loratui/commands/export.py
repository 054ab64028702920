"""`loratui export`: a plan as another tool's file, with its rows beside it and a list of what did not carry over."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loratui.core.errors import InputError, LoratuiError
from loratui.terminal import say, say_json

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.export.memory import Elsewhere

NAMES = ("axolotl", "llama-factory", "trl", "unsloth", "transformers", "skypilot")


@click.command("export")
@click.argument("source", metavar="PLAN_OR_RUN")
@click.option("--to", "tool", default="", metavar="TOOL", help=f"One of: {', '.join(NAMES)}.")
@click.option("--preferences", is_flag=True, help="Write a run's blind votes as rows to learn preferences from.")
@click.option("-o", "--output", "target", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option(
    "--rows/--no-rows",
    "with_rows",
    default=True,
    help="Write the rows beside it, as the tool reads them (default: yes).",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    source: str, tool: str, preferences: bool, target: Path, with_rows: bool, force: bool, as_json: bool
) -> None:
    """Write a plan as another tool's file.

    The rows go into a folder beside it (NAME-data), converted and split exactly as this program would train on them.
    What the tool has no setting for is listed, and stands in the file as a comment.

    To skypilot goes a task that trains the plan with this program on a rented machine: its files are mounted as they
    are, the run lies in a bucket, and a managed job goes on by itself on the next machine. With --preferences, the
    votes of the playground become JSON lines of prompt, chosen and rejected.
    """
    if preferences == bool(tool):
        raise InputError("it takes one of --to TOOL and --preferences.", hint=f"Tools: {', '.join(NAMES)}.")
    if preferences:
        _write_preferences(source, target, force=force, as_json=as_json)
        return
    from loratui.commands.plan_file import read_plan
    from loratui.core.plan_text import with_values
    from loratui.export import OURS, Rows, export_plan
    from loratui.export.memory import elsewhere_json
    from loratui.export.preferences import kind_for
    from loratui.export.rows import write_rows
    from loratui.export.skypilot import as_trained
    from loratui.paths import demo_model_path
    from loratui.runs.directory import Run
    from loratui.runs.listing import find_run, named_run
    from loratui.runs.origin import foreign_words
    from loratui.workers.command import Exported

    plan_path, named = Path(source), named_run(source)
    if named is not None:
        plan_path = named.path
    elif plan_path.name == source and not plan_path.exists() and not plan_path.suffix:
        plan_path = find_run(source).path
    plan = read_plan(plan_path)
    ours = tool in OURS
    if ours and plan_path.is_dir():
        plan = as_trained(plan, Run(plan_path).machine())
    if with_rows and not plan.dataset.named:
        raise InputError(
            "no dataset is chosen, so there are no rows to write.",
            where=str(plan_path),
            hint="Name one as dataset.path in it, or add --no-rows.",
        )
    if plan_path.is_dir() and (words := foreign_words(Run(plan_path), plan)):
        say(words, err=True)
    folder = target.with_name(f"{target.stem}-data")
    export_plan(plan, tool)  # refuses an unknown tool before anything is written
    if not force:
        for path in (target, folder) if with_rows or ours else (target,):
            if path.exists():
                raise InputError(
                    "it is there already.", where=str(path), hint="Choose another name with -o, or add --force."
                )
    if plan.model.id == "demo" and not ours:
        plan = with_values(plan, {"model.id": str(demo_model_path())})
    unusable = 0
    memory, unknown = (None, "") if ours else _memory(plan, tool)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = Rows(str(folder.absolute()), kind_for(plan.training.objective, tool))
        if with_rows and not ours:
            rows, unusable = write_rows(plan, folder.absolute(), tool=tool)
        export = export_plan(
            plan, tool, rows, output=str(target.with_name(f"{target.stem}-output").absolute()), memory=memory
        )
        target.write_text(_named(export.text, target, tool), encoding="utf-8")
        if ours:
            folder.mkdir(exist_ok=True)
        for name, content in export.files.items() if with_rows or ours else ():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"it cannot be written: {error.strerror or error}.", where=str(error.filename or target)
        ) from None
    run = _named(export.run, target, tool)
    if as_json:
        made = Exported(
            file=str(target),
            rows=rows.folder if with_rows else None,
            unusable=unusable,
            run=run,
            left_out=list(export.left_out),
            memory=None if memory is None else elsewhere_json(memory),
            memory_unknown=unknown,
        )
        say_json(asdict(made))
        return
    beside = f", its plan in {folder}." if ours else f", its rows in {folder}." if with_rows else "."
    say(f"{target} is written{beside}")
    if unusable:
        say(f"{unusable} rows could not be used and are left out; `loratui inspect` names them.")
    say(f"Start it with: {run}")
    if not ours:
        known = "" if memory is None else memory.sentence
        say(known[0].upper() + known[1:] if known else f"What it takes in {tool} is not known: {unknown}")
    if export.left_out:
        say("\nWhat did not carry over:")
        for sentence in export.left_out:
            say(f"  - {sentence}")


def _write_preferences(source: str, target: Path, *, force: bool, as_json: bool) -> None:
    import json

    from loratui.files import write_whole
    from loratui.runs.listing import find_run
    from loratui.runs.votes import preferences, read_votes

    run = find_run(source)
    votes = read_votes(run)
    if not votes:
        raise InputError(
            f"run {run.name} has no votes.", hint="Vote in the playground: b compares answers without names."
        )
    found = preferences(votes)
    told = [
        f"{count:,} {what}"
        for count, what in (
            (found.ties, "votes for none"),
            (found.equal, "pairs of equal answers"),
            (found.unusable, "votes without answers, or with a question that was not the same for all sides"),
        )
        if count
    ]
    if not found.rows:
        raise InputError(f"its {len(votes):,} votes make no row: {', '.join(told)}.", where=run.name)
    if target.exists() and not force:
        raise InputError("it is there already.", where=str(target), hint="Choose another name with -o, or add --force.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found.rows))
    except OSError as error:
        raise InputError(f"it cannot be written: {error.strerror or error}.", where=str(target)) from None
    if as_json:
        counts = {"ties": found.ties, "equal": found.equal, "unusable": found.unusable}
        say_json({"file": str(target), "rows": len(found.rows), "votes": len(votes), **counts})
        return
    left = f" Left out: {', '.join(told)}." if told else ""
    say(f"{target} is written: {len(found.rows):,} rows of {len(votes):,} votes.{left}")


def _memory(plan: Plan, tool: str) -> tuple[Elsewhere | None, str]:
    """What the plan takes there, or why that cannot be said."""
    from loratui.commands.other_trainers import of_plan

    if plan.training.objective != "sft":
        return None, "only what learning answers takes there was measured."
    try:
        return of_plan(plan, tool), ""
    except LoratuiError as error:
        return None, error.sentence


def _named(text: str, target: Path, tool: str) -> str:
    """The text with the file's real name where it names itself."""
    usual = {"transformers": "train_transformers.py", "unsloth": "train_unsloth.py"}.get(tool, f"{tool}.yaml")
    return text.replace(usual, target.name).replace("train_trl.py", target.name)
