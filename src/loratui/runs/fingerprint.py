"""What a run was trained on and with, and what would differ if it were resumed now."""

from __future__ import annotations

import platform
from collections.abc import Collection
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from loratui import __version__
from loratui.core.errors import LoratuiError
from loratui.core.mix import sections_of
from loratui.core.parts_text import PARTS
from loratui.core.plan import Plan
from loratui.core.plan_text import fields
from loratui.runs.base_files import base_files, changed_files
from loratui.runs.directory import Run

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "bitsandbytes",
    "datasets",
    "tokenizers",
    "safetensors",
)
HARMLESS = ("evaluation.prompts", "saving.every_steps", "saving.keep", "hardware.gpu")
"""Plan keys that may change without changing what is learnt."""


def versions() -> dict[str, str]:
    """Versions of what trains, as installed; nothing is imported."""
    found = {"loratui": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def plan_values(plan: Plan) -> dict[str, Any]:
    """Every dotted key of a plan with its value, as JSON has it."""
    sections = plan.model_dump(mode="json", exclude={"version"})
    return {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}


def trained_values(document: dict[str, Any]) -> dict[str, Any]:
    """The plan's values of a fingerprint, by key, as far as plans have such keys; empty where it holds none."""
    known = {key: value for key, value in document.get("plan", {}).items() if key in fields()}
    return {PARTS: [], **known} if known else {}  # a dataset that is no mix has no such key there


def files_print(plan: Plan) -> str:
    """Changes when a file of the plan's dataset does: names, sizes and times. Empty where it cannot be found now."""
    from loratui.data.find import find_planned

    try:
        found = [find_planned(section).fingerprint for section in sections_of(plan.dataset)]
    except LoratuiError:
        return ""
    return found[0] if len(found) == 1 else sha256("\n".join(found).encode()).hexdigest()


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two fingerprints, a few words each. Parts that either does not have are not compared."""
    found: list[str] = []
    old, new = before.get("plan", {}), now.get("plan", {})
    found += [
        f"{key} was {old[key]!r} and is {new[key]!r}"
        for key in sorted(old.keys() & new.keys())
        if old[key] != new[key] and key not in HARMLESS and not key.startswith("cluster.")
    ]
    old, new = before.get("data", {}), now.get("data", {})
    alike = old.get("digest") == new.get("digest")
    for part, words in (("train", "the training rows changed"), ("held_out", "the held-out rows changed")):
        if alike and part in old and part in new and old[part] != new[part]:
            found.append(words)
    if not (alike and "train" in new) and old.get("files") and new.get("files") and old["files"] != new["files"]:
        found.append("the dataset's files changed")
    if before.get("model") and now.get("model") and before["model"] != now["model"]:
        found.append("the base model changed")
    plans = before.get("plan", {}), now.get("plan", {})
    same_base = all(plans[0].get(key) == plans[1].get(key) for key in ("model.id", "model.revision"))
    if same_base and changed_files(before.get("base"), now.get("base")):
        found.append("the base model's files changed")
    old, new = before.get("versions", {}), now.get("versions", {})
    found += [
        f"{name} was {old[name]} and is {new[name]}"
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    ]
    return found


def what_would_differ(run: Run, plan: Plan | None = None, asked: Collection[str] = ()) -> list[str]:
    """What would make this run, resumed now, differ from an uninterrupted one; empty when nothing is seen to.

    plan: the one that it would go on by, where that is not plan.toml's. asked: keys that somebody has just set, which
    nobody need be told of.
    """
    plan = plan or run.plan()
    before, values = run.fingerprint(), plan_values(plan)
    then = before.get("plan", {})
    other = {key for key in asked if key in then and then[key] != values.get(key)}
    files = "" if any(key.startswith("dataset.") for key in other) else files_print(plan)
    now = {key: value for key, value in values.items() if key not in other}
    base = base_files(plan, before["base"]) if before.get("base") else {}
    return differences(before, {"plan": now, "data": {"files": files}, "base": base, "versions": versions()})
