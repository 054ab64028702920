"""`loratui try`: which settings are better, by short trials that are real runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loratui.commands.group import NearGroup
from loratui.commands.trust import ask_for_plan, trust_option
from loratui.core.errors import InputError
from loratui.terminal import say, say_json

if TYPE_CHECKING:
    from loratui.experiments.directory import Experiment

POLL_SECONDS = 2.0


class TryGroup(NearGroup):
    """What is no command of it is a plan that is to be tried, or an experiment that is to go on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.list_commands(ctx) and args[0] not in ctx.help_option_names:
            args = ["start", *args]
        return super().parse_args(ctx, args)


@click.group(cls=TryGroup, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Try settings of a plan against each other: loratui try PLAN --vary KEY=VALUE,VALUE

    Every combination is a trial, a run of the plan's full length and schedule that is stopped early. All are trained up
    to the first rung, the half with the lower held-out loss goes on. They wait in this machine's queue, whose watcher
    brings them further without this terminal. `loratui try EXPERIMENT` goes on with one that was stopped.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(listed)


@command.command()
@click.argument("plan", metavar="PLAN|EXPERIMENT")
@click.option(
    "--vary", multiple=True, metavar="KEY=VALUE,…", help="Values to try; may be repeated: all combinations are tried."
)
@click.option("--steps", type=click.IntRange(min=2), help="Steps of a trial. By default a quarter of the plan's.")
@click.option(
    "--seeds", type=click.IntRange(1, 20), default=1, show_default=True, help="Runs of each trial, so that noise shows."
)
@click.option("--trials", type=click.IntRange(min=2), help="Draw so many of the combinations, not all.")
@click.option("-s", "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change a key of the plan first.")
@click.option("--name", help="Another name: the same question asked again goes on with the first one's trials.")
@click.option("--print", "only", is_flag=True, help="Only say what it would take.")
@click.option("--detach", is_flag=True, help="Return once it is begun.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@trust_option
@click.pass_context
def start(
    ctx: click.Context,
    plan: str,
    vary: tuple[str, ...],
    steps: int | None,
    seeds: int,
    trials: int | None,
    sets: tuple[str, ...],
    name: str | None,
    only: bool,
    detach: bool,
    as_json: bool,
    trusted: bool,
) -> None:
    """Begin an experiment, or go on with one. What it takes is said before; ctrl+c leaves it, and it goes on."""
    from loratui.experiments.advance import go_on
    from loratui.experiments.directory import find_experiment
    from loratui.paths import experiments_home
    from loratui.queue.wake import wake

    if vary or (Path(plan).exists() and not (experiments_home() / plan).exists()):
        experiment = _new(Path(plan), vary, steps or 0, seeds, trials, sets, name, only, as_json, trusted)
        if experiment is None:
            return
    else:
        experiment = find_experiment(plan)
    go_on(experiment)
    wake()
    if as_json:
        _say_document(experiment)
        return
    if not experiment.is_open:
        say(f"experiment {experiment.name} is over.")
        _show(experiment)
        return
    if detach:
        say(f"It goes on without this terminal. See: loratui try show {experiment.name}")
        return
    ctx.exit(_follow(experiment))


def _new(
    path: Path,
    vary: tuple[str, ...],
    steps: int,
    seeds: int,
    trials: int | None,
    sets: tuple[str, ...],
    name: str | None,
    only: bool,
    as_json: bool,
    trusted: bool,
) -> Experiment | None:
    from loratui.commands.experiment_words import outlook_words
    from loratui.commands.plan_file import read_plan
    from loratui.commands.situation import situation_of
    from loratui.core.plan_text import parse_setting, with_values
    from loratui.experiments.halving import require_optuna
    from loratui.experiments.outlook import outlook
    from loratui.experiments.question import ask, known, written
    from loratui.experiments.words import outlook_document

    plan = with_values(read_plan(path), dict(parse_setting(text) for text in sets), where="--set")
    question = ask(plan, vary, seeds=seeds, steps=steps, most=trials, name=name, where=str(path))
    if not only and (found := known(question)) is not None:
        if not as_json:
            say(f"experiment {found.name} is there already: it goes on.")
        return found
    require_optuna()
    seen = outlook(question, situation_of(plan))
    if only and as_json:
        say_json({"experiment": question.name, **outlook_document(seen)})
    elif not as_json:
        say(outlook_words(question, seen))
    if only:
        return None
    for values in question.settings:
        ask_for_plan(with_values(plan, values), trusted)
    return written(question, seen.trials)


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def listed(as_json: bool = False) -> None:
    """The experiments of this machine."""
    from loratui.commands.experiment_words import list_words
    from loratui.experiments.begin import document
    from loratui.experiments.directory import experiments

    found = experiments()
    if as_json:
        say_json({"experiments": [document(one) for one in found]})
    elif found:
        say(list_words(found))
    else:
        say("There is no experiment. Begin one: loratui try plan.toml --vary training.learning_rate=1e-4,2e-4")


@command.command()
@click.argument("experiment")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(experiment: str, as_json: bool) -> None:
    """What varied in EXPERIMENT and what it did: a table and a chart."""
    from loratui.experiments.directory import find_experiment

    found = find_experiment(experiment)
    if as_json:
        _say_document(found)
    else:
        _show(found)


@command.command()
@click.argument("experiment")
def stop(experiment: str) -> None:
    """Let nothing of EXPERIMENT go on: its run saves and stops, what waits leaves the queue."""
    from loratui.experiments.advance import halt
    from loratui.experiments.directory import find_experiment

    found = find_experiment(experiment)
    names = halt(found)
    stopped = f"{', '.join(names)}: stopped" if names else "nothing of it was at work"
    say(f"experiment {found.name} goes on no more ({stopped}). Go on with it: loratui try {found.name}")


@command.command()
@click.argument("experiment")
@click.argument("trial", type=click.IntRange(min=1), required=False)
@click.option("-o", "--plan", "into", type=click.Path(path_type=Path), help="Write the trial's plan here instead.")
@click.option("--detach", is_flag=True, help="Return once the run has started.")
@click.pass_context
def promote(ctx: click.Context, experiment: str, trial: int | None, into: Path | None, detach: bool) -> None:
    """Train TRIAL of EXPERIMENT (by default the best one) to its plan's full length, from where it stopped; or write
    its plan.
    """
    from loratui.commands.resume import command as resume
    from loratui.core.plan_text import plan_to_toml
    from loratui.evaluation.promoted import chosen_trial, plan_of, run_to_the_end
    from loratui.experiments.directory import find_experiment
    from loratui.files import write_whole

    found = find_experiment(experiment)
    chosen = chosen_trial(found, trial)
    if into is not None:
        if into.exists():
            raise InputError("there is a file already.", where=str(into), hint="Give another name.")
        try:
            write_whole(into, plan_to_toml(plan_of(found, chosen)))
        except OSError as error:
            raise InputError(f"the plan cannot be written: {error.strerror or error}.", where=str(into)) from None
        say(f"The plan of trial {chosen.number} is in {into}. Train it: loratui train {into}")
        return
    run = run_to_the_end(found, chosen)
    ctx.invoke(resume, run=str(run.path), detach=detach)


def _say_document(experiment: Experiment) -> None:
    from loratui.evaluation.experiment import compare, document
    from loratui.experiments.begin import document as files

    found: dict[str, Any] = files(experiment)
    say_json({**found, "comparison": document(compare(experiment))})


def _show(experiment: Experiment) -> None:
    from loratui.commands.experiment_words import shown

    say(shown(experiment))


def _follow(experiment: Experiment) -> int:
    """Say what becomes of it until it is over or waits for a person: 0, or 130 when it is left."""
    import time

    from loratui.commands.experiment_words import news, shown, states_now
    from loratui.queue.wake import wake

    before: dict[str, str] = {}
    try:
        while True:
            wake()
            now = states_now(experiment)
            for line in news(before, now):
                say(line)
            before = now
            if not experiment.is_open:
                break
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        say(f"\nIt goes on. See: loratui try show {experiment.name} · stop: loratui try stop {experiment.name}")
        return 130
    say(shown(experiment))
    return 0
