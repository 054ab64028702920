"""What a worker read from a model's real class, remembered by the model's config:
`$LORATUI_HOME/state/shapes/HASH.json`.

An architecture that the formulas of `core.families` do not know is a guess until a worker has built its class on the
meta device and listed its layers (`python -m loratui.worker shape`, seconds, no weights). From then on `spec_of` gives
the exact shape. The same store holds whatever else a worker learned of a config, by kind: `recall(config, kind="…")`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.errors import ModelError, WorkerError
from loratui.core.families import read_config
from loratui.files import make_folder, read_object, write_whole
from loratui.paths import state_home

VERSION = 2
LIMIT_SECONDS = 180.0
"""Longest wait for a worker; a mixture with thousands of experts takes about ten seconds."""
_NOT_DECIDING = ("_name_or_path", "transformers_version")
"""Keys of a config.json that say nothing about the shape."""


def config_hash(config: Mapping[str, Any]) -> str:
    """24 hex digits for a parsed config.json, the same for every copy of one model."""
    deciding = {key: value for key, value in config.items() if key not in _NOT_DECIDING}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest()[:24]


def memory_path(config: Mapping[str, Any], kind: str = "shape") -> Path:
    """The file that holds what was learned of this config; `kind` "shape" is its layers, others are their owners'
    words.
    """
    folder = "shapes" if kind == "shape" else f"shapes-{kind}"
    return state_home() / folder / f"{config_hash(config)}.json"


def recall(config: Mapping[str, Any], kind: str = "shape") -> dict[str, Any] | None:
    """What was remembered; None where nothing was, or by another version of loratui (it is only a memory)."""
    try:
        kept = read_object(memory_path(config, kind))
    except OSError:
        return None
    return kept if kept.get("version") == VERSION else None


def remember(config: Mapping[str, Any], found: Mapping[str, Any], kind: str = "shape") -> Path:
    """Keep what was found, in one whole file; its path. Raises OSError."""
    path = memory_path(config, kind)
    make_folder(path.parent)
    write_whole(path, json.dumps({"version": VERSION, **found}) + "\n")
    return path


def spec_of(config: Mapping[str, Any], id: str = "") -> ModelSpec:
    """The shape of a model: by formula for a known family, as remembered for another, else a guess (`known` False).

    Raises ModelError where the config is no causal language model's.
    """
    try:
        spec = read_config(config, id)
    except ModelError:
        seen = _remembered(config, id)
        if seen is None:
            raise
        return seen
    if spec.known:
        return spec
    seen = _remembered(config, id)
    return spec if seen is None else replace(seen, stored_quantization=spec.stored_quantization)


def _remembered(config: Mapping[str, Any], id: str) -> ModelSpec | None:
    kept = recall(config)
    if kept is None or "spec" not in kept:
        return None
    try:
        return spec_from_json(kept["spec"], id)
    except (TypeError, KeyError, ValueError):
        return None


def refusal(config: Mapping[str, Any]) -> str:
    """Why the class could not be read by the libraries that are installed now, in a sentence; empty where it was not
    tried.
    """
    kept = recall(config)
    return str(kept.get("problem", "")) if kept is not None and kept.get("libraries") == libraries() else ""


def libraries() -> str:
    """The version whose classes a shape rests on."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"transformers {version('transformers')}"
    except PackageNotFoundError:
        return ""


def command() -> list[str]:
    """The worker's command line; it answers one question (`child_process.ask`): {"config": …}."""
    from loratui.child_process import worker_command  # with asyncio, which a plan of known models need not wait for

    return worker_command("shape", "-")


def learn(config: Mapping[str, Any], id: str = "") -> ModelSpec:
    """Have a worker read the real class, wait for it (seconds), and remember it. Raises ModelError in one sentence."""
    import asyncio

    return asyncio.run(learn_meanwhile(config, id))


async def learn_meanwhile(config: Mapping[str, Any], id: str = "") -> ModelSpec:
    """As `learn`, for an interface that goes on meanwhile; cancelled, it ends the worker."""
    import asyncio

    from loratui.child_process import Refused, ask

    called = "The worker that reads the model's class"
    try:
        found = await asyncio.wait_for(ask(command(), called, {"config": dict(config)}, "spec"), LIMIT_SECONDS)
        spec = spec_from_json(found, id)
    except Refused as refused:  # it answered; a worker that was killed said nothing about the model
        _keep(config, {"problem": refused.message})
        raise ModelError(refused.message, where="" if id in refused.message else id) from None
    except TimeoutError:
        raise ModelError(f"the model's class could not be read in {LIMIT_SECONDS:.0f} seconds.", where=id) from None
    except WorkerError as error:
        raise ModelError(f"the model's class could not be read: {error.message}", where=id) from None
    except (ValueError, KeyError, TypeError):
        raise ModelError("the worker's answer about this model could not be understood.", where=id) from None
    _keep(config, {"spec": found})
    return spec


def _keep(config: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a full disk costs a few seconds next time
        remember(config, {**found, "libraries": libraries()})


def spec_to_json(spec: ModelSpec) -> dict[str, Any]:
    """A shape as an object of JSON."""
    return asdict(spec)


def spec_from_json(kept: Mapping[str, Any], id: str = "") -> ModelSpec:
    """A shape from its object; TypeError or KeyError where it is of another form."""
    names = {field.name for field in fields(ModelSpec)}
    values = {name: value for name, value in kept.items() if name in names}
    linears = tuple(Linear(**linear) for linear in kept["linears"])
    ratios = tuple((str(kind), float(ratio)) for kind, ratio in kept.get("activation_ratios", ()))
    return ModelSpec(**{**values, "linears": linears, "activation_ratios": ratios, "id": id or str(kept.get("id", ""))})
