"""A plan as other tools' files: text, companion files, and a list of what did not carry over. Pure functions of the
plan.
"""

from __future__ import annotations

from collections.abc import Callable

from loratui.core.errors import InputError
from loratui.core.near import near
from loratui.core.plan import Plan
from loratui.export.axolotl import to_axolotl
from loratui.export.document import Export, Rows
from loratui.export.llama_factory import to_llama_factory
from loratui.export.memory import Elsewhere
from loratui.export.preferences import kind_for, why_not
from loratui.export.scripts import to_transformers, to_unsloth
from loratui.export.skypilot import to_skypilot
from loratui.export.trl import to_trl
from loratui.export.trl_script import to_trl_script

__all__ = ["OURS", "TOOLS", "Export", "ExportError", "Rows", "export_plan"]

TOOLS: dict[str, Callable[[Plan, Rows, str, Elsewhere | None], Export]] = {
    "axolotl": to_axolotl,
    "llama-factory": to_llama_factory,
    "trl": to_trl,
    "unsloth": to_unsloth,
    "transformers": to_transformers,
    "skypilot": to_skypilot,
}
PREFERRING: dict[str, Callable[[Plan, Rows, str, Elsewhere | None], Export]] = {
    "axolotl": to_axolotl,
    "llama-factory": to_llama_factory,
    "trl": to_trl_script,
    "skypilot": to_skypilot,
}
"""The same for plans that learn preferences."""
OURS = frozenset({"skypilot"})
"""Of these, where this program itself trains: rows are mounted as they lie, and the memory is the plan's own."""


class ExportError(InputError):
    """A plan cannot be given to a tool."""

    code = "export"


def export_plan(
    plan: Plan, tool: str, rows: Rows | None = None, *, output: str = "output", memory: Elsewhere | None = None
) -> Export:
    """The plan as a file of `tool`.

    rows: where the plan's rows lie as JSON lines (`loratui export` writes them); output: folder for the tool's results.
    memory: what it takes there (`export.memory.elsewhere`): said in the file, and mended by it.
    Raises ExportError for a tool that is not known, and where it cannot learn what the plan learns.
    """
    if tool not in TOOLS:
        meant = near(tool, TOOLS)
        hint = f"Did you mean {meant[0]}?" if meant else ""
        raise ExportError(
            f"there is no tool {tool!r}.", where="--to", hint=f"{hint} Tools are: {', '.join(TOOLS)}.".strip()
        )
    objective = plan.training.objective
    if objective == "sft":
        return TOOLS[tool](plan, rows or Rows("data"), output, memory)
    if tool not in PREFERRING:
        raise ExportError(
            f"plans that learn preferences (training.objective = {objective}) are not exported to {tool}.",
            where=f"--to {tool}",
            hint=f"Tools for them are: {', '.join(PREFERRING)}.",
        )
    if reason := why_not(plan, tool):
        raise ExportError(reason, where=f"--to {tool}", hint=f"Tools are: {', '.join(PREFERRING)}.")
    return PREFERRING[tool](plan, rows or Rows("data", kind_for(objective, tool)), output, memory)
