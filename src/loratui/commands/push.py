"""`loratui push`: a run's result, or any folder with weights, to the hub: asked first, private unless told
otherwise.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import click

from loratui.core.errors import InputError, RunError
from loratui.format import printable, size
from loratui.paths import without_tilde
from loratui.terminal import confirm, has_person, say, say_json


@click.command("push")
@click.argument("source", metavar="RUN_OR_FOLDER")
@click.argument("repository", default="")
@click.option("--public", is_flag=True, help="Make the repository readable by everybody (default: private).")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--message", default="", help="Message of the commit.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(source: str, repository: str, public: bool, yes: bool, message: str, as_json: bool) -> None:
    """Send a run's result, or a merged model's folder, to the hub.

    REPOSITORY is owner/name, or a name of your own; by default the run's name. Before anything is sent it is said what
    goes where, and asked.
    """
    from loratui.hub.push import check_visibility, destination, pack, push
    from loratui.runs.model_card import CARD, card_at
    from loratui.runs.result import require_undamaged
    from loratui.workers.command import Sent

    folder, name = _folder(source)
    require_undamaged(folder)
    parcel = pack(folder)
    to = destination(repository, name)
    if card := card_at(folder / CARD, to.repository):
        parcel = replace(parcel, instead={**parcel.instead, CARD: card})
    check_visibility(to, private=not public)
    seen = "private" if to.private or (to.private is None and not public) else "PUBLIC"
    made = "a new repository" if to.private is None else "an existing repository, which gets one more commit"
    say(f"{to.url}  ({seen}, {made}; as {to.account})", err=True)
    for file, size_bytes in parcel.files.items():
        say(f"  {printable(file):<40} {size(size_bytes):>12}", err=True)
    for doubt in parcel.doubts:
        say(f"  ! {printable(doubt)}", err=True)
    if not yes:
        if not has_person():
            raise InputError("there is nobody to ask here.", hint="Add --yes to send it.")
        if not confirm(f"Send {len(parcel.files)} files ({size(parcel.size_bytes)})?"):
            say("Nothing was sent.", err=True)
            raise click.exceptions.Abort
    url = push(parcel, to, private=not public, message=message)
    if as_json:
        say_json(asdict(Sent(to.repository, to.url, url, seen == "private", dict(parcel.files))))
        return
    say(f"Sent: {url}")


def _folder(source: str) -> tuple[Path, str]:
    """The folder to send, and a name for it."""
    from loratui.runs.listing import find_run, named_run
    from loratui.runs.model_card import result_folder

    given = without_tilde(source)
    if named_run(source) is None and given.is_dir() and not (given / "plan.toml").is_file():
        inside = given.absolute()
        return inside, inside.parent.name if inside.name in ("adapter", "model") else inside.name
    run = find_run(source)
    folder = result_folder(run)
    if not folder.is_dir():
        raise RunError(
            f"{run.name} has no result yet.",
            hint="It is there when the run is finished; a checkpoint's folder can be sent by its path.",
        )
    return folder, run.name
