"""One thing to train on, as a card: a GPU with its live figures, the CPU, or a GPU that is not here."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.widgets import Static

from loratui.format import count, in_gib, one_line
from loratui.tui.common.meter import meter

if TYPE_CHECKING:
    from loratui.cluster.facts import GpuKind, Partition
    from loratui.core.hardware import Device, Gpu, GpuProcess, Host


@dataclass(frozen=True)
class CardFacts:
    """What a card shows. used, total: bytes of the bar (0: no bar)."""

    key: str
    """`gpu:0`, `slurm:PARTITION:TYPE`, `cpu` or `other`."""
    title: str
    details: str = ""
    """Right end of the title line."""
    used_bytes: int = 0
    total_bytes: int = 0
    live: str = ""
    """After the bar."""
    lines: tuple[tuple[str, str], ...] = field(default=())
    """Further lines with the theme colour of each."""


def gpu_facts(gpu: Gpu) -> CardFacts:
    """A GPU's card."""
    from loratui.core.capabilities import architecture_name, capabilities

    able = []
    if gpu.compute_capability is not None:
        skills = capabilities(gpu.compute_capability)
        able = [
            architecture_name(gpu.compute_capability),
            *(name for name in ("bf16", "fp8", "fp4") if getattr(skills, name) == "yes"),
        ]
        if "bf16" not in able:
            able.append("no bf16")
    live = [f"{in_gib(gpu.memory_free_bytes)} of {in_gib(gpu.memory_total_bytes)} GiB free"]
    live.append("load not told" if gpu.utilization_percent is None else f"{gpu.utilization_percent:3d} % busy")
    if gpu.temperature_celsius is not None:
        live.append(f"{gpu.temperature_celsius} °C")
    if gpu.power_watts is not None:
        cap = f"/{gpu.power_limit_watts:.0f}" if gpu.power_limit_watts else ""
        live.append(f"{gpu.power_watts:.0f}{cap} W")
    lines: list[tuple[str, str]] = []
    if gpu.processes:
        holders = [_holder(process) for process in gpu.processes[:3]]
        more = f" and {len(gpu.processes) - 3} more" if len(gpu.processes) > 3 else ""
        lines.append(("held by " + ", ".join(holders) + more, "$text-muted"))
    if gpu.throttle_reasons:
        lines.append(
            ("▲ slowed down: " + ", ".join(one_line(reason, 40) for reason in gpu.throttle_reasons), "$warning")
        )
    if gpu.lost:
        lines.append(("✗ the driver no longer reaches this card", "$error"))
    elif not gpu.visible:
        lines.append(("▲ hidden from training by CUDA_VISIBLE_DEVICES or the scheduler", "$warning"))
    lines += [(one_line(note), "$text-muted") for note in gpu.notes]
    return CardFacts(
        key=f"gpu:{gpu.index}",
        title=f"GPU {gpu.index}  {one_line(gpu.name, 120)}",
        details=" · ".join(able),
        used_bytes=gpu.memory_total_bytes - gpu.memory_free_bytes,
        total_bytes=gpu.memory_total_bytes,
        live="  ".join(live),
        lines=tuple(lines),
    )


def _holder(process: GpuProcess) -> str:
    """Who holds memory, as far as that can be seen: program, user, size."""
    from loratui.machine.processes import UNSEEN

    who = "a program that cannot be seen from here" if process.name == UNSEEN else one_line(process.name, 24)
    user = f" ({one_line(process.user, 16)})" if process.user else ""
    return f"{who}{user}" + (f" {in_gib(process.memory_bytes)} GiB" if process.memory_bytes is not None else "")


def cpu_facts(host: Host, *, only: bool) -> CardFacts:
    """The CPU's card. only: there is no GPU."""
    cores = f"{host.cpu_count} core{'s' if host.cpu_count != 1 else ''}"
    words = (
        "small models train here in minutes, larger ones in days" if only else "far slower than a GPU; for small models"
    )
    lines = [(words, "$text-muted")]
    if host.memory_limited_by:
        lines.append((f"memory limited by the {one_line(host.memory_limited_by, 60)}", "$text-muted"))
    # A host's memory never rests: halves of a GiB, or whole ones, are enough here and keep an idle screen silent.
    grain = 2**29 if host.memory_total_bytes < 64 * 2**30 else 2**30
    free = round(host.memory_available_bytes / grain) * grain
    return CardFacts(
        key="cpu",
        title=f"CPU  {one_line(host.cpu_name, 120) or 'unknown'}",
        details=cores,
        used_bytes=int(host.memory_total_bytes - free),
        total_bytes=host.memory_total_bytes,
        live=f"{free / 2**30:.1f} of {host.memory_total_bytes / 2**30:.1f} GiB free",
        lines=tuple(lines),
    )


def cluster_facts(partition: Partition, kind: GpuKind, gpus: int, nodes: int) -> CardFacts:
    """The card of one type of GPU in a partition of a cluster. gpus, nodes: how many are asked for; 0: not chosen."""
    from loratui.cluster.report import gpu_words, partition_words

    lines = [(one_line(words, 120), "$text-muted") for words in (gpu_words(kind), partition_words(partition))]
    down = [f"{node.name}{f' ({node.reason})' if node.reason else ''}" for node in partition.down]
    if down:
        lines.append((one_line(f"▲ down: {', '.join(down)}", 120), "$warning"))
    asked = f"{nodes} node{'' if nodes == 1 else 's'} × {gpus} GPU{'' if gpus == 1 else 's'}" if gpus else ""
    return CardFacts(
        key=f"slurm:{partition.name}:{kind.type}",
        title=f"{one_line(kind.type or 'GPU', 60)} in partition {one_line(partition.name, 60)}",
        details=asked,
        used_bytes=kind.total - kind.free,
        total_bytes=kind.total,
        live=f"{kind.free} of {kind.total} GPUs free",
        lines=tuple(lines),
    )


def other_facts(planned: str, device: Device | None = None, cards: int = 0) -> CardFacts:
    """The card that stands for a GPU of the catalogue. device: what is planned for, where it is known."""
    if planned:
        lines = [("this machine does not train it: take the plan there with `loratui train`", "$text-muted")]
        if device is not None:
            lines.insert(0, (budget_words(device), "$text-muted"))
        return CardFacts(
            key="other",
            title=f"Plan for {one_line(planned, 120)}",
            details=f"{in_gib(device.memory_total_bytes)} GiB" if device is not None else "",
            lines=tuple(lines),
        )
    known = f"{count(cards)} cards known" if cards else ""
    return CardFacts(
        key="other",
        title="Another GPU",
        details=known,
        lines=(("plan here for a card that this machine does not have", "$text-muted"),),
    )


def budget_words(device: Device) -> str:
    """What of a device's memory a plan may take, with each figure that stands on another screen by its name."""
    from loratui.core.memory import budget

    room = budget(device)
    return (
        f"of its {in_gib(room.total_bytes)} GiB a process can have {in_gib(room.free_bytes)}, and a plan may take "
        f"{in_gib(room.bytes)}: {in_gib(room.reserve_bytes)} are kept free"
    )


class DeviceCard(Static, can_focus=True):
    """A focusable card; enter chooses it alone, space adds or removes it."""

    BINDINGS = [  # noqa: RUF012  Textual declares them so
        Binding("enter", "choose", "Choose", key_display="enter", tooltip="Train on this one alone"),
        Binding(
            "space",
            "add",
            "With others",
            key_display="space",
            tooltip="Train on several GPUs: add this one, or take it out",
        ),
    ]

    class Chosen(Message):
        """Enter, or space (toggled), on a card."""

        def __init__(self, card: DeviceCard, toggled: bool) -> None:
            super().__init__()
            self.card = card
            self.toggled = toggled

        @property
        def control(self) -> DeviceCard:
            return self.card

    def __init__(self, facts: CardFacts, chosen: bool = False, automatic: bool = False) -> None:
        super().__init__(classes="device-card")
        self.facts = facts
        self.chosen = chosen
        self.automatic = automatic

    @property
    def key(self) -> str:
        """Which device this is."""
        return self.facts.key

    def show(self, facts: CardFacts, chosen: bool, automatic: bool = False) -> None:
        """Take new facts; only the lines that changed are painted again."""
        before = self._lines()
        grew = (len(facts.lines), bool(facts.total_bytes)) != (len(self.facts.lines), bool(self.facts.total_bytes))
        self.facts, self.chosen, self.automatic = facts, chosen, automatic
        self.set_class(chosen, "-chosen")
        after = self._lines()
        if grew or len(before) != len(after):
            self.refresh(layout=True)
            return
        for row, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                self.refresh(Region(0, row, max(1, self.size.width), 1))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def _lines(self, width: int = 0) -> list[Content]:
        facts, width = self.facts, max(20, width or self.content_size.width)
        mark = "●" if self.chosen else "○"
        word = "chosen for you" if self.automatic else ""
        details = "  ".join(text for text in (word, facts.details) if text)
        title = Content.assemble(
            (f"{mark} ", "bold $accent" if self.chosen else "$text-muted"),
            (one_line(facts.title, max(20, width - len(details) - 4)), "bold $foreground"),
        )
        gap = max(2, width - len(title) - len(details))
        lines = [Content.assemble(title, " " * gap, (details, "$text-muted"))]
        if facts.total_bytes:
            room = max(8, min(60, width - 4 - len(facts.live)))
            filled, rest = meter(facts.used_bytes, facts.total_bytes, room)
            lines.append(
                Content.assemble(
                    "  ", (filled, "$memory-weights"), (rest, "$memory-free"), "  ", (facts.live, "$foreground")
                )
            )
        lines += [
            Content.assemble("  ", (part, color)) for text, color in facts.lines for part in wrap(text, width - 2)
        ]
        return lines

    def render(self) -> Content:
        return Content("\n").join(self._lines())

    def action_choose(self) -> None:
        """Train on this one alone."""
        self.post_message(self.Chosen(self, toggled=False))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.key.startswith(("gpu:", "slurm:")) if action == "add" else True

    def action_add(self) -> None:
        """Add this one, or take it out."""
        self.post_message(self.Chosen(self, toggled=True))

    def on_click(self, event: events.Click) -> None:
        self.action_choose()
