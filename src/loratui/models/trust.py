"""Python code that a model brings: what it is, whether somebody agreed to run it, and how it is then loaded.

Code of a repository runs with the rights of whoever loads the model, so a person is asked once per model and revision,
and again when the code is another. The answer is kept with the SHA-256 of every file in
`$LORATUI_HOME/state/trusted-code.json`. Whoever loads a model takes `load_options`: the one place where
`trust_remote_code` becomes true.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loratui.core.errors import ModelError
from loratui.core.plan import Plan
from loratui.files import make_folder, open_regular, read_object, write_whole
from loratui.format import one_line, size
from loratui.hub.cache import snapshot
from loratui.hub.client import HubError, ask, download, hub_cache
from loratui.models.folder import read_json
from loratui.models.name import model_folder, resolved_name
from loratui.paths import state_home

CONFIGS = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
"""Files whose `auto_map` names classes of the repository's own."""
MOST_FILES = 2000
LIMIT_BYTES = 16 << 20
SHOWN_FILES = 12
VERSION = 1


class CodeNotAgreedError(ModelError):
    """A model brings code that nobody agreed to run."""

    code = "remote-code"


@dataclass(frozen=True)
class RemoteCode:
    """The code of one model. commit: of the hub, "" for a folder. files: SHA-256 by name; sizes: bytes by name.

    elsewhere: the one other repository that the classes come from, with `elsewhere_commit`.
    """

    model: str
    revision: str
    commit: str = ""
    files: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    elsewhere: str = ""
    elsewhere_commit: str = ""

    @property
    def question(self) -> str:
        """What a person has to know before it runs, in a few lines."""
        at = f" at revision {one_line(self.revision, 60)}" if self.revision else ""
        listed = [
            f"  {one_line(name, 70)}  {size(self.sizes.get(name, 0))}  sha256 {digest[:12]}"
            for name, digest in list(self.files.items())[:SHOWN_FILES]
        ]
        if len(self.files) > SHOWN_FILES:
            listed.append(f"  and {len(self.files) - SHOWN_FILES} files more")
        first = f"{one_line(self.model, 120)}{at} brings Python code that runs with your rights when it is loaded:"
        return "\n".join([first, *listed])


def load_options(
    source: str, revision: str = "", *, wanted: bool, base: str = "", base_revision: str = ""
) -> dict[str, Any]:
    """What `from_pretrained` is to be told of a model's own code: nothing of it runs unless it is wanted and was agreed
    to; what runs then is pinned to that.

    source: a folder or an id of the hub. base: the model that a folder was made from: the same files, agreed to there,
    need no second answer. Raises CodeNotAgreedError, or ModelError where the hub does not say what the code is.
    """
    code = remote_code(source, revision) if wanted else None
    if code is None:
        return {"trust_remote_code": False}
    agreed = is_agreed(code)
    if not agreed and base:
        made_from = _agreement(resolved_name(base), "" if model_folder(base).is_dir() else base_revision)
        agreed = made_from is not None and _is_part(code, made_from)
    if not agreed:
        raise not_agreed(code)
    options: dict[str, Any] = {"trust_remote_code": True}
    if code.commit:
        options["revision"] = code.commit
    if code.elsewhere_commit:
        options["code_revision"] = code.elsewhere_commit
    return options


def not_agreed(code: RemoteCode) -> CodeNotAgreedError:
    """What is said where code would run that nobody agreed to."""
    before = _agreement(code.model, code.revision)
    what = "its code is another than was agreed to" if before is not None else "nobody agreed to run the code it brings"
    names = ", ".join(one_line(name, 40) for name in list(code.files)[:3])
    more = f" and {len(code.files) - 3} more" if len(code.files) > 3 else ""
    return CodeNotAgreedError(
        f"{what} ({names}{more}).",
        where=code.model,
        hint="Look at it; then answer yes on a terminal, or name it: --trust-remote-code. Or set "
        "model.trust_remote_code to false.",
    )


def unanswered(plan: Plan) -> RemoteCode | None:
    """The code that a plan would run and that nobody agreed to yet; None where there is nothing to ask. ModelError as
    `remote_code` raises it.
    """
    if not plan.model.trust_remote_code:
        return None
    code = remote_code(plan.model.id, plan.model.revision)
    return None if code is None or is_agreed(code) else code


def remote_code(source: str, revision: str = "") -> RemoteCode | None:
    """The code that a model brings; None where it brings none. Asks the hub where the cache does not hold it.

    Raises ModelError where it cannot be read or fetched.
    """
    place = _place(source, revision)
    if place is None:
        return None  # there is no such model: its loader says so
    folder, commit = place
    model = source if commit else resolved_name(source)
    files, sizes = _files(folder)
    classes = [name.partition("--") for name in _class_names(folder)]
    others = sorted({repository for repository, there, _ in classes if there and repository != model})
    if not others:
        return RemoteCode(model, revision if commit else "", commit, files, sizes) if files else None
    if len(others) > 1 or any(not there or repository == model for repository, there, _ in classes):
        raise ModelError(
            f"the model's code comes from more than one repository ({', '.join(others[:3])}, …).",
            where=model,
            hint="Put the code into the model's folder, and name it there in auto_map.",
        )
    needed = [name for repository, there, name in classes if there]
    beside = _place(others[0], "", needed)
    if beside is None:
        raise ModelError(f"the model's code is said to be in {others[0]}, which is not there.", where=model)
    its_files, its_sizes = _files(beside[0])
    files |= {f"{others[0]}/{name}": digest for name, digest in its_files.items()}
    sizes |= {f"{others[0]}/{name}": number for name, number in its_sizes.items()}
    return RemoteCode(model, revision if commit else "", commit, files, sizes, others[0], beside[1])


def is_agreed(code: RemoteCode) -> bool:
    """Whether somebody agreed to this very code of this model and revision."""
    kept = _agreement(code.model, code.revision)
    return (
        kept is not None
        and kept["files"] == code.files
        and (kept["elsewhere"], kept["elsewhere_commit"]) == (code.elsewhere, code.elsewhere_commit)
    )


def agree(code: RemoteCode) -> None:
    """Remember that somebody agreed to it. ModelError where that cannot be written."""
    kept = [one for one in _read() if (one["model"], one["revision"]) != (code.model, code.revision)]
    kept.append(
        {
            "model": code.model,
            "revision": code.revision,
            "commit": code.commit,
            "files": code.files,
            "elsewhere": code.elsewhere,
            "elsewhere_commit": code.elsewhere_commit,
            "time": round(time.time()),
        }
    )
    try:
        make_folder(_path().parent)
        write_whole(_path(), json.dumps({"version": VERSION, "agreed": kept}, indent=1) + "\n", durable=True)
    except OSError as error:
        raise ModelError(
            f"the answer cannot be kept: {error.strerror or error}.", where=str(_path()), hint="Free some space."
        ) from None


def _path() -> Path:
    return state_home() / "trusted-code.json"


def _read() -> list[dict[str, Any]]:
    """Every answer; none where the file is not readable: then it is asked again."""
    try:
        kept = read_object(_path())
    except OSError:
        return []
    listed = kept.get("agreed")
    if kept.get("version") != VERSION or not isinstance(listed, list):
        return []
    texts = ("model", "revision", "commit", "elsewhere", "elsewhere_commit")
    return [
        one
        for one in listed
        if isinstance(one, dict)
        and isinstance(one.get("files"), dict)
        and all(isinstance(one.get(name), str) for name in texts)
    ]


def _agreement(model: str, revision: str) -> dict[str, Any] | None:
    return next((one for one in _read() if (one["model"], one["revision"]) == (model, revision)), None)


def _is_part(code: RemoteCode, made_from: dict[str, Any]) -> bool:
    """Whether a folder's code is a copy of what was agreed to of the model that it was made from."""
    mine = {os.path.basename(name): digest for name, digest in made_from["files"].items()}  # noqa: PTH119
    same = all(mine.get(os.path.basename(name)) == digest for name, digest in code.files.items())  # noqa: PTH119
    places = {(made_from["model"], made_from["commit"]), (made_from["elsewhere"], made_from["elsewhere_commit"])}
    return same and (not code.elsewhere or (code.elsewhere, code.elsewhere_commit) in places)


def _place(source: str, revision: str, needed: Sequence[str] = ()) -> tuple[Path, str] | None:
    """The folder with a model's code, and its commit ("" for a folder of the person's); None where there is none.

    needed: classes that must be there, beside those that it names itself.
    """
    if model_folder(source).is_dir():
        return model_folder(source), ""
    if source.startswith(("/", ".", "~")):
        return None
    cached = snapshot(hub_cache() / f"models--{source.replace('/', '--')}", revision or "main")
    if cached is not None and (cached / "config.json").is_file():
        wanted = [name for name in _class_names(cached) if "--" not in name]
        if all((cached / f"{name.split('.')[0]}.py").is_file() for name in (*wanted, *needed)):
            return cached, cached.name  # without trust, code is not fetched with the weights
    return _fetched(source, revision)


def _files(folder: Path) -> tuple[dict[str, str], dict[str, int]]:
    """SHA-256 and bytes of every Python file by name."""
    found = {path.relative_to(folder).as_posix(): _digest(path) for path in _python_files(folder)}
    return {name: one[0] for name, one in found.items()}, {name: one[1] for name, one in found.items()}


def _python_files(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in (".git", "__pycache__"))
        found += [Path(place) / name for name in sorted(names) if name.endswith(".py")]
        if len(found) > MOST_FILES:
            raise ModelError(f"the folder holds more than {MOST_FILES} Python files.", where=str(folder))
    return found


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 and bytes of a file (those of the hub's cache are links)."""
    try:
        with open_regular(path) as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise ModelError(f"the model's code cannot be read: {error.strerror or error}.", where=str(path)) from None
    if len(data) > LIMIT_BYTES:
        raise ModelError(f"a file of the model's code has more than {size(LIMIT_BYTES)}.", where=str(path))
    return hashlib.sha256(data).hexdigest(), len(data)


def _class_names(folder: Path) -> list[str]:
    """Every class that `auto_map` names: `module.Class`, or `owner/name--module.Class`."""
    found: list[str] = []
    for name in CONFIGS:
        if (folder / name).is_file():
            named = read_json(folder / name).get("auto_map")
            values = list(named.values()) if isinstance(named, dict) else named if isinstance(named, list) else []
            for value in values:
                found += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
    return found


def _fetched(id: str, revision: str) -> tuple[Path, str]:
    """The snapshot folder with a hub model's code and configs, fetched now, and its commit."""
    from urllib.parse import quote

    try:
        about = ask(f"/api/models/{id}" + (f"/revision/{quote(revision, safe='')}" if revision else ""))
        commit = str(about["sha"])
        names = [str(item["rfilename"]) for item in about.get("siblings", [])]
        wanted = [name for name in names if name.endswith(".py") or name in CONFIGS]
        if len(wanted) > MOST_FILES:
            raise ModelError(f"the repository holds more than {MOST_FILES} Python files.", where=id)
        for name in wanted:
            download(id, name, revision=commit)
    except HubError as error:
        raise ModelError(f"what code it brings cannot be seen: {error.message}", where=id, hint=error.hint) from error
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"what code it brings cannot be seen: {error}.", where=id, hint="Try again later.") from error
    return hub_cache() / f"models--{id.replace('/', '--')}" / "snapshots" / commit, commit
