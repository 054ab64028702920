"""The recipe's lines: what each field of the plan shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loratui.core.plan_text import fields
from loratui.tui.recipe.field_row import FieldRow
from loratui.tui.recipe.why import proposed_words
from loratui.tui.wizard.fields import choices_of, kind_of, shown_keys, unit_of
from loratui.tui.wizard.settings import shown_words, value_and_unit

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal
    from loratui.tui.wizard.change import Change


def keys_of(proposal: Proposal, everything: bool) -> list[tuple[str, tuple[str, ...]]]:
    """Groups with the keys that mean something for a proposal; only the everyday ones unless `everything`."""
    plan = proposal.plan
    own = [key for key, origin in proposal.origins.items() if origin in ("mine", "held")]
    return shown_keys(
        plan.method.kind, everything, proposal.device.count, plan.cluster.engine, plan.training.objective, own
    )


def field_rows(
    proposal: Proposal,
    change: Change | None,
    everything: bool,
    kept: Mapping[str, FieldRow],
    varied: Mapping[str, str],
) -> list[FieldRow]:
    """The lines of the list. everything: all fields, under headings, instead of the everyday ones. varied: values that
    are to be tried, by key.

    kept: lines of which fixed values keep their reasons, by key: each of those takes a proposal without that value.
    """
    known, costly = fields(), set(proposal.freed)
    was = change.was if change is not None else {}
    rows: list[FieldRow] = []
    plan = proposal.plan
    for group, keys in keys_of(proposal, everything):
        if everything:
            rows.append(FieldRow("", group))
        for key in keys:
            before, value = kept.get(key) if key in costly else None, plan.get(key)
            shown = shown_words(key, value)
            rows.append(
                FieldRow(
                    key,
                    str(known[key].title),
                    value,
                    "" if shown else unit_of(key, value),
                    proposal.origins.get(key, ""),
                    before.why if before else proposal.why(key) or str(known[key].description),
                    kind_of(key),
                    shown,
                    before.proposed if before else proposed_words(proposal, key),
                    was.get(key, ""),
                    _choices(key),
                    varied.get(key, ""),
                )
            )
    return rows


def _choices(key: str) -> tuple[tuple[Any, str], ...]:
    """What a choice or a flag can be, in the words of its line; nothing for what is typed."""
    if kind_of(key) not in ("choice", "flag"):
        return ()
    return tuple((choice, value_and_unit(key, choice)[0]) for choice in choices_of(key))
