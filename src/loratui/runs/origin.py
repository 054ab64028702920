"""Whether a run was made here, with this `$LORATUI_HOME`, or brought from elsewhere with a plan of somebody else's.

A home has a secret of its own, and every run that is made with it keeps a proof of that in `origin.json`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loratui.core.mix import named_paths
from loratui.core.plan import Plan
from loratui.files import make_folder, open_own, read_object, write_whole
from loratui.format import one_line
from loratui.paths import runs_home, state_home
from loratui.runs.directory import ORIGIN, Run

NAME = ORIGIN
INSTALLATION = "installation.json"
"""What a home keeps its secret in."""


def sign(run: Run) -> None:
    """Keep in a new run that it was made here. Raises OSError."""
    name = secrets.token_hex(16)
    proof = _proof(str(_home()["secret"]), name)
    write_whole(run.path / NAME, json.dumps({"run": name, "proof": proof}) + "\n")


def is_foreign(run: Run) -> bool:
    """Whether a run was made elsewhere. A home that cannot be written to made none, and can tell none apart: False."""
    try:
        mine = _home()
    except OSError:
        return False
    try:
        said = read_object(run.path / NAME)
    except OSError:
        return not (run.path.parent == runs_home() and run.name in mine["before"])
    name, proof = said.get("run"), said.get("proof")
    if not isinstance(name, str) or not isinstance(proof, str):
        return True
    return not hmac.compare_digest(proof.encode("utf-8", "replace"), _proof(str(mine["secret"]), name).encode())


def foreign_words(run: Run, plan: Plan) -> str:
    """What a person has to know of a run that was made elsewhere before its plan is followed; empty for one of ours."""
    if not is_foreign(run):
        return ""
    places = ", ".join(f"{key} = {one_line(value, 120)}" for key, value in far_places(plan).items())
    return "This run was not made here." + (f" Its plan reads: {places}." if places else "")


def far_places(plan: Plan) -> dict[str, str]:
    """Files and folders that a plan names by an absolute path, or above where it stands."""
    return {
        key: text for key, text in named_paths(plan).items() if text.startswith(("/", "~")) or ".." in Path(text).parts
    }


def _proof(secret: str, name: str) -> str:
    return hmac.new(secret.encode("utf-8", "replace"), name.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _home() -> Mapping[str, Any]:
    """The home's secret, and the names of the runs that were there before it had one: they count as its own. Made
    where there is none. Raises OSError.
    """
    path = state_home() / INSTALLATION
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    make_folder(path.parent)
    before = sorted(one.name for one in runs_home().iterdir()) if runs_home().is_dir() else []
    mine = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(open_own(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="utf-8") as file:
        json.dump({"secret": secrets.token_hex(32), "before": before}, file)
    try:
        mine.chmod(0o600)  # nobody else's, in a shared folder too
        os.link(mine, path)  # the first of two that begin at once has made it for both
    except FileExistsError:
        pass
    finally:
        mine.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> Mapping[str, Any]:
    kept = read_object(path)
    if not isinstance(kept.get("secret"), str) or not isinstance(kept.get("before"), list):
        raise OSError(f"{path} is not of this form")
    return kept
