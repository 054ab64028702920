"""The proposal that follows from machine, model, dataset, preset and the values set by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from loratui.tui.wizard.change import Change, Standing, change_between, settled
from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.dataset import ChosenDataset
from loratui.tui.wizard.hardware import Hardware
from loratui.tui.wizard.model import ChosenModel
from loratui.tui.wizard.signal import Signal

if TYPE_CHECKING:
    from loratui.core.architecture import ModelSpec
    from loratui.core.compare_methods import MethodFit
    from loratui.core.hardware import Device
    from loratui.core.measured import Measurement
    from loratui.core.moves import Moves
    from loratui.core.presets import Preset
    from loratui.core.proposal import Proposal
    from loratui.core.situation import Situation

CARD_MOVES, HOST_MOVES = 0.005, 0.05
"""Shares of the device's memory by which what is free must move before the plan is computed anew."""

COUNTED = "The rows were counted"
"""A finding that only makes what was guessed exact."""


class ProposedPlan:
    """Owner of the proposal. It follows every change of what it rests on at once, and publishes `changed`.

    A pure call of the core, about 10 ms. The heavy imports (pydantic, the core) happen at the first proposal, so
    that the first frame does not wait for them.
    """

    def __init__(self, choices: Choices, hardware: Hardware, model: ChosenModel, dataset: ChosenDataset) -> None:
        self._choices, self._hardware, self._model, self._dataset = choices, hardware, model, dataset
        self._proposal: Proposal | None = None
        self._problem = ""
        self._change: Change | None = None
        self._changed_from: Proposal | None = None
        """What the change was compared with."""
        self._standing: Standing | None = None
        """What the next change is compared with: what was settled last."""
        self._editing = self._waiting = False
        self._found = ""
        """What was found out last while it waits to be followed."""
        self._presets: Mapping[str, Preset] = {}
        self._measurements: tuple[Measurement, ...] = ()
        self._as_asked: tuple[str, tuple[Measurement, ...]] = "", ()
        """The measurements with the name of a model as it was asked for, and that name."""
        self._device: Device | None = None
        """What the proposal was computed for, with its free memory then."""
        self.changed = Signal()
        for signal in (choices.device_chosen, choices.model_chosen, choices.dataset_chosen, choices.recipe_changed):
            signal.subscribe(self._follow_person)
        model.changed.subscribe(lambda: self._follow("The model was read"))
        dataset.changed.subscribe(lambda: self._follow("The dataset was read"))
        dataset.counted.subscribe(lambda: self._follow(COUNTED))
        hardware.looked.subscribe(self._follow_machine)
        hardware.preset_values = dataset.preset_values = lambda: self.preset.values if self.preset is not None else {}

    @property
    def proposal(self) -> Proposal | None:
        """The proposal; None until model and machine are known. Where values contradict, the last one stays."""
        return self._proposal

    @property
    def problem(self) -> str:
        """Why no new proposal follows although model and machine are known."""
        return self._problem

    @property
    def change(self) -> Change | None:
        """What the last change moved; None before the first."""
        return self._change

    def forget_changes(self) -> None:
        """Another draft is gone on with: what stood before is nothing that it changed."""
        self._change = self._standing = None

    @property
    def presets(self) -> Mapping[str, Preset]:
        """Every preset by name."""
        return self._presets

    @property
    def preset(self) -> Preset | None:
        """The chosen preset; None where there is none of that name."""
        return self._presets.get(self._choices.draft.preset)

    def take_presets(self, presets: Mapping[str, Preset]) -> None:
        """Take up the presets."""
        self._presets = dict(presets)
        if self._proposal is not None:
            self._follow("The presets were read")

    def add_preset(self, preset: Preset) -> None:
        """Take up a preset that was just saved."""
        self._presets = {**self._presets, preset.name: preset}

    def take_measurements(self, measurements: tuple[Measurement, ...]) -> None:
        """Take up what runs on this machine reached; the proposal's time follows."""
        if measurements != self._measurements:
            self._measurements, self._as_asked = measurements, ("", ())
            if self._proposal is not None:
                self._follow("Runs here were measured")

    def methods_of(self, spec: ModelSpec) -> tuple[MethodFit, ...]:
        """Each method as it would be proposed for another model, all else as it is chosen; slow, for a thread. Empty
        where the machine is not known, or the choices do not suit it.
        """
        from loratui.core.compare_methods import compare_methods
        from loratui.core.errors import LoratuiError
        from loratui.core.presets import AUTO

        situation = self.situation(spec)
        if situation is None:
            return ()
        given = {key: value for key, value in self._choices.given().items() if not key.startswith(("model.", "lora.t"))}
        try:
            return compare_methods(situation, self.preset or AUTO, given)
        except LoratuiError:
            return ()

    def situation(self, spec: ModelSpec | None = None) -> Situation | None:
        """What a proposal rests on beside the choices; None until model and machine are known. spec: of another."""
        spec, device = spec or self._model.spec, self._hardware.device()
        if spec is None or device is None:
            return None
        from loratui.core.situation import Situation
        from loratui.models.adapter import read_adapter

        disk = self._hardware.disk_free_bytes(device)
        folder = str(self._choices.given().get("lora.adapter", ""))
        adapter = read_adapter(folder) if folder else None
        return Situation(spec, self._dataset.facts(), device, disk, self._measured(spec.id), adapter)

    def _measured(self, model: str) -> tuple[Measurement, ...]:
        """What was measured here, with the model's name as the plan has it. Folders are looked up once a model."""
        named, found = self._as_asked
        if self._measurements and named != model:
            from loratui.runs.measured import as_asked

            found = as_asked(self._measurements, model)
            self._as_asked = model, found
        return found

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is found out within is followed once, at its end."""
        self._waiting, self._found = True, ""
        try:
            yield
        finally:
            self._waiting = False
            if self._found:
                self._follow(self._found)

    def begin_edit(self) -> None:
        """A value is about to be typed: until `end_edit` its keystrokes are compared with the plan as it is now."""
        self._settle()
        self._editing = True

    def end_edit(self) -> None:
        """The value has been typed: the next change is compared with the plan that it left."""
        self._editing = False
        self._settle()

    def moves_if(self, key: str, value: Any) -> Moves | None:
        """What this value would move. None where it is not allowed, or nothing is known yet."""
        from loratui.core.errors import LoratuiError
        from loratui.core.moves import moves
        from loratui.core.presets import AUTO
        from loratui.core.proposal import propose

        now, situation = self._proposal, self.situation()
        if now is None or situation is None:
            return None
        try:
            given = {**self._choices.given(), key: value}
            changed = propose(situation, self.preset or AUTO, given, self._choices.held)
        except LoratuiError:
            return None
        return moves(now, changed, [key])

    # Following

    def _follow(self, found: str) -> None:
        """Something was found out. found: what, in words."""
        if self._waiting:
            self._found = found
            return
        self._compute()
        self._tell(found)
        self.changed.publish()

    def _follow_person(self) -> None:
        """A person changed something: what that moves is told."""
        self._compute()
        self._tell()
        self.changed.publish()

    def _tell(self, found: str = "") -> None:
        """What moved since the plan last stood; while something that was chosen is still being read, nothing is
        settled, and of rows that cannot be read nothing follows.
        """
        now = self._now()
        if self._dataset.problem:
            self._change = None
            return
        if now is None or self._problem:
            return
        if self._standing is not None:
            change = change_between(self._standing, now, found)
            only_exact = found == COUNTED and (change is None or not change.moves.keys)
            if only_exact and self._change is not None and self._changed_from is not None:
                self._change = self._change.as_it_came(self._changed_from, now.proposal)
            elif change is not None:
                self._change, self._changed_from = change, self._standing.proposal
        if not self._editing and not self._reading:
            self._standing = settled(self._standing, now)

    @property
    def _reading(self) -> bool:
        dataset = self._dataset
        chosen = bool(self._choices.draft.dataset) and dataset.view is None
        return chosen and not dataset.problem and dataset.known_facts is None

    def _now(self) -> Standing | None:
        if self._proposal is None:
            return None
        draft = self._choices.draft
        return Standing(self._proposal, draft.preset, self._choices.given(), self._choices.held, draft.dataset)

    def _settle(self) -> None:
        if not self._problem and not self._dataset.problem:
            now = self._now()
            self._standing = self._standing if now is None else settled(self._standing, now)

    def _follow_machine(self) -> None:
        """A new look at the machine: only where the memory that the proposal rests on has moved, or the processor was
        measured."""
        now = self._hardware.device()
        if (
            self._proposal is not None
            and self._device is not None
            and now is not None
            and (self._device.name, self._device.count) == (now.name, now.count)
            and self._device.bf16_gains == now.bf16_gains
        ):
            moved = abs(self._device.memory_free_bytes - now.memory_free_bytes)
            if moved <= (HOST_MOVES if now.kind == "cpu" else CARD_MOVES) * now.memory_total_bytes:
                return
        measured = self._device is not None and now is not None and self._device.bf16_gains != now.bf16_gains
        self._follow("The processor was measured" if measured else "Free memory has changed")

    def _compute(self) -> None:
        situation = self.situation()
        if situation is None:
            self._proposal, self._problem = None, ""
            return
        from loratui.core.errors import LoratuiError
        from loratui.core.presets import AUTO
        from loratui.core.proposal import propose

        self._device = situation.device
        try:
            self._proposal = propose(situation, self.preset or AUTO, self._choices.given(), self._choices.held)
        except LoratuiError as error:
            self._problem = error.sentence
            return
        self._problem = ""
