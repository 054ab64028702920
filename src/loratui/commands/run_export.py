"""`loratui runs export`: a run copied into a tracker."""

from __future__ import annotations

from pathlib import Path

import click

from loratui.core.errors import LoratuiError, RunError
from loratui.format import first_line
from loratui.paths import without_tilde
from loratui.terminal import say


@click.command("export")
@click.argument("run_name", metavar="RUN")
@click.option("--to", "name", required=True, metavar="TRACKER", help="tensorboard, wandb, trackio or mlflow.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="Folder of the copy; by default one for all runs, below loratui's home.",
)
@click.option("--project", default="", help="Project or experiment there; by default that of the settings: loratui.")
def command(run_name: str, name: str, into: Path | None, project: str) -> None:
    """Copy RUN into a tracker: every step and evaluation once, samples, plan, machine, and what it was trained on.

    Done again it takes the place of the copy before. Tokens are read by the trackers, from the environment; without
    WANDB_API_KEY Weights & Biases is written offline, for `wandb sync`.
    """
    from loratui.runs.listing import find_run
    from loratui.settings import read_settings
    from loratui.trackers.copy import export

    run = find_run(run_name)
    place = without_tilde(into).absolute() if into else None
    try:
        copy = export(run, name, project=project or read_settings().track.project, into=place)
    except LoratuiError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a tracker's library raises)
        raise RunError(f"{name} did not take it: {first_line(error)}.", where=run.name) from None
    say(f"{copy.rows:,} steps and evaluations of {run.name} are in {name}: {copy.where}")
