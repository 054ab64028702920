"""The first step: what this machine is, what to train on, and the GPUs to plan for that are not here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.format import in_gib, one_line
from loratui.paths import home_short
from loratui.tui.common.dialogs import AskLineScreen
from loratui.tui.common.filter_list import FilterList, Item, columns
from loratui.tui.common.text import wrapped
from loratui.tui.frame.step import StepScreen
from loratui.tui.keys import bindings
from loratui.tui.machine.beside import FEW_CARDS, MOST_CARDS, DeviceBox
from loratui.tui.machine.device_card import CardFacts, DeviceCard, cluster_facts, cpu_facts, gpu_facts, other_facts
from loratui.tui.machine.fits import FitsBox

if TYPE_CHECKING:
    from loratui.core.hardware import Machine


SAMPLE_SECONDS = 1.0
CLUSTER_SECONDS = 60.0
"""Schedulers are shared: they are asked seldom."""
LOGIN_NODE = "This is a login node of Slurm: the GPUs above are those of its nodes, and the review hands the run over."


TINY_ROWS = 2
"""Rows below the cards on a low screen."""
HOST_MARGINS = 4
"""Columns beside the words below the cards."""
MORE_HELP = " … F1"


class Cards(VerticalScroll, inherit_bindings=False):
    """The cards, which scroll after the focus: arrows go from card to card, also where there are more than fit."""


class MachineScreen(StepScreen):
    """A card for each GPU, for the CPU, and for a GPU that is not here; live about once a second."""

    CSS_PATH = "machine.tcss"
    STEP = "machine"
    HEADING = "Machine"
    EXPLANATION = "What the training will run on."
    HELP_TEXT = (
        "Each card is something that can train. The bar shows the memory that is in use now, by whomever; what is free "
        "is the budget of your plan. enter takes one card alone, space puts several GPUs together: each takes its "
        "share "
        "of the rows, and holds the whole model where that fits, else a share of its weights.\n\n"
        "Where this machine belongs to a cluster of Slurm, each type of GPU in each partition is a card too: the plan "
        "is calculated for it, and the review hands the run to the queue. space takes more GPUs of a node.\n\n"
        "Another GPU lets you plan here for a card that this machine does not have: every figure is then computed for "
        "it, "
        "and the plan can be taken there as a file."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "card(1)", "Next card", show=False, tooltip="Next card"),
        Binding("up,k", "card(-1)", "Previous card", show=False, tooltip="Previous card"),
        *bindings("machine"),
    ]

    def body(self) -> ComposeResult:
        with Horizontal(id="cards-and-fits"):
            with Vertical(id="cards-side"):
                with Cards(id="cards", can_focus=False):
                    yield Static(Content("Looking for GPUs …"), id="looking", classes="muted")
                yield DeviceBox()
            yield FitsBox()
        yield Static(id="host")

    def on_mount(self) -> None:
        self._host = Content("")
        state = self.app.state
        for signal in (state.hardware.looked, state.plan.changed):
            self.hear(signal, self.shown)
        self.set_interval(SAMPLE_SECONDS, self._take_sample)
        self.set_interval(CLUSTER_SECONDS, self._look_at_cluster)
        self._look_at_cluster()

    @work(thread=True, exclusive=True, group="cluster", exit_on_error=False)
    def _look_at_cluster(self) -> None:
        from loratui.tui.wizard.loading import look_at_cluster

        if self.is_current:
            self.app.call_from_thread(self.app.state.hardware.take_cluster, *look_at_cluster())

    def _take_sample(self) -> None:
        sampler = self.app.sampler
        newest = sampler.newest if sampler is not None and self.is_current else None
        if newest is not None and newest is not self.app.state.hardware.machine:
            self.app.state.hardware.take(newest)

    def on_screen_suspend(self) -> None:
        if self.app.sampler is not None:
            self.app.sampler.pause()

    def on_screen_resume(self) -> None:
        if self.app.sampler is not None:
            self.app.sampler.resume()

    def shown(self) -> None:
        machine = self.app.state.hardware.machine
        if machine is None:
            return
        facts = self._facts(machine)
        cards = {card.key: card for card in self.query(DeviceCard)}
        if list(cards) != [fact.key for fact in facts]:
            self._rebuild(facts)
        else:
            for fact in facts:
                cards[fact.key].show(fact, *self._marks(fact.key))
        self._show_host(machine)
        self.set_class(len(facts) > MOST_CARDS, "-many")
        self.set_class(len(facts) > FEW_CARDS, "-several")
        self.query_one(FitsBox).renew()
        self.query_one(DeviceBox).renew()

    def _facts(self, machine: Machine) -> list[CardFacts]:
        draft = self.app.state.draft
        device = self.app.state.hardware.device() if draft.gpu else None
        return [
            *(gpu_facts(gpu) for gpu in machine.gpus),
            *self._cluster_facts(),
            cpu_facts(machine.host, only=not machine.gpus),
            other_facts(draft.gpu, device),
        ]

    def _cluster_facts(self) -> list[CardFacts]:
        """A card for each type of GPU in each partition that takes jobs."""
        hardware = self.app.state.hardware
        if hardware.cluster is None:
            return []
        placed = hardware.placed()
        gpus, nodes = int(placed.get("cluster.gpus_per_node", 1)), int(placed.get("cluster.nodes", 1))
        found = []
        for partition in hardware.cluster.partitions:
            for kind in partition.gpus if partition.up else ():
                chosen = self._marks(f"slurm:{partition.name}:{kind.type}")[0]
                found.append(cluster_facts(partition, kind, gpus if chosen else 0, nodes))
        return found

    def _marks(self, key: str) -> tuple[bool, bool]:
        """Whether a card is chosen, and whether it was chosen for the person."""
        state = self.app.state
        draft = state.draft
        if draft.gpu:
            return key == "other", False
        if placed := state.hardware.placed():
            _, _, where = key.partition("slurm:")
            return bool(where) and where in self._placed_at(placed), False
        if draft.cpu:
            return key == "cpu", False
        if draft.devices:
            return key.startswith("gpu:") and int(key[4:]) in draft.devices, False
        return (True, True) if key == state.hardware.automatic() else (False, False)

    def _placed_at(self, placed: Mapping[str, Any]) -> set[str]:
        """PARTITION:TYPE of the card that these `cluster` values mean."""
        cluster = self.app.state.hardware.cluster
        partition = cluster.partition(str(placed.get("cluster.partition", ""))) if cluster is not None else None
        if partition is None or not partition.gpus:
            return set()
        return {f"{partition.name}:{placed.get('cluster.gpu_type') or partition.gpus[0].type}"}

    def _rebuild(self, facts: list[CardFacts]) -> None:
        holder = self.query_one("#cards")
        focused = self.focused.key if isinstance(self.focused, DeviceCard) else ""
        holder.remove_children()
        cards = [DeviceCard(fact, *self._marks(fact.key)) for fact in facts]
        for card in cards:
            card.set_class(card.chosen, "-chosen")
        holder.mount(*cards)
        wanted = next((card for card in cards if card.key == focused), None) or next(
            (card for card in cards if card.chosen), cards[0]
        )
        self.call_after_refresh(wanted.focus)

    def _show_host(self, machine: Machine) -> None:
        host = machine.host
        parts = [one_line(host.hostname, 60)]
        if machine.driver_version:
            parts.append(f"driver {one_line(machine.driver_version, 20)}")
        if machine.cuda_version:
            parts.append(f"CUDA {one_line(machine.cuda_version, 20)}")
        if machine.scheduler:
            parts.append(f"scheduler {one_line(machine.scheduler, 20)}")
        parts.append(
            f"{in_gib(round(host.disk_free_bytes / 2**30) * 2**30)} GiB of disk free for runs in "
            f"{home_short(host.disk_path)}"
        )
        text = " · ".join(parts)
        problems, notes = list(machine.problems), list(machine.notes)
        if self.app.state.hardware.cluster is not None and not machine.gpus:  # a login node needs no driver of its own
            problems, notes = [], [LOGIN_NODE]
        if trouble := self.app.state.hardware.cluster_problem:
            problems.append(trouble)
        pieces = [
            Content.assemble(("▲ ", "bold $warning"), (one_line(problem, 400), "$foreground")) for problem in problems
        ]
        pieces.append(Content(text).stylize("$text-muted"))
        pieces += [Content(one_line(note, 400)).stylize("$text-muted") for note in notes]
        # F1 tells it, too: on a low screen the cards come first.
        self.HELP_TEXT = "\n\n".join((MachineScreen.HELP_TEXT, *(piece.plain for piece in pieces)))  # type: ignore[misc]
        content = self._fitted(pieces)
        widget = self.query_one("#host", Static)
        if self._host != content:
            self._host = content
            widget.update(content)

    def _fitted(self, pieces: list[Content]) -> Content:
        """What is told below the cards; on a low screen two rows of it, the rest stands in the help."""
        width = self.size.width - HOST_MARGINS
        rows = [row for piece in pieces for row in wrapped(piece, max(20, width))]
        if not self.has_class("-tiny") or len(rows) <= TINY_ROWS:
            return Content("\n").join(pieces)
        rows = [*rows[: TINY_ROWS - 1], Content.assemble(rows[TINY_ROWS - 1][: width - len(MORE_HELP)], MORE_HELP)]
        return Content("\n").join(rows)

    def on_resize(self) -> None:
        machine = self.app.state.hardware.machine
        if machine is not None:
            self._show_host(machine)

    def action_card(self, by: int) -> None:
        """Move the focus from card to card."""
        cards = list(self.query(DeviceCard))
        if not cards:
            return
        place = cards.index(self.focused) if self.focused in cards else -by
        cards[(place + by) % len(cards)].focus()

    @on(DeviceCard.Chosen)
    def _card_chosen(self, event: DeviceCard.Chosen) -> None:
        key, state = event.card.key, self.app.state
        if key == "other":
            if state.draft.gpu and not event.toggled:
                self.action_next()
            else:
                self.action_other()
        elif key.startswith("slurm:"):
            self._choose_cluster(*key.split(":")[1:3], toggled=event.toggled)
        elif key == "cpu":
            if not event.toggled and self._marks(key)[0]:
                self.action_next()
            else:
                state.choices.choose_cpu()
                self._not_by_the_preset()
                self.say("The CPU is chosen. enter or ^n goes on.", "done")
        else:
            self._choose_gpu(int(key[4:]), toggled=event.toggled)

    def _not_by_the_preset(self) -> None:
        """A card of this machine was chosen: where the preset names a cluster, that does not count."""
        if self.app.state.hardware.placed():
            self.app.state.choices.set_value("cluster.engine", "", remember=False)

    def _choose_gpu(self, number: int, *, toggled: bool) -> None:
        state = self.app.state
        if not toggled:
            if state.draft.devices == [number] or self._marks(f"gpu:{number}") == (True, True):
                self.action_next()
                return
            state.choices.choose_devices([number])
        else:
            taken = {
                int(card.key[4:]) for card in self.query(DeviceCard) if card.chosen and card.key.startswith("gpu:")
            }
            state.choices.choose_devices(sorted(taken ^ {number} if state.draft.devices else taken | {number}))
        self._not_by_the_preset()
        chosen = state.draft.devices
        self.say(
            f"Training on GPU {', '.join(map(str, chosen))}. enter or ^n goes on."
            if len(chosen) == 1
            else f"Training on GPU {', '.join(map(str, chosen))}. ^n goes on."
            if chosen
            else "The free GPU is taken. ^n goes on.",
            "done",
        )

    @work
    async def _choose_cluster(self, partition: str, kind: str, *, toggled: bool) -> None:
        """Take this type of GPU; chosen again it goes on, and space takes one GPU a node more, or one again."""
        state = self.app.state
        cluster, chosen = state.hardware.cluster, self._marks(f"slurm:{partition}:{kind}")[0]
        if chosen and not toggled:
            self.action_next()
            return
        found = cluster.partition(partition) if cluster is not None else None
        most = next((one.per_node for one in found.gpus if one.type == kind), 1) if found is not None else 1
        gpus = int(state.hardware.placed().get("cluster.gpus_per_node", 1)) if chosen else 1
        if toggled and chosen:
            gpus = gpus % most + 1
        if not await self._knows_memory(kind):
            return
        state.choices.choose_cluster(partition, kind, gpus)
        words = f"{gpus} GPU{'' if gpus == 1 else 's'} a node"
        more = "nodes and limits stand in the recipe's whole list"
        self.say(f"Slurm places it in partition {partition}, {words}; {more}. ^n goes on.", "done")

    async def _knows_memory(self, kind: str) -> bool:
        """Whether the memory of a type is known; a person is asked once, and it is remembered."""
        from loratui.cluster.gpu_types import UnknownGpuType, device_of, remember_memory
        from loratui.core.errors import LoratuiError
        from loratui.machine.device import parse_memory_size

        try:
            device_of(kind)
        except UnknownGpuType:
            title = f"How much memory has a GPU of type {kind or '(no name)'}?"
            said = await self.app.push_screen_wait(AskLineScreen(title, "for example 40GiB"))
            try:
                remember_memory(kind, parse_memory_size(said))
            except LoratuiError as error:
                self.say(error.sentence if said else "Nothing was chosen: its memory is not known.", "error")
                return False
        return True

    @work
    async def action_other(self) -> None:
        """Choose a GPU of the catalogue to plan for."""

        name = await self.app.push_screen_wait(GpuCatalogueScreen())
        if name:
            self.app.state.choices.plan_for_gpu(name)
            for card in self.query(DeviceCard):
                if card.key == "other":  # the cursor goes where the choice is: enter is not to take another card
                    card.focus()
            self.say(f"Planning for {name}. enter or ^n goes on, o takes another.", "done")


class GpuCatalogueScreen(ModalScreen[str]):
    """Returns the chosen GPU's name, or an empty text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self) -> None:
        super().__init__(classes="panel-over")
        from loratui.tui.machine.others import newest_first

        self.gpus = {gpu.name: gpu for gpu in newest_first()}

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            panel.border_title = Content("Plan for another GPU")
            panel.border_subtitle = Content("enter chooses · esc closes")
            yield FilterList(
                self._draw, placeholder="filter: A100, 24GB, Ada …", id="gpus", empty="No such card is known."
            )

    def on_mount(self) -> None:
        from loratui.core.capabilities import architecture_name

        items = [
            Item(
                name,
                " ".join((name, *gpu.aliases, f"{gpu.marketed_gb}GB", architecture_name(gpu.compute_capability))),
                architecture_name(gpu.compute_capability) if gpu.exact else "cards of a size",
            )
            for name, gpu in self.gpus.items()
        ]
        chooser = self.query_one(FilterList)
        chooser.set_items(items)
        chooser.focus_filter()

    def _draw(self, item: Item, width: int) -> Content:
        gpu = self.gpus[item.key]
        bf16 = gpu.bf16_tflops is not None
        return columns(
            width,
            Content(one_line(gpu.name)),
            (f"{in_gib(gpu.memory_total_bytes)} GiB", 10),
            (f"{gpu.bandwidth_gb_per_second:,.0f} GB/s", 11),
            (Content("bf16" if bf16 else "no bf16").stylize("$text-muted"), 7),
        )

    @on(FilterList.Chosen)
    def _chosen(self, event: FilterList.Chosen) -> None:
        self.dismiss(event.key)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss("")
