"""`loratui resume`: go on with a run that ended early; change it, or train it for longer, when asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from loratui.commands.trust import ask_for_plan, trust_option
from loratui.core.errors import RunError
from loratui.terminal import confirm, say

if TYPE_CHECKING:
    from loratui.runs.continuation import Continuation
    from loratui.runs.directory import Run


@click.command()
@click.argument("run", metavar="RUN")
@click.option(
    "-s",
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the plan first, e.g. training.batch_size=1; may be repeated.",
)
@click.option(
    "--anew",
    is_flag=True,
    help="Start anew from the base model at step 0; checkpoints and result so far are kept, set aside.",
)
@click.option(
    "--from-weights",
    is_flag=True,
    help="Where a change cannot go on from the checkpoint: go on from its weights alone, at step 0.",
)
@click.option(
    "--extend", type=float, metavar="EPOCHS", help="Train for so many epochs more, also where the run is finished."
)
@click.option(
    "--auto-recover",
    is_flag=True,
    help=(
        "Unattended: when memory runs out, apply the first fix that keeps what is learnt; when the training diverges, "
        "go back to before it or start anew with a lower learning rate, whichever mends it most surely; up to 3 times."
    ),
)
@click.option("--yes", is_flag=True, help="Go on also where the rest would not be what it would have been.")
@click.option("--detach", is_flag=True, help="Return once the run has started.")
@trust_option
@click.pass_context
def command(
    ctx: click.Context,
    run: str,
    settings: tuple[str, ...],
    anew: bool,
    from_weights: bool,
    extend: float | None,
    auto_recover: bool,
    yes: bool,
    detach: bool,
    trusted: bool,
) -> None:
    """Go on with RUN from its last whole checkpoint: the losses are those of a run that was never interrupted.

    With --set the change is in force at the next step. What a checkpoint cannot take (rank, alpha, targets, method,
    model) starts anew, and other rows or another number of rows a step go on from the weights alone: on a terminal you
    are asked first, elsewhere --anew or --from-weights says so. Nothing is deleted.

    Of a finished run, a result that is gone or damaged is written again.
    """
    from loratui.commands.attach import follow
    from loratui.core.plan_text import parse_setting
    from loratui.runs.listing import find_run
    from loratui.runs.origin import foreign_words
    from loratui.runs.recovery import allow
    from loratui.runs.resume import change_and_resume, extend_run, longer, resume_run, resuming
    from loratui.runs.start import wait_started

    changes = dict(parse_setting(text) for text in settings)
    if extend and (changes or anew or from_weights):
        raise RunError("--extend excludes --set, --anew and --from-weights.", hint="Do one after the other.")
    if anew and from_weights:
        raise RunError(
            "--anew and --from-weights exclude each other.",
            hint="--anew begins from the base model, --from-weights from what was learnt.",
        )
    found = find_run(run)
    with resuming(found):
        before = found.events_path.stat().st_size if found.events_path.exists() else 0
        if extend:
            changes = longer(found, found.plan(), extend)
        if words := foreign_words(found, found.plan()):
            say(words, err=True)
        how = _agreed(found, changes, anew=anew, from_weights=from_weights, extend=bool(extend), yes=yes)
        ask_for_plan(how.plan, trusted)
        if auto_recover:
            allow(found)
        if extend:
            pid = extend_run(found, extend)
        elif changes or anew or (how.start != "checkpoint" and how.aside):
            pid = change_and_resume(found, changes, restart=anew)
        else:
            pid = resume_run(found)
    text = f"run {found.name} {_BEGINS[how.start].format(how.from_step)}."
    if detach:
        wait_started(found, pid=pid)
        say(f"{text} Watch: loratui attach {found.typed}")
        return
    say(text)
    ctx.exit(follow(found, since=before))


_BEGINS = {
    "checkpoint": "goes on from step {}",
    "adapter": "goes on from the weights of step {}, at step 0",
    "anew": "starts from the base model, at step 0",
}


def _agreed(
    run: Run, changes: Mapping[str, Any], *, anew: bool, from_weights: bool, extend: bool, yes: bool
) -> Continuation:
    """How the run will go on, once somebody agreed to what that means. RunError where nobody did."""
    from loratui.runs.checkpoints import refused
    from loratui.runs.continuation import continuation, may_begin
    from loratui.runs.fingerprint import what_would_differ
    from loratui.runs.result import lost
    from loratui.runs.resume import finished

    over = run.status().state == "finished" and not extend
    if over and not changes and not anew:
        if not (reason := lost(run)):
            raise finished(run)
        say(f"Its result is written again from its last checkpoint: {reason}.", err=True)
        over = False
    damaged = () if anew else refused(run.checkpoints_path)
    how = continuation(run, changes, restart=anew, damaged=damaged)
    if over and not may_begin("finished", how.start, longer=how.longer):
        raise finished(run)
    for broken in damaged:
        say(broken.sentence, err=True)
    differences = what_would_differ(run, how.plan, changes)
    if differences:
        say("Since this run began:", err=True)
        for one in differences:
            say(f"  {one}", err=True)
        if not yes and not confirm("Go on with it all the same?"):
            raise RunError(f"run {run.name} would not go on as it began.", hint="Restore what changed, or give --yes.")
    if from_weights and how.start == "anew" and how.aside:
        raise RunError(
            f"run {run.name} cannot go on from its weights ({how.because}).",
            hint="--anew starts it anew from the base model.",
        )
    if how.start == "checkpoint" or not how.aside:
        if changes:
            say(how.words, err=True)
        return how
    if anew or (from_weights and how.start == "adapter"):
        say(how.words, err=True)
        return how
    say(how.would, err=True)
    if confirm("Do that?"):
        return how
    ways = "--from-weights goes on from its weights alone, --anew starts" if how.start == "adapter" else "--anew starts"
    raise RunError(
        f"run {run.name} cannot go on from its checkpoint ({how.because}).",
        hint=f"{ways} it anew from the base model; nothing is deleted.",
    )
