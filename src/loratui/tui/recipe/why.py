"""What the recipe says of the field under the cursor: its reason, and what its neighbouring values would move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.content import Content

from loratui.core.plan_text import fields
from loratui.format import lowered, one_line, signed_size
from loratui.tui.common.text import wrap
from loratui.tui.wizard.change import move_words, value_words
from loratui.tui.wizard.fields import kind_of, neighbours, unit_of

if TYPE_CHECKING:
    from loratui.core.moves import Moves
    from loratui.core.proposal import Proposal
    from loratui.tui.wizard.plan import ProposedPlan
    from loratui.tui.wizard.state import WizardState

EXPLAINING = ("method.kind", "training.checkpointing", "training.batch_size", "training.accumulation")
"""Keys that explain why the memory of a neighbouring value is what it is."""
MARGIN = 15
"""Columns of the word beside each text of a derivation."""
WORD = 9
"""Columns of the word beside each line."""


def proposed_words(proposal: Proposal, key: str) -> str:
    """What the calculation would take for a key, where that is another value than the plan's; else an empty text."""
    reason = proposal.recommendations.get(key)
    return "" if reason is None or reason.value == proposal.plan.get(key) else value_words(key, reason.value)


def rule_words(key: str, value: Any, proposed: Any = None) -> str:
    """What the widespread guides' rule of thumb says of a key, in a sentence; empty where they have none.

    proposed: of a learning rate, which one to go by is told, and why.
    """
    if value is None:
        return ""
    unit = unit_of(key, value)
    if key == "training.learning_rate" and proposed is not None and proposed != value:
        return (
            f"Go by {value_words(key, proposed)}: it follows this model and batch; the guides under F1 say "
            f"{value_words(key, value)} for all models."
        )
    return f"The guides' rule of thumb says {value_words(key, value)}{f' {unit}' if unit else ''}."


def direction_words(key: str) -> tuple[str, str]:
    """What stands before a reason's `up` and `down`: of choices, which have no order, that it is another one."""
    return ("or", "or") if kind_of(key) in ("choice", "flag") else ("higher", "lower")


def price_words(plan: ProposedPlan, key: str) -> str:
    """What the next values of a field, and the proposed one, do to the memory, and what else they would move that
    explains it.
    """
    proposal = plan.proposal
    if proposal is None:
        return ""
    values = neighbours(key, proposal.plan.get(key))
    found = [(value_words(key, value), moved) for value in values if (moved := plan.moves_if(key, value)) is not None]
    instead = proposal.instead(key)
    if found and instead is not None and instead.proposed not in values:
        from loratui.core.moves import moves

        found.append((value_words(key, instead.proposed), moves(proposal, proposal.freed[key], [key])))
    if not found:
        return ""
    if not any(moved.memory_bytes for _, moved in found):
        every = kind_of(key) in ("choice", "flag")
        *names, last = (name for name, _ in found)
        some = f"{', '.join(names)} and {last}" if names else last
        return "the same, whatever the value" if every else f"the same at {some}"
    return " · ".join(f"{name}: {_price(moved)}" for name, moved in found)


def _price(moved: Moves) -> str:
    if not moved.memory_bytes:
        return "the same"
    told = [lowered(move_words(move)) for move in moved.also if move.key in EXPLAINING]
    return signed_size(moved.memory_bytes) + (f" ({', '.join(told)})" if told else "")


def short_lines(proposal: Proposal, key: str, prices: str, width: int) -> list[Content]:
    """What stands above the derivation where that is shown, too: the field, and what its next values do to memory."""
    lines = [Content(str(fields()[key].title)).stylize("bold $accent")]
    if prices:
        first, *more = wrap(one_line(prices, 400), max(20, width - MARGIN))
        lines.append(
            Content("\n").join(
                [
                    Content.assemble((f"{'memory':<{MARGIN}}", "$text-muted"), first),
                    *(Content(" " * MARGIN + line) for line in more),
                ]
            )
        )
    return lines


def why_lines(proposal: Proposal, key: str, prices: str, width: int, height: int) -> list[Content]:
    """What the field is, the reason of its value and of the one that would be proposed, and what moves it: as much of
    it, in whole sentences, as fits into so many lines.
    """
    field, reason = fields()[key], proposal.recommendations.get(key)
    lines = [Content.assemble((f"{field.title}  ", "bold"), (one_line(str(field.description), 300), "$foreground"))]
    pairs = [("memory", prices)]
    if reason is not None:
        proposed = proposed_words(proposal, key)
        rule = f" {said}" if (said := rule_words(key, reason.rule_of_thumb, reason.value)) else ""
        instead = proposal.instead(key)
        price = f" ({instead.cost})" if instead else ""
        before = f"Proposed: {proposed}{price}. " if proposed else ""
        lines.append(Content(f"{before}{one_line(reason.why, 300)}{rule}").stylize("$text-muted"))
        higher, lower = direction_words(key)
        pairs += [(higher, reason.up), (lower, reason.down), ("formula", reason.formula)]
    for word, text in pairs:
        if text:
            first, *more = wrap(one_line(text, 400), max(20, width - WORD))
            lines.append(Content.assemble((f"{word:<{WORD - 1}} ", "bold $text-muted"), (first, "$text-muted")))
            lines += [Content(" " * WORD + line).stylize("$text-muted") for line in more]
    lines.append(Content("F1 tells the source, and what the sources disagree about.").stylize("$text-muted"))
    shown: list[Content] = []
    used = 0
    for entry in _entries(lines):
        used += sum(len(wrap(line.plain, width)) for line in entry)
        if used > height and shown:
            if len(shown[-1]) + 2 <= width:  # so that nobody takes it for all
                shown[-1] = Content.assemble(shown[-1], (" …", "$text-muted"))
            break
        shown += entry
    return shown


def _entries(lines: list[Content]) -> list[list[Content]]:
    """The lines, those that go on with one above together with it."""
    found: list[list[Content]] = []
    for line in lines:
        if found and not line.plain[:WORD].strip():
            found[-1].append(line)
        else:
            found.append([line])
    return found


def nothing_yet(state: WizardState) -> Content:
    """What stands where no plan can be proposed: why, and the key that helps."""
    if state.plan.proposal is not None or (state.draft.model and not state.model.problem):
        return Content("")
    return Content.assemble(
        ("No recipe yet.\n\n", "$foreground"),
        ("  2", "bold $footer-key-foreground"),
        ("   chooses a model: every value follows from it, the data and the machine", "$text-muted"),
    )
