"""A plan that a person names: a file, which may leave keys out, or a run's directory, whose plan is whole."""

from __future__ import annotations

from pathlib import Path

from loratui.core.errors import InputError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_from_toml
from loratui.files import read_document
from loratui.runs.directory import Run


def read_plan(path: Path) -> Plan:
    """The plan. InputError where it cannot be read, PlanError where it is broken, RunError of a run."""
    if path.is_dir():
        return Run(path).plan()
    try:
        text = read_document(path)
    except OSError as error:
        raise InputError(
            f"the plan cannot be read: {error.strerror or error}.",
            where=str(path),
            hint="Write one with `loratui plan -m MODEL -d DATASET -o plan.toml`.",
        ) from None
    return plan_from_toml(text, where=str(path))
