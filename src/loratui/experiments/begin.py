"""Making an experiment: its directory, whole or not at all."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from loratui.core.errors import InputError, RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml
from loratui.experiments.directory import Experiment, Trial
from loratui.files import make_folder, write_whole
from loratui.paths import experiments_home
from loratui.runs.start import run_name, with_absolute_paths


def experiment_name(
    plan: Plan, vary: Mapping[str, Sequence[Any]], seeds: Sequence[int], asked: Sequence[int | None]
) -> str:
    """The same for the same question, so that who asks it again goes on with what is there. asked: what else was."""
    varied = {key: list(values) for key, values in vary.items()}
    question = [plan_to_toml(with_absolute_paths(plan)), varied, list(seeds), list(asked)]
    digest = sha256(json.dumps(question, default=str).encode()).hexdigest()[:6]
    return f"{run_name(plan, 0.0).rsplit('-', 2)[0]}-try-{digest}"


def require_name(name: str) -> str:
    """The name. InputError where no experiment may have it."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        hint = "Use letters, digits, dots, dashes and underscores."
        raise InputError(f"{name!r} is no name for an experiment.", where="--name", hint=hint)
    return name


def begin(
    name: str,
    plan: Plan,
    vary: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    trials: Sequence[Trial],
    asked: Sequence[int | None] = (),
) -> Experiment:
    """Write a new experiment; nothing of it goes on yet. asked: what was asked of it besides. RunError where it cannot
    be written.
    """
    made = Experiment(experiments_home() / name)
    fresh = made.path.with_name(f".{name}.{secrets.token_hex(4)}")
    facts = {
        "version": 1,
        "created": round(time.time(), 3),
        "vary": {key: list(values) for key, values in vary.items()},
        "seeds": list(seeds),
        "asked": list(asked),
    }
    try:
        make_folder(fresh)
        write_whole(fresh / "plan.toml", plan_to_toml(with_absolute_paths(plan)), durable=True)
        write_whole(fresh / "experiment.json", json.dumps(facts, indent=1) + "\n", durable=True)
        Experiment(fresh).write(trials)
        fresh.rename(made.path)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise RunError(f"the experiment cannot be written: {error.strerror or error}.", where=str(made.path)) from None
    return made


def document(experiment: Experiment) -> dict[str, Any]:
    """Everything that its files say."""
    return {
        "name": experiment.name,
        "path": str(experiment.path),
        "open": experiment.is_open,
        **{key: value for key, value in experiment.facts().items() if key != "version"},
        "trials": [asdict(one) for one in experiment.trials()],
    }
