"""Everything that is asked of the hub, over the hub's own library: address, token, cache, requests, files.

Where things lie and which token counts is what `huggingface_hub` says, so that every part of loratui, and `hf`
itself, agree. The library is imported inside functions: a screen must not wait for it at the start. Requests have a
time limit, because the library's own have none; a token goes to the hub's own address alone (its HTTP client drops it
when another host is named).
"""

from __future__ import annotations

import os
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from loratui import __version__
from loratui.core.dataclass import dataclass
from loratui.core.errors import LoratuiError
from loratui.format import first_line

TIMEOUT_SECONDS = 8.0
ANSWER_LIMIT_BYTES = 16 * 2**20
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
OFFLINE = "HF_HUB_OFFLINE forbids asking the hub."

Reason = Literal["gated", "revision", "file", "unseen", "status"]
"""Why the hub refuses. unseen: there is no such repository, or this account may not see it."""


class HubError(LoratuiError):
    """The hub did not give what was asked. detail: what happened, for the middle of a sentence."""

    code = "hub"
    detail = ""


class HubOffline(HubError):
    """The person's environment forbids asking (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE)."""


class HubUnreached(HubError):
    """No answer came."""


class HubUnreadable(HubError):
    """What came is no answer of the hub: often a proxy's page."""


class HubRefused(HubError):
    """The hub says no. has_token: whether the request carried one."""

    def __init__(self, reason: Reason, status: int, *, has_token: bool, said: str = "") -> None:
        self.reason, self.status, self.has_token, self.said = reason, status, has_token, said
        self.detail = f"status {status}"
        super().__init__(f"the hub answered with status {status}.", hint="Try again later.")


@dataclass(frozen=True, slots=True)
class Token:
    """The person's token.

    value: "" for none, never shown. place: where it was found. problem: why it could not be read.
    """

    value: str = field(default="", repr=False)
    place: str = ""
    problem: str = ""


def endpoint() -> str:
    """The hub's address, without a slash at its end."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def offline() -> bool:
    """Whether the person's environment forbids asking the hub."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def hub_cache() -> Path:
    """Folder where the hub's own tools keep what they fetched."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def hub_home() -> Path:
    """Folder of the hub's own tools: token, caches of other kinds."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME)


def find_token() -> Token:
    """The token that the hub's own tools would use, and where it was found.

    It may renew one that runs out: not for the interface's thread.
    """
    from huggingface_hub import constants, errors, get_token

    unproven: type[Exception] = getattr(errors, "OIDCError", OSError)
    try:
        value = get_token() or ""
    except (OSError, ValueError, unproven) as error:
        return Token(place=constants.HF_TOKEN_PATH, problem=str(getattr(error, "strerror", None) or error))
    if not value:
        return Token()
    place = next(
        (name for name in TOKEN_VARIABLES if os.environ.get(name, "").strip() == value), constants.HF_TOKEN_PATH
    )
    if not (value.isascii() and value.isprintable()):
        return Token(place=place, problem="it holds characters that no token has")
    return Token(value, place)


def read_token() -> str:
    """The person's token; "" for none. It is never shown or written."""
    return find_token().value


def ask(path: str, *, with_token: bool = True, timeout_seconds: float = TIMEOUT_SECONDS) -> Any:
    """The hub's answer to one GET, as JSON. Raises HubOffline, HubUnreached, HubUnreadable or HubRefused."""
    if offline():
        raise HubOffline(OFFLINE, hint="Unset it to ask.")
    import json

    from huggingface_hub import errors, get_session, hf_raise_for_status

    token = read_token() if with_token else ""
    headers = {"user-agent": f"loratui/{__version__}", **({"authorization": f"Bearer {token}"} if token else {})}
    content = b""
    try:
        with get_session().stream("GET", endpoint() + path, headers=headers, timeout=timeout_seconds) as answer:
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > ANSWER_LIMIT_BYTES:
                    break
            hf_raise_for_status(answer)
        return json.loads(content)
    except errors.HfHubHTTPError as error:
        raise _refused(error, has_token=bool(token)) from error
    except _transport_errors() as error:
        raise _unreached(error) from error
    except ValueError as error:
        raise HubUnreadable(
            "the hub's answer cannot be read.", hint="Is there a proxy or a sign-in page between?"
        ) from error


def download(id: str, name: str, *, revision: str = "", dataset: bool = False) -> Path:
    """A file of a repository, brought into the hub's cache where it is not there.

    Raises HubError, or OSError where it cannot be stored.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # they would be drawn over the screen
    from huggingface_hub import errors, hf_hub_download

    token = read_token()
    try:
        return Path(
            hf_hub_download(
                id,
                name,
                repo_type="dataset" if dataset else "model",
                revision=revision or None,
                token=token or False,
                library_name="loratui",
            )
        )
    except errors.LocalEntryNotFoundError as error:
        raise _unreached(error.__cause__ or error) from error
    except errors.HfHubHTTPError as error:
        raise _refused(error, has_token=bool(token)) from error
    except _transport_errors(of_files=False) as error:
        raise _unreached(error) from error


def _transport_errors(*, of_files: bool = True) -> tuple[type[Exception], ...]:
    """What the HTTP library of this version of huggingface_hub (httpx, httpx2) raises; of_files: what the system
    does, too."""
    from importlib import import_module

    from huggingface_hub import errors

    library = import_module(vars(errors)["HTTPError"].__module__)
    return (library.HTTPError, library.InvalidURL, *((OSError,) if of_files else ()))


def _refused(error: Any, *, has_token: bool) -> HubRefused:
    """From a typed error of the hub's library."""
    from huggingface_hub import errors

    status = int(error.response.status_code)
    reason: Reason = "status"
    if isinstance(error, errors.GatedRepoError):
        reason = "gated"
    elif isinstance(error, errors.RevisionNotFoundError):
        reason = "revision"
    elif isinstance(error, errors.EntryNotFoundError):
        reason = "file"
    elif isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403, 404):
        reason = "unseen"
    return HubRefused(reason, status, has_token=has_token, said=str(error.server_message or "").strip())


def _unreached(error: BaseException) -> HubUnreached:
    unreached = HubUnreached("the hub cannot be reached.", hint="Check the connection.")
    unreached.detail = str(getattr(error, "strerror", None) or first_line(error))
    return unreached
