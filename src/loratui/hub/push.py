"""A folder of a model or an adapter to the hub: looked at first, asked about, private unless told otherwise.

Who may write where is found out before anything is sent. The token is read where the hub's tools keep it, and never
shown or written.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from loratui.core.errors import InputError, LoratuiError
from loratui.format import first_line
from loratui.hub.client import (
    OFFLINE,
    HubError,
    HubRefused,
    HubUnreached,
    ask,
    endpoint,
    find_token,
    offline,
    read_token,
)

NOT_SENT = (
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "training_args.bin",
    "trainer_state.json",
    "checkpoint-is-incomplete.txt",
    "manifest.json",
)
"""What a trainer keeps beside the weights for going on and for checking them here: of no use to others, and some of it
is pickled.
"""
ADAPTER = "adapter_config.json"
UNREACHED = ("the hub cannot be reached.", "Check the connection; nothing was sent.")
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class PushError(LoratuiError):
    """The hub does not take it, and why."""

    code = "push"


@dataclass(frozen=True)
class Parcel:
    """What would be sent: file names with their sizes, and doubts that the person should hear first.

    instead: what is sent in the place of a file's own bytes.
    """

    folder: Path
    files: Mapping[str, int]
    doubts: tuple[str, ...] = ()
    instead: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(self.files.values())


@dataclass(frozen=True)
class Destination:
    """A repository of the hub as this account sees it. private: None where it does not exist yet."""

    repository: str
    account: str
    private: bool | None = None

    @property
    def url(self) -> str:
        """Its page."""
        return f"{endpoint()}/{self.repository}"


def pack(folder: Path) -> Parcel:
    """What of a folder goes to the hub: its own files, no folders, nothing hidden. InputError where it holds no
    weights.

    Where a person keeps a base is nobody's business: of a local folder only the name is sent.
    """
    if not folder.is_dir():
        raise InputError("there is no such folder.", where=str(folder))
    files = {
        item.name: item.stat().st_size
        for item in sorted(folder.iterdir())
        if item.is_file()
        and not item.name.startswith(".")
        and item.name not in NOT_SENT
        and item.suffix not in (".pt", ".pth", ".pkl")
    }
    if not any(name.endswith((".safetensors", ".gguf")) for name in files):
        raise InputError("there are no weights here (*.safetensors, *.gguf).", where=str(folder))
    doubts, instead = [], {}
    if "README.md" not in files:
        doubts.append("There is no model card (README.md) in it; `loratui card RUN --write` makes one for a run.")
    base = _base(folder)
    if base and (Path(base).is_absolute() or base.startswith((".", "~")) or Path(base).exists()):
        name = PurePath(base).name
        doubts.append(
            f"The adapter names a local folder as its base ({base}): only its name ({name}) is sent. Whoever loads the "
            "adapter needs that base."
        )
        described = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
        instead[ADAPTER] = json.dumps(described | {"base_model_name_or_path": name}, indent=2).encode() + b"\n"
    return Parcel(folder, files, tuple(doubts), instead)


def destination(repository: str, default_name: str = "") -> Destination:
    """Where it would go, for the account whose token is on this machine. PushError with the true reason where it
    cannot.

    repository: `owner/name`, a name (the account's own), or "" for the account's own of `default_name`.
    """
    if offline():
        raise PushError(OFFLINE, hint="Unset it to push.")
    token = find_token()
    if token.problem:
        raise PushError(f"the token in {token.place} cannot be used: {token.problem}.", hint="Run: hf auth login")
    if not token.value:
        raise PushError(
            "no token of the hub was found on this machine.",
            hint="Make one that may write at https://huggingface.co/settings/tokens, then run: hf auth login",
        )
    about = _account()
    account = str(about.get("name", ""))
    role = ((about.get("auth") or {}).get("accessToken") or {}).get("role", "")
    if role == "read":
        raise PushError(
            f"the token of {account} may only read.",
            hint="Make one that may write at https://huggingface.co/settings/tokens, then run: hf auth login",
        )
    name = repository or default_name
    whole = name if "/" in name else f"{account}/{name}"
    if not REPOSITORY.fullmatch(whole) or ".." in whole or "--" in whole:
        raise InputError(
            f"{whole} is no name for a repository.", hint="Names have letters, digits, '.', '_' and '-': owner/name."
        )
    owner = whole.split("/")[0]
    owners = {account, *(str(one.get("name", "")) for one in about.get("orgs") or [] if isinstance(one, dict))}
    if owner not in owners:
        raise PushError(
            f"{account} may not write for {owner}.", hint=f"This account writes for: {', '.join(sorted(owners))}."
        )
    return Destination(whole, account, _is_private(whole))


def _account() -> dict[str, Any]:
    """Whose token it is, as the hub says."""
    try:
        about = ask("/api/whoami-v2")
    except HubRefused as error:
        if error.status in (401, 403):
            raise PushError(
                "the hub does not accept the token of this machine.",
                hint="It may have been revoked; run: hf auth login",
            ) from error
        raise PushError(error.message, hint="Try again later; nothing was sent.") from error
    except HubError as error:
        raise _not_asked(error, "") from error
    return about if isinstance(about, dict) else {}


def _is_private(repository: str) -> bool | None:
    """Whether a repository is private; None where there is none that this account may see."""
    try:
        found = ask(f"/api/models/{urllib.parse.quote(repository)}")
    except HubRefused as error:
        if error.reason == "unseen":
            return None
        raise PushError(error.message, where=repository, hint="Try again later; nothing was sent.") from error
    except HubError as error:
        raise _not_asked(error, repository) from error
    return bool(found.get("private"))


def _not_asked(error: HubError, where: str) -> PushError:
    if isinstance(error, HubUnreached):
        return PushError(UNREACHED[0], where=where, hint=UNREACHED[1])
    return PushError(error.message, where=where, hint=error.hint)


def push(parcel: Parcel, to: Destination, *, private: bool = True, message: str = "") -> str:
    """Make the repository where there is none, and send the files in one commit; the commit's address.

    private: how a new repository is made. Raises PushError where an existing one is public although `private` was
    asked, and with the hub's reason where it refuses.
    """
    check_visibility(to, private)
    import huggingface_hub
    from huggingface_hub import errors

    transport: type[Exception] = getattr(errors, "HTTPError", OSError)  # of the HTTP library that this version uses
    api = huggingface_hub.HfApi(endpoint=endpoint(), token=read_token())
    try:
        if to.private is None:
            api.create_repo(to.repository, private=private, exist_ok=True)
        sent = api.create_commit(
            repo_id=to.repository,
            operations=[
                huggingface_hub.CommitOperationAdd(name, parcel.instead.get(name) or str(parcel.folder / name))
                for name in parcel.files
            ],
            commit_message=message or f"Upload {parcel.folder.name} with loratui",
        )
    except (transport, OSError, ValueError) as error:
        raise PushError(
            _reason(error, to), where=to.repository, hint="What was sent before this is not part of a commit."
        ) from error
    return str(getattr(sent, "commit_url", "") or to.url)


def check_visibility(to: Destination, private: bool) -> None:
    """PushError where the repository is open to everybody and that was not asked for."""
    if private and to.private is False:
        raise PushError(
            "this repository exists, and everybody can read it.",
            where=to.repository,
            hint="Give --public if that is meant, or another name.",
        )


def _base(folder: Path) -> str:
    try:
        document = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(document.get("base_model_name_or_path") or "") if isinstance(document, dict) else ""


def _reason(error: Exception, to: Destination) -> str:
    """The hub's own words, on one line, or what happened to the connection."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    said = str(getattr(error, "server_message", "") or "").strip()
    if status in (401, 403):
        return f"{to.account}'s token may not write there" + (f": {said}" if said else ".")
    if status == 402:
        return f"the account's storage does not suffice{': ' + said if said else '.'}"
    if status is not None:
        return f"the hub answered with status {status}" + (f": {said}" if said else ".")
    if isinstance(error, ValueError):
        return f"the hub does not take these files: {first_line(error)}"
    if type(error).__module__.startswith("http") or isinstance(error, ConnectionError):
        return f"the connection to the hub broke ({type(error).__name__})."
    return f"a file cannot be read: {first_line(error)}"
