"""The plan as four cards, to be read in five seconds: what learns, from what, how, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.widgets import Static

from loratui.format import count, duration_span, number_text, one_line, size, value_text
from loratui.paths import home_short
from loratui.tui.frame.headroom_bar import memory_view, verdict
from loratui.tui.wizard.mixing import dataset_named

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal
    from loratui.tui.app import LoratuiApp
    from loratui.tui.wizard.state import WizardState

VARIANTS = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA"}


@dataclass(frozen=True)
class Card:
    """One question of the plan and its answer. lines: in the order in which they count, with their theme colours."""

    title: str
    step: str
    """Where it is decided."""
    number: int
    """The step's number: its key."""
    answer: str
    lines: tuple[tuple[str, str], ...] = ()


def cards(state: WizardState) -> list[Card]:
    """The four cards; where nothing follows yet, what was chosen so far."""
    draft, proposal = state.draft, state.plan.proposal
    if proposal is None:
        return [
            Card("what learns", "model", 2, _last_name(draft.model) or "no model yet"),
            Card("from what", "dataset", 3, _last_name(dataset_named(draft)) or "no dataset yet"),
            Card("how", "recipe", 4, "not known yet"),
            Card("on what", "machine", 1, one_line(draft.gpu, 60) or ("the CPU" if draft.cpu else "looking …")),
        ]
    return [_learns(state, proposal), _from(proposal), _how(proposal), _on(proposal)]


def _last_name(path: str) -> str:
    return one_line(PurePath(path).name or path, 60)


def _plain(*lines: str) -> tuple[tuple[str, str], ...]:
    return tuple((line, "$text-muted") for line in lines if line)


def _learns(state: WizardState, proposal: Proposal) -> Card:
    plan, model = proposal.plan, state.model.found
    trained, total = proposal.parameters_trainable, proposal.parameters_total
    share = trained / total if total else 0.0
    missing = model is not None and not model.weights
    folder = model.path if model is not None and model.kind == "folder" else None
    where = one_line(home_short(str(folder.absolute()) if folder is not None else plan.model.id), 60)
    return Card(
        "what learns",
        "model",
        2,
        _last_name(plan.model.id),
        _plain(
            f"goes on from {_adapter_name(plan.lora.adapter)}" if plan.lora.adapter else "",
            f"{count(trained)} of {count(total)} learn ({share:.1%})",
            f"gives {result_words(proposal)}",
            ("its folder holds no weights" if folder is not None else "weights come from the hub first")
            if missing
            else "",
            where if where != _last_name(plan.model.id) else "",
        ),
    )


def _adapter_name(path: str) -> str:
    """The run that an adapter is the result of, or the checkpoint's; else its folder."""
    place = PurePath(path)
    if place.name == "adapter":
        return one_line(place.parent.name, 60)
    if place.parent.name == "checkpoints":
        return one_line(f"{place.name} of {place.parent.parent.name}", 60)
    return _last_name(path)


def result_words(proposal: Proposal) -> str:
    """What is made, with the size of its file."""
    from loratui.core.storage import disk_need

    what = "a model" if proposal.plan.method.kind == "full" else "an adapter"
    return f"{what} of {size(disk_need(proposal.spec, proposal.plan).result_bytes)}"


def _from(proposal: Proposal) -> Card:
    plan, data = proposal.plan, proposal.data
    exact = "" if data.exact else "about "
    held = data.eval_examples
    cut = f"packed to {plan.training.max_length:,} tokens" if plan.training.packing else ""
    longer = data.longest > plan.training.max_length
    longest = f"longest {data.longest:,}" if data.exact else f"guessed, longest {data.longest:,}: 3 checks"
    cut = cut or (f"▲ cut at {plan.training.max_length:,} tokens" if longer else longest)
    where = one_line(home_short(plan.dataset.named), 60)
    return Card(
        "from what",
        "dataset",
        3,
        _last_name(plan.dataset.named),
        (
            *_plain(
                f"{_rows(proposal.schedule.examples)}, {exact}{data.mean:,.0f} tokens each",
                f"{held:,} more held out" if held else "none held out",
            ),
            (cut, "$warning" if longer and not plan.training.packing else "$text-muted"),
            *_plain(where if where != _last_name(plan.dataset.named) else ""),
        ),
    )


def _rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


def _how(proposal: Proposal) -> Card:
    plan, schedule = proposal.plan, proposal.schedule
    training = plan.training
    quantized = f", {plan.method.quantization.upper()}" if plan.method.kind == "qlora" else ""
    answer = (
        "full fine-tuning"
        if plan.method.kind == "full"
        else f"{'Q' if quantized else ''}{VARIANTS[plan.lora.variant]}, rank {plan.lora.r}{quantized}"
    )
    if training.objective != "sft":
        answer = f"{training.objective.upper()}, {answer}"
    targets = value_text(plan.lora.targets).replace("all-linear", "all linear layers")
    epochs = f"{number_text(training.epochs)} epoch{'' if training.epochs == 1 else 's'}"
    length = f"of {training.max_steps:,} at most" if training.max_steps else epochs
    return Card(
        "how",
        "recipe",
        4,
        answer,
        _plain(
            f"rate {number_text(training.learning_rate)}, {training.scheduler}, warm-up {schedule.warmup_steps:,}",
            f"{schedule.total_steps:,} steps of {_rows(schedule.effective_batch_size)}, {length}",
            f"alpha {number_text(plan.lora.alpha)}, {one_line(targets, 60)}" if plan.method.kind != "full" else "",
            f"{training.optimizer}, {training.precision}",
        ),
    )


def _on(proposal: Proposal) -> Card:
    device, training = proposal.device, proposal.plan.training
    name = f"{device.count} × {device.name}" if device.count > 1 else device.name
    view = memory_view(proposal)
    words, color = verdict(view)
    took = time_span(proposal)
    recomputed = f"checkpointing {'on' if training.checkpointing else 'off'}"
    rehearsed = device.kind == "gpu" and not device.simulated
    return Card(
        "on what",
        "machine",
        1,
        f"{one_line(name, 60)}{' (planned)' if device.simulated else ''}",
        (
            (words, color),
            *_plain(
                f"takes {took}" if took else "time not known here",
                together_words(proposal),
                f"grad. {recomputed}, rehearsed" if rehearsed else f"gradient {recomputed}",
            ),
        ),
    )


def time_span(proposal: Proposal) -> str:
    """How long it takes: `8 s to 41 s`; empty where that is not known."""
    if proposal.time is None:
        return ""
    return duration_span(*proposal.time.whole_seconds)


def together_words(proposal: Proposal) -> str:
    """How several devices work together; empty for one."""
    if proposal.device.count < 2:
        return ""
    if proposal.plan.hardware.parallelism == "hybrid":
        return "each node holds a copy, each of its GPUs a share (FSDP2)"
    if proposal.plan.hardware.parallelism == "fsdp":
        return "each holds a share of the weights (FSDP2)"
    return "each holds a whole copy (DDP)"


class CardView(Static):
    """One card; a click goes where it is decided."""

    app: LoratuiApp

    def __init__(self, number: int) -> None:
        super().__init__(id=f"card-{number}", classes="box review-card")
        self._card: Card | None = None

    def show(self, card: Card) -> None:
        """Take another card; nothing is painted where it is the same."""
        if card == self._card:
            return
        self._card = card
        self.border_title = Content(card.title)
        self.border_subtitle = Content(f"{card.number} {card.step}")
        self.update(
            Content("\n").join(
                [Content(card.answer).stylize("bold"), *(Content(text).stylize(color) for text, color in card.lines)]
            )
        )

    def on_click(self, event: events.Click) -> None:
        """Go where it is decided."""
        if self._card is not None:
            self.app.open_step(self._card.step)
