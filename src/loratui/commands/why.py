"""`loratui plan --why KEY`: the derivation of one value, with what the guides say about it, for a terminal without a
screen.
"""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from loratui.format import number_text, printable

if TYPE_CHECKING:
    from loratui.core.knowledge.table import Table
    from loratui.core.proposal import Proposal

GENERATION = "generation"
"""Asks for what the guides say about generating answers, which is no key of a plan."""
WORD = 15


def find_key(name: str) -> str:
    """The dotted key that a person means by it: `lora.r`, or its last part or its title where only one key has it.
    PlanError naming the nearest.
    """
    from loratui.core.plan_text import check_key, fields

    if name == GENERATION or name in fields():
        return name
    ending = [
        key for key, field in fields().items() if name.lower() in (key.rpartition(".")[2], str(field.title).lower())
    ]
    if len(ending) == 1:
        return ending[0]
    check_key(name, where="--why")
    return name


def why_json(key: str, proposal: Proposal) -> dict[str, Any]:
    """The derivation and the guides' tables as one object."""
    from loratui.core.knowledge.guides import tables_for
    from loratui.core.proposal_json import proposal_json

    facts: dict[str, Any] = {"key": key}
    if key != GENERATION:
        facts |= {
            "value": proposal.plan.get(key),
            "origin": proposal.origins[key],
            "recommendation": proposal_json(proposal)["recommendations"].get(key),
        }
    facts["guides"] = [
        {
            "title": one.title,
            "columns": one.columns,
            "rows": one.rows,
            "source": one.source,
            "evidence": one.evidence,
            "row_here": proposal.row_here(one),
        }
        for one in tables_for(key)
    ]
    return facts


def why_text(key: str, proposal: Proposal, width: int = 0) -> str:
    """The derivation and the guides' tables in words, `width` columns wide (0: the terminal's)."""
    from loratui.core.knowledge.guides import tables_for
    from loratui.core.plan_text import allowed, fields
    from loratui.core.situation import supposed_words

    width = width or max(60, shutil.get_terminal_size((100, 24)).columns)
    lines: list[str] = []
    if key != GENERATION:
        field, reason = fields()[key], proposal.recommendations.get(key)
        lines += [f"{field.title} ({key})", *_wrapped("", f"{field.description} Takes {allowed(key)}.", width)]
        pairs = [("now", f"{shown(proposal.plan.get(key))}  ({proposal.origins[key]})")]
        if reason is not None:
            rule_of_thumb = "" if reason.rule_of_thumb is None else shown(reason.rule_of_thumb)
            instead = proposal.instead(key)
            pairs += [
                ("proposed", shown(reason.value) + (f"  ({instead.cost})" if instead else "")),
                ("because", reason.why),
                ("formula", reason.formula),
                ("source", reason.source),
                ("rule of thumb", rule_of_thumb),
                ("up", reason.up),
                ("down", reason.down),
                ("disagreement", reason.disagreement),
            ]
        if proposal.data.supposed:
            pairs.append(("rows", f"{supposed_words(proposal.data)}: no dataset is chosen"))
        lines += [line for word, text in pairs if text for line in _wrapped(word, text, width)]
    for one in tables_for(key):
        lines += ["", *_guide(one, proposal.row_here(one), width)]
    return "\n".join(lines).strip("\n")


def shown(value: Any) -> str:
    """A value of a plan on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items()) or "none"
    return str(value) or "none"


def _guide(one: Table, here: int | None, width: int) -> list[str]:
    from loratui.core.knowledge.table import laid_out

    aligned = [
        f"{'▸' if number - 1 == here and not place else '':<3}{text}".rstrip()
        for number, texts in enumerate(laid_out((one.columns, *one.rows), width - 3))
        for place, text in enumerate(texts)
    ]
    evidence = _wrapped("", f"evidence: {one.evidence}", width, 3) if one.evidence else []
    return [f"The guides: {one.title}", *aligned, *_wrapped("", f"from: {one.source}", width, 3), *evidence]


def _wrapped(word: str, text: str, width: int, margin: int = WORD) -> list[str]:
    margin = margin if word or margin != WORD else 0
    lines = textwrap.wrap(printable(text), max(20, width - margin)) or [""]
    return [f"{word:<{margin}}{lines[0]}", *(" " * margin + line for line in lines[1:])]
