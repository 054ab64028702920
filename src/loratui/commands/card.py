"""`loratui card`: the model card of a run, printed or written beside its result."""

from __future__ import annotations

import click

from loratui.core.errors import InputError, RunError
from loratui.terminal import say


@click.command("card")
@click.argument("run_name", metavar="RUN")
@click.option("--write", is_flag=True, help="Write README.md beside the result instead of printing it.")
@click.option("--force", is_flag=True, help="Replace a README.md that was changed by hand.")
def command(run_name: str, write: bool, force: bool) -> None:
    """The model card of a run: how it was made, as its own files say.

    Every finished run has one beside its result; this makes it anew.
    """
    from loratui.runs.listing import find_run
    from loratui.runs.model_card import model_card, result_folder, whose_card, write_model_card
    from loratui.runs.result import damage_of, require_undamaged

    run = find_run(run_name)
    folder = result_folder(run)
    damage = damage_of(folder)
    if not write:
        say(model_card(run), end="")
        if damage:
            say(f"! {folder}: the result that this card describes is damaged: {damage}.", err=True)
        return
    require_undamaged(folder)
    card = folder / "README.md"
    if not card.parent.is_dir():
        raise RunError(f"{run.name} has no result yet.", hint="The card is written when the run is finished.")
    try:
        if whose_card(card) == "theirs" and not force:
            raise InputError("somebody wrote this card by hand.", where=str(card), hint="Add --force to replace it.")
        write_model_card(run)
    except OSError as error:
        raise RunError(f"the card cannot be written: {error.strerror or error}.", where=str(card)) from None
    say(f"{card} is written.")
