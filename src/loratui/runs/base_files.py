"""The files of a run's base model: what they were when it was trained, and which of them are others now.

A file is the same where its size and time of change are, or what was sampled of it: a copied folder is no other model.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.preferences import has_reference
from loratui.files import open_regular, read_object, read_safetensors_header
from loratui.models.find import find_model
from loratui.models.folder import weight_names
from loratui.paths import without_tilde
from loratui.runs.directory import Run
from loratui.runs.listing import list_runs

CONFIG = "config.json"
UNREAD = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")
"""Parts of a config that change nothing of what a model computes; the weights themselves say their number format."""
WHOLE_BYTES = 64 << 20
"""Up to this size a file is read whole: a tenth of a second at most."""
SAMPLED_TENSORS, SAMPLED_BYTES = 2048, 1024
"""Of larger ones a kibibyte from the middle of each tensor: any merge changes some tensors in every element, and leaves
others, often the first and the last of a file, as they were. The tensors are spread over the model's files."""
HEADER_LIMIT_BYTES = 1 << 28

Files = dict[str, dict[str, Any]]
"""By name: size (bytes), modified_ns (since 1970), and sample (a digest; empty where the file could not be read)."""


def base_files(plan: Plan, known: object = None) -> Files:
    """The files that a plan's base consists of, as they are now. Empty where they are not on this machine, and where
    nothing of the base is left in what was learnt (full training without a reference).

    known: the files as they were, of which those of the same size and time are not read again.
    """
    if plan.method.kind == "full" and not has_reference(plan):
        return {}
    try:
        folder = find_model(plan.model.id, revision=plan.model.revision, online=False).path
        if folder is None:
            return {}
        weights = weight_names(folder, {item.name for item in folder.iterdir()})
    except (LoratuiError, OSError):
        return {}
    before, found = _read(known), {}
    for name in (CONFIG, *weights) if weights else ():
        path = folder / name
        try:
            facts = path.stat()
        except OSError:
            continue
        size, modified_ns = facts.st_size, facts.st_mtime_ns
        old = before.get(name, {})
        same = (old.get("size"), old.get("modified_ns")) == (size, modified_ns)
        tensors = max(1, SAMPLED_TENSORS // len(weights))
        sample = str(old["sample"]) if same else _sample(path, size, modified_ns, tensors)
        found[name] = {"size": size, "modified_ns": modified_ns, "sample": sample}
    return found


def changed_files(before: object, now: object) -> list[str]:
    """Names of the files that are not what they were, are gone, or are new; none where either is not known."""
    old, new = _read(before), _read(now)
    if not old or not new:
        return []
    return sorted(name for name in old.keys() | new.keys() if not _alike(old.get(name, {}), new.get(name, {})))


def base_changed(run: Run, plan: Plan) -> str:
    """One sentence or two where the base of a run's adapter is not what it was in the training; "" where it is, or
    where nobody can tell: an older run, or a base that is not here.
    """
    try:
        then = run.fingerprint()
    except LoratuiError:  # said where the run is resumed
        return ""
    trained = then.get("plan", {})
    if not then.get("base") or any(trained.get(key) != plan.get(key) for key in ("model.id", "model.revision")):
        return ""
    now = base_files(plan, then["base"])
    changed = changed_files(then["base"], now)
    if not changed:
        return ""
    return (
        f"Its base model's files are not those of its training: {_how(changed, _read(then['base']), now)}. "
        "What it learnt fits the files of then alone: put them back, or train it anew on these."
    )


def stands_on(folder: Path) -> str:
    """One sentence that names the runs whose adapters were trained on the model in this folder; "" where there are
    none. Reads the list of runs: for a thread.
    """
    place = os.path.realpath(folder)
    adapters = (one for one in list_runs() if one.plan is not None and one.plan.method.kind != "full")
    names = [one.run.name for one in adapters if one.plan and _place(one.plan) == place]
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"The run {names[0]}{more} {'was' if len(names) == 1 else 'were'} trained on it: what was learnt there fits "
        "this folder as it is, and may answer nonsense on another."
    )


def _place(plan: Plan) -> str:
    return os.path.realpath(without_tilde(plan.model.id))


def _how(changed: list[str], before: Files, now: Files) -> str:
    """Which files are others, and since when."""
    there = [name for name in changed if name in now]
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    if not there:
        return f"{changed[0]}{more} {'are' if more else 'is'} gone"
    written = max(now[name]["modified_ns"] for name in there)
    verb = "were" if more else "was"
    if written <= max(one["modified_ns"] for one in before.values()):
        return f"{there[0]}{more} {verb} put in the place of another"
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(written / 1e9))
    return f"{there[0]}{more} {verb} written on {at}"


def _alike(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    times = [(one.get("size"), one.get("modified_ns")) for one in (old, new)]
    return bool(old and new) and (times[0] == times[1] or old["sample"] == new["sample"] != "")


def _read(said: object) -> Files:
    """What was written down, as far as it has this form; empty where it has not."""
    kinds = {"size": int, "modified_ns": int, "sample": str}
    if not isinstance(said, dict) or not all(isinstance(one, dict) for one in said.values()):
        return {}
    whole = all(isinstance(one.get(key), kind) for one in said.values() for key, kind in kinds.items())
    return said if whole else {}


@lru_cache(maxsize=4096)
def _sample(path: Path, size: int, modified_ns: int, tensors: int) -> str:
    """A digest of what a file holds; empty where it cannot be read. size, modified_ns: for which state it counts."""
    try:
        if path.name == CONFIG:
            held = {key: value for key, value in read_object(path).items() if key not in UNREAD}
            return sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()
        if size <= WHOLE_BYTES:
            with open_regular(path) as file:
                return sha256(file.read()).hexdigest()
        return _of_tensors(path, tensors)
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _of_tensors(path: Path, most: int) -> str:
    """A digest of a file's tensors by name, form and place, and of bytes from the middle of some of them."""
    header, begin = read_safetensors_header(path, limit_bytes=HEADER_LIMIT_BYTES)
    digest = sha256(json.dumps(header, sort_keys=True).encode())
    chosen = sorted(header, key=lambda name: sha256(name.encode()).digest())[:most]  # no layer's kind is left out
    with open_regular(path) as file:
        for name in chosen:
            first, end = header[name]["data_offsets"]
            file.seek(begin + max(first, (first + end - SAMPLED_BYTES) // 2))
            digest.update(file.read(min(SAMPLED_BYTES, end - first)))
    return digest.hexdigest()
