"""Ask the hub: one model's config.json, or a search. Every refusal becomes its true reason in one sentence.

Plain HTTP with a time limit: the hub's own client tries an unreachable host for half a minute and writes to the terminal.
Nothing is stored here; the worker fetches models with the hub's own client.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.core.errors import LoratuiError, ModelError
from loratui.models.find import FoundModel
from loratui.models.hub_cache import hub_cache
from loratui.models.shapes import spec_of

TIMEOUT_SECONDS = 8.0
ANSWER_LIMIT_BYTES = 16 * 2**20
UNREACHED_MODEL = ("this model is not on this machine, and the hub cannot be reached.", "Check the connection, or give a local folder.")
UNREACHED_SEARCH = ("the hub cannot be reached.", "Check the connection; models on this machine can be used without it.")


@dataclass(frozen=True)
class HubModel:
    """A search's hit. parameters: None where the hub does not know them. gated: whether its licence must be accepted."""

    id: str
    downloads: int
    likes: int
    licence: str
    gated: bool
    parameters: int | None


def endpoint() -> str:
    """The hub's address (HF_ENDPOINT honoured)."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def offline() -> bool:
    """Whether the person's environment forbids asking the hub."""
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def fetch_model(id: str, revision: str = "") -> FoundModel:
    """Read a model's config.json from the hub; ModelError with the hub's reason where it is refused."""
    if offline():
        raise ModelError(
            "this model is not on this machine, and HF_HUB_OFFLINE forbids asking the hub.", where=id,
            hint="Unset HF_HUB_OFFLINE, or give a local folder.",
        )
    about = ask_hub(f"/api/models/{id}" + (f"/revision/{urllib.parse.quote(revision, safe='')}" if revision else ""), id)
    config = ask_hub(f"/{id}/resolve/{urllib.parse.quote(revision or 'main', safe='')}/config.json", id)
    files = {str(item.get("rfilename")) for item in about.get("siblings", []) if isinstance(item, dict)}
    notes = ["not on this machine: it is fetched before training"]
    if files and not any(name.endswith(".safetensors") for name in files):
        notes.append("it has no safetensors, so loratui will not open its weights")
    template = "chat_template.jinja" in files or bool((about.get("config") or {}).get("tokenizer_config", {}).get("chat_template"))
    return FoundModel(
        id, "hub", None, config, spec_of(config, id), False, 0, template, _licence(about.get("tags")), bool(about.get("gated")), "; ".join(notes)
    )


def search_models(words: str, *, limit: int = 20) -> list[HubModel]:
    """Text-generation models of the hub that match, most downloaded first; ModelError where it cannot be asked."""
    if offline():
        raise ModelError("HF_HUB_OFFLINE forbids asking the hub.", hint="Unset it to search.")
    query = [("search", words), ("filter", "text-generation"), ("sort", "downloads"), ("direction", "-1"), ("limit", str(limit))]
    query += [("expand[]", name) for name in ("downloads", "likes", "gated", "tags", "safetensors")]
    hits = ask_hub(f"/api/models?{urllib.parse.urlencode(query)}", words, UNREACHED_SEARCH)
    return [_hit(hit) for hit in hits if isinstance(hit, dict) and hit.get("id")]


def _hit(hit: dict[str, Any]) -> HubModel:
    parameters = (hit.get("safetensors") or {}).get("total")
    return HubModel(
        str(hit["id"]), int(hit.get("downloads") or 0), int(hit.get("likes") or 0), _licence(hit.get("tags")), bool(hit.get("gated")),
        parameters if isinstance(parameters, int) else None,
    )


def _licence(tags: Any) -> str:
    return next((str(tag).removeprefix("license:") for tag in tags or [] if str(tag).startswith("license:")), "")


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and keeps the token from other hosts."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            request.remove_header("Authorization")
        return request


def ask_hub(
    path: str, id: str, unreached: tuple[str, str] = UNREACHED_MODEL, refusal: Callable[[str, int, str, bool], LoratuiError] | None = None
) -> Any:
    """The hub's answer as JSON. unreached: sentence and hint where it cannot be reached.

    refusal: makes the error of (id, status, the hub's code, whether a token was sent); by default what a refused model means.
    """
    headers = {"User-Agent": "loratui", "Accept": "application/json"}
    if token := read_token():
        headers["Authorization"] = f"Bearer {token}"
    opener = urllib.request.build_opener(_SameHost)
    try:
        with opener.open(urllib.request.Request(endpoint() + path, headers=headers), timeout=TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read(ANSWER_LIMIT_BYTES))
    except urllib.error.HTTPError as error:
        raise (refusal or _refusal)(id, error.code, error.headers.get("X-Error-Code", ""), bool(token)) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise ModelError(unreached[0], where=id, hint=unreached[1]) from error
    except ValueError as error:
        raise ModelError("the hub's answer cannot be read.", where=id, hint="Is there a proxy or a sign-in page between?") from error


def _refusal(id: str, status: int, code: str, has_token: bool) -> ModelError:
    page = f"{endpoint()}/{id}"
    if code == "GatedRepo" and not has_token:
        return ModelError("this model is gated, and no token was found.", where=id, hint=f"Accept its licence at {page}, then run: hf auth login")
    if code == "GatedRepo":
        return ModelError("this model is gated, and your account has no access to it yet.", where=id, hint=f"Accept its licence at {page}; where its owners decide, wait for them.")
    if code == "RevisionNotFound":
        return ModelError("this model has no such revision.", where=id, hint="Set model.revision to a branch, tag or commit that exists.")
    if code == "EntryNotFound":
        return ModelError("this repository has no config.json, so it is no model of the transformers library.", where=id, hint="Choose the original model.")
    if status in (401, 403, 404):
        private = "" if has_token else " For a private model, run: hf auth login"
        return ModelError("the hub knows no model of this name that you may see.", where=id, hint=f"Check the spelling.{private}")
    return ModelError(f"the hub answered with status {status}.", where=id, hint="Try again later.")


def read_token() -> str:
    """The person's token from where the hub's own tools keep it; "" for none. It is never shown or written."""
    if token := os.environ.get("HF_TOKEN", "").strip():
        return token
    place = os.environ.get("HF_TOKEN_PATH") or Path(os.environ.get("HF_HOME") or hub_cache().parent) / "token"
    try:
        return Path(place).expanduser().read_text(encoding="utf-8").strip()
    except OSError:
        return ""
