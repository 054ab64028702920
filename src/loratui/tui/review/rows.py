"""What the review says of a plan, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from loratui.format import count, number_text, one_line, size, value_text
from loratui.paths import home_short, runs_home, without_tilde
from loratui.tui.common.text import wrap
from loratui.tui.frame.headroom_bar import filled_words, memory_view
from loratui.tui.review.cards import VARIANTS, result_words, time_span, together_words
from loratui.tui.wizard.check import AGAIN
from loratui.tui.wizard.command import command_text
from loratui.tui.wizard.missing import Problem

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.core.proposal import Proposal
    from loratui.tui.wizard.state import WizardState


LABEL = 10


def said_rows(state: WizardState, hindrances: list[Problem]) -> list[Row]:
    """What a person should know before the start: what stands in the way, warnings, and what makes the plan fit."""
    lines = [Row("", one_line(problem.sentence, 300), glyph="✗", color="$error") for problem in hindrances]
    proposal = state.plan.proposal
    if proposal is None:
        return lines
    if not proposal.fits:
        for other in [other for other in proposal.alternatives if other.fits][:1]:
            change = ", ".join(
                f"{key} = {value_text(value)}" for key, value in other.change.items() if key not in other.held
            )
            told = f"makes it fit: {change}, the rest as it is. {one_line(other.cost, 200)}"
            lines.append(Row("", told, glyph="f", color="$accent"))
    filled = filled_words(memory_view(proposal))
    for warning in (words for words in (state.check.doubt, filled, *proposal.warnings) if words):
        lines.append(Row("", one_line(_advised_here(state, warning), 400), glyph="▲", color="$warning"))
    return lines


def _advised_here(state: WizardState, warning: str) -> str:
    """The warning with advice that works from this screen: a tokenizer is asked only where the model is."""
    from loratui.core.warnings import GUESSED_LENGTHS

    model = state.model.found
    if not warning.startswith(GUESSED_LENGTHS) or model is None:
        return warning
    if state.check.now.progress:
        return f"{GUESSED_LENGTHS}: the check on step 3, which makes them exact, is still at work."
    if model.path is not None:
        return f"{GUESSED_LENGTHS}. {AGAIN}"
    return (
        f"{GUESSED_LENGTHS}, since the model is not on this machine. Where it is, `loratui inspect` counts them; else "
        "the training does, before its first step."
    )


def to_be_copied(plan: Plan) -> list[str]:
    """Files and folders of this machine that a plan names, as it names them: they have to lie in the same places where
    it is trained.
    """
    parts = [part.path for part in plan.dataset.parts]
    named = (
        plan.dataset.path,
        *parts,
        plan.dataset.eval_path,
        plan.model.id,
        plan.model.chat_template,
        plan.lora.adapter,
    )
    return [path for path in dict.fromkeys(named) if path and path != "demo" and without_tilde(path).exists()]


def written_row(plan: Plan, path: Path, gpu: str) -> Row:
    """What is to be done with the plan of another machine's GPU."""
    command = f"loratui train {path.name}"
    others = to_be_copied(plan)
    short = [home_short(path) for path in others]
    paths = " and ".join([", ".join(short[:-1]), short[-1]] if len(short) > 1 else short)
    along = f", and {paths} to the same place{'s' if len(others) > 1 else ''} there" if others else ""
    told = f"{home_short(path)} is written. Copy it to the machine with the {gpu}{along}; then train there: {command}"
    return Row("", one_line(told, 600), glyph="✓", color="$success")


def plan_rows(state: WizardState) -> list[Row]:
    """The whole plan, line by line; nothing before there is one."""
    proposal = state.plan.proposal
    if proposal is None:
        return []
    plan, schedule, device = proposal.plan, proposal.schedule, proposal.device
    model, data = state.model.found, proposal.data
    share = proposal.parameters_trainable / proposal.parameters_total if proposal.parameters_total else 0.0
    where = "" if model is None or model.weights else " · its weights will be fetched from the hub first"
    name = f"{device.count} × {device.name}" if device.count > 1 else device.name
    learnt = (
        f"{count(proposal.parameters_trainable)} of {count(proposal.parameters_total)} parameters are trained "
        f"({share:.2%})"
    )
    exact = "" if data.exact else "about "
    training, together = plan.training, together_words(proposal)
    lines = [
        Row("model", f"{one_line(home_short(plan.model.id), 60)}{where}", "2"),
        Row("", learnt),
        Row(
            "dataset",
            (
                f"{one_line(home_short(plan.dataset.named), 60)} · {schedule.examples:,} rows · "
                f"{exact}{data.mean:,.0f} tokens each{'' if data.exact else ', guessed: step 3 checks'}"
            ),
            "3",
        ),
        Row(
            "machine",
            f"{one_line(name, 60)}{' (planned)' if device.simulated else ''}{f' · {together}' if together else ''}",
            "1",
        ),
        Row("method", _method_words(proposal), "4"),
        Row(
            "learning",
            (
                f"rate {number_text(training.learning_rate)}, {training.scheduler}, warm-up {schedule.warmup_steps:,} "
                f"steps · {training.optimizer}"
            ),
        ),
        Row(
            "steps",
            f"{schedule.total_steps:,} of {schedule.effective_batch_size:,} rows "
            f"({training.batch_size} × "
            f"{training.accumulation}{f' × {device.count} devices' if device.count > 1 else ''}) · "
            f"{schedule.steps_per_epoch:,} an epoch, {number_text(training.epochs)} "
            f"epoch{'' if training.epochs == 1 else 's'}",
        ),
        Row("time", _time_words(proposal)),
        Row("checks", _interval_words(proposal)),
        Row(
            "memory",
            (
                f"{size(proposal.memory.total_bytes)} at its peak{_sure(proposal)}. "
                f"{one_line(proposal.memory.peak_where, 160)}"
            ),
        ),
    ]
    parts = [f"{part} {size(value)}" for part, value in proposal.memory.parts.items() if value]
    lines.append(Row("", " · ".join(parts), color="$text-muted"))
    lines += [
        Row("written", f"{home_short(_run_folder(state))}"),
        Row(
            "",
            f"plan.toml, events.jsonl, worker.log, checkpoints/ (newest {plan.saving.keep}), "
            f"{'model/' if plan.method.kind == 'full' else 'adapter/'} ({result_words(proposal)})",
        ),
        Row("command", one_line(command_text(state.draft), 900)),
    ]
    return lines


@dataclass(frozen=True)
class Row:
    """One line of the review. glyph: instead of a label, with its colour. edit: the key that leads to where it is
    decided.
    """

    label: str
    text: str
    edit: str = ""
    color: str = "$foreground"
    glyph: str = ""

    def content(self, width: int) -> Content:
        """The line, its further lines indented below the text."""
        indent = 2 if self.glyph else LABEL
        lines = wrap(self.text, max(20, width - indent - (5 if self.edit else 0))) or [""]
        head = (f"{self.glyph} ", f"bold {self.color}") if self.glyph else (f"{self.label:<{LABEL}}", "$text-muted")
        shown = "$foreground" if self.glyph else self.color
        first = Content.assemble(head, (lines[0], shown))
        if self.edit:
            first = Content.assemble(
                first, " " * max(1, width - len(first) - len(self.edit)), (self.edit, "$footer-key-foreground")
            )
        return Content("\n").join([first, *(Content.assemble(" " * indent, (line, shown)) for line in lines[1:])])


def _method_words(proposal: Proposal) -> str:
    plan = proposal.plan
    if plan.method.kind == "full":
        return f"full fine-tuning, {plan.training.precision}"
    base = f" on a base in {plan.method.quantization}" if plan.method.kind == "qlora" else ""
    kind = VARIANTS[plan.lora.variant]
    targets = value_text(plan.lora.targets).replace("all-linear", "all linear layers")
    return (
        f"{kind}{base}, rank {plan.lora.r}, alpha {number_text(plan.lora.alpha)}, on {one_line(targets, 80)}, "
        f"{plan.training.precision}"
    )


def _sure(proposal: Proposal) -> str:
    """How sure the peak is, where runs here were measured."""
    return f" ({proposal.memory_basis})" if proposal.memory_basis else ""


def _time_words(proposal: Proposal) -> str:
    """How long the steps take, and what that rests on: runs here, or a wide span until one like it was measured."""
    span = time_span(proposal)
    return f"{span}, {proposal.time.counted}; {proposal.time.basis}" if proposal.time else "not known for this device"


def _interval_words(proposal: Proposal) -> str:
    plan, held = proposal.plan, proposal.data.eval_examples
    every = plan.evaluation.every_steps
    evaluation = f"evaluated every {every:,} steps on {held:,} rows" if every and held else "never evaluated"
    save = f"saved every {plan.saving.every_steps:,} steps" if plan.saving.every_steps else "saved at the end"
    device = proposal.device
    first = "rehearsed first · " if device.kind == "gpu" and not device.simulated else ""
    return f"{first}{evaluation} · {save}"


def _run_folder(state: WizardState) -> Path:
    from loratui.runs.start import run_name

    assert state.plan.proposal is not None
    return runs_home() / run_name(state.plan.proposal.plan)
