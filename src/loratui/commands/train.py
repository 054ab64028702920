"""`loratui train`: runs a plan in a process of its own, and shows its progress."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loratui.commands.datasets import dataset_values, datasets_option
from loratui.commands.trust import ask_for_plan, trust_option
from loratui.core.errors import InputError
from loratui.paths import runs_home, without_tilde
from loratui.terminal import say

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.runs.directory import Run


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), help="Directory of the run; by default a new one below loratui's home."
)
@click.option(
    "-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the plan; may be repeated."
)
@datasets_option("Train on these rows in place of the plan's.")
@click.option("--queue", "waits", is_flag=True, help="Let it wait for its turn on this machine (`loratui queue`).")
@click.option("--detach", is_flag=True, help="Return once the run has started.")
@click.option(
    "--auto-recover",
    is_flag=True,
    help=(
        "Unattended: when memory runs out, apply the first fix that keeps what is learnt; when the training diverges, "
        "go back to before it or start anew with a lower learning rate, whichever mends it most surely; up to 3 times."
    ),
)
@click.option(
    "--rehearse/--no-rehearse",
    default=None,
    help="First try the longest batch, one evaluation batch, a save and a reload. By default on a GPU.",
)
@click.option(
    "--track",
    "trackers",
    multiple=True,
    metavar="TRACKER",
    help="Let tensorboard, wandb, trackio or mlflow follow the run; may be repeated.",
)
@click.option("--print", "show", is_flag=True, help="Only show the job script of a plan for a cluster.")
@trust_option
@click.pass_context
def command(
    ctx: click.Context,
    plan: Path,
    output: Path | None,
    settings: tuple[str, ...],
    datasets: tuple[str, ...],
    waits: bool,
    detach: bool,
    auto_recover: bool,
    rehearse: bool | None,
    trackers: tuple[str, ...],
    show: bool,
    trusted: bool,
) -> None:
    """Run PLAN (a plan.toml). The run is a process of its own: ctrl+c leaves it, and nothing ends it but `loratui
    stop`.

    Exit status 0: it finished, or was stopped; 1: it failed, or diverged and did not mend itself; 3: it finished, but
    is worse than its base on held-out rows; 130: you left it.
    """
    from loratui.commands.plan_file import read_plan
    from loratui.core.plan_text import parse_setting, with_values
    from loratui.runs.start import begin_run, wait_started
    from loratui.trackers.tracker import require_installed

    rows = dataset_values(datasets)
    if rows:
        rows = {"dataset.parts": []} | rows
    document = with_values(read_plan(plan), rows | dict(parse_setting(text) for text in settings), where="--set")
    if not document.dataset.named:
        raise InputError("no dataset is chosen.", where=str(plan), hint="Add --set dataset.path=DATASET.")
    if show:
        say(script_of(document, output, rehearse), end="")
        return
    for name in trackers:
        require_installed(name)
    ask_for_plan(document, trusted)
    if waits and not document.cluster.engine:
        from loratui.commands.queue import enqueue

        enqueue(document, output=output, rehearse=rehearse, auto_recover=auto_recover, trackers=trackers)
        return
    run, pid = begin_run(document, output=output, rehearse=rehearse, auto_recover=auto_recover, trackers=trackers)
    say(f"run {run.name} in {run.path}")
    if run.argument != run.name:
        say("It is not among loratui's own runs: `loratui runs` does not list it, and commands take its directory.")
    if document.cluster.engine:
        tell_job(run, document)
    if detach or waits:  # with a scheduler the queue is the scheduler's
        wait_started(run, pid=pid)
        say(f"It goes on without this terminal. Watch: loratui attach {run.typed} · stop: loratui stop {run.typed}")
        return
    from loratui.commands.attach import follow

    ctx.exit(follow(run))


def script_of(plan: Plan, output: Path | None, rehearse: bool | None) -> str:
    """The job script that a run of this plan would have. InputError where the plan names no scheduler."""
    from loratui.runs.start import rehearses, run_name
    from loratui.runs.submit import script_for

    if not plan.cluster.engine:
        raise InputError("this plan is for this machine: it has no job script.", hint="Set cluster.engine = slurm.")
    folder = without_tilde(output).absolute() if output else runs_home() / run_name(plan)
    return script_for(plan, folder, rehearse=rehearses(plan) if rehearse is None else rehearse)


def tell_job(run: Run, plan: Plan) -> None:
    """Say which job executes a run, what it runs before, and whether it will need several."""
    from loratui.cluster.checks import chain_words
    from loratui.cluster.choose import partition_of
    from loratui.cluster.read import read_cluster
    from loratui.runs.jobs import last_job

    job = last_job(run.path)
    if job is not None:
        say(f"job {job.id} in partition {job.partition}; its script: {run.path / 'job.sh'}")
    if plan.cluster.setup:
        say(f"before the training it runs: {' · '.join(plan.cluster.setup)}")
    if words := chain_words(plan.cluster, partition_of(plan.cluster, read_cluster())):
        say(words)
