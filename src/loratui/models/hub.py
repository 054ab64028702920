"""Models of the hub: one model's config.json, or a search. Every refusal becomes its true reason in one sentence.

Nothing is stored here; the worker fetches models with the hub's own client.
"""

from __future__ import annotations

import urllib.parse
from typing import Any, NamedTuple

from loratui.core.errors import ModelError
from loratui.hub.client import HubError, HubRefused, HubUnreached, ask, endpoint, offline
from loratui.models.found import FoundModel
from loratui.models.shapes import spec_of

UNREACHED_MODEL = (
    "this model is not on this machine, and the hub cannot be reached.",
    "Check the connection, or give a local folder.",
)
UNREACHED_SEARCH = (
    "the hub cannot be reached.",
    "Check the connection; models on this machine can be used without it.",
)


class HubModel(NamedTuple):
    """A search's hit. parameters: None where the hub does not know them. gated: whether its licence must be
    accepted.
    """

    id: str
    downloads: int
    likes: int
    licence: str
    gated: bool
    parameters: int | None


def fetch_model(id: str, revision: str = "") -> FoundModel:
    """Read a model's config.json from the hub; ModelError with the hub's reason where it is refused."""
    if offline():
        raise ModelError(
            "this model is not on this machine, and HF_HUB_OFFLINE forbids asking the hub.",
            where=id,
            hint="Unset HF_HUB_OFFLINE, or give a local folder.",
        )
    about = _ask(f"/api/models/{id}" + (f"/revision/{urllib.parse.quote(revision, safe='')}" if revision else ""), id)
    config = _ask(f"/{id}/resolve/{urllib.parse.quote(revision or 'main', safe='')}/config.json", id)
    files = {str(item.get("rfilename")) for item in about.get("siblings", []) if isinstance(item, dict)}
    notes = ["not on this machine: it is fetched before training"]
    if files and not any(name.endswith(".safetensors") for name in files):
        notes.append("it has no safetensors, so loratui will not open its weights")
    template = "chat_template.jinja" in files or bool(
        (about.get("config") or {}).get("tokenizer_config", {}).get("chat_template")
    )
    return FoundModel(
        id,
        "hub",
        None,
        config,
        spec_of(config, id),
        False,
        0,
        template,
        _licence(about.get("tags")),
        bool(about.get("gated")),
        "; ".join(notes),
    )


def search_models(words: str, *, limit: int = 20) -> list[HubModel]:
    """Text-generation models of the hub that match, most downloaded first; ModelError where it cannot be asked."""
    if offline():
        raise ModelError("HF_HUB_OFFLINE forbids asking the hub.", hint="Unset it to search.")
    query = [
        ("search", words),
        ("filter", "text-generation"),
        ("sort", "downloads"),
        ("direction", "-1"),
        ("limit", str(limit)),
    ]
    query += [("expand[]", name) for name in ("downloads", "likes", "gated", "tags", "safetensors")]
    hits = _ask(f"/api/models?{urllib.parse.urlencode(query)}", words, UNREACHED_SEARCH)
    return [_hit(hit) for hit in hits if isinstance(hit, dict) and hit.get("id")]


def _hit(hit: dict[str, Any]) -> HubModel:
    parameters = (hit.get("safetensors") or {}).get("total")
    return HubModel(
        str(hit["id"]),
        int(hit.get("downloads") or 0),
        int(hit.get("likes") or 0),
        _licence(hit.get("tags")),
        bool(hit.get("gated")),
        parameters if isinstance(parameters, int) else None,
    )


def _licence(tags: Any) -> str:
    return next((str(tag).removeprefix("license:") for tag in tags or [] if str(tag).startswith("license:")), "")


def _ask(path: str, id: str, unreached: tuple[str, str] = UNREACHED_MODEL) -> Any:
    """The hub's answer; ModelError with what a refused model means. unreached: sentence and hint where it cannot be
    reached.
    """
    try:
        return ask(path)
    except HubRefused as error:
        raise _refusal(id, error) from error
    except HubUnreached as error:
        raise ModelError(unreached[0], where=id, hint=unreached[1]) from error
    except HubError as error:
        raise ModelError(error.message, where=id, hint=error.hint) from error


def _refusal(id: str, error: HubRefused) -> ModelError:
    page = f"{endpoint()}/{id}"
    match error.reason:
        case "gated" if not error.has_token:
            return ModelError(
                "this model is gated, and no token was found.",
                where=id,
                hint=f"Accept its licence at {page}, then run: hf auth login",
            )
        case "gated":
            return ModelError(
                "this model is gated, and your account has no access to it yet.",
                where=id,
                hint=f"Accept its licence at {page}; where its owners decide, wait for them.",
            )
        case "revision":
            return ModelError(
                "this model has no such revision.",
                where=id,
                hint="Set model.revision to a branch, tag or commit that exists.",
            )
        case "file":
            return ModelError(
                "this repository has no config.json, so it is no model of the transformers library.",
                where=id,
                hint="Choose the original model.",
            )
        case "unseen":
            private = "" if error.has_token else " For a private model, run: hf auth login"
            return ModelError(
                "the hub knows no model of this name that you may see.", where=id, hint=f"Check the spelling.{private}"
            )
        case "status":
            return ModelError(error.message, where=id, hint=error.hint)
