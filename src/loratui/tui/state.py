"""What the wizard knows: the draft, what was found for it, and the proposal that follows. No screen is needed to use it.

Screens read it and call its `set_…` and `choose_…` methods; each change recomputes the proposal at once (a pure call of
the core, under 5 ms) and tells the listeners what changed. The heavy imports (pydantic, the core) happen at the first
proposal, so that the first frame does not wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratui.files import write_whole
from loratui.tui.check import Check
from loratui.tui.draft import STEPS, Draft, draft_from_json, draft_to_json
from loratui.tui.known_facts import KnownFacts, read_known_facts, write_known_facts
from loratui.tui.missing import Problem, missing

if TYPE_CHECKING:
    from loratui.core.architecture import ModelSpec
    from loratui.core.dataset import DataFacts
    from loratui.core.hardware import Device, Machine
    from loratui.core.measured import Measurement
    from loratui.core.presets import Preset
    from loratui.core.proposal import Proposal, Situation
    from loratui.models.find import FoundModel
    from loratui.tui.loading import DatasetView

Listener = Callable[[str], None]
"""Called with what changed: `machine`, `model`, `dataset`, `check`, `plan`, `run` or `step`."""

CARD_MOVES, HOST_MOVES = 0.005, 0.05
"""Shares of the device's memory by which what is free must move before the plan is computed again: a host's always moves."""
ROWS_WITHOUT_DATA = 1000
TOKENS_WITHOUT_DATA = 1024


class WizardState:
    """The draft, what was found for its choices, and the proposal computed from them."""

    def __init__(self, path: Path | None = None, *, demo: bool = False) -> None:
        self.path = path
        self.demo = demo
        self.draft = Draft()
        self.machine: Machine | None = None
        self.model: FoundModel | None = None
        self.model_problem = ""
        self.dataset: DatasetView | None = None
        self.dataset_problem = ""
        self.known: KnownFacts | None = None
        """What the last session knew of the dataset, until it is read again."""
        self.check = Check()
        """The check of the dataset with the model's own tokenizer."""
        self.presets: dict[str, Preset] = {}
        self.preset_problems: tuple[str, ...] = ()
        self.measurements: tuple[Measurement, ...] = ()
        """What runs on this machine reached; the time of a run is told from it."""
        self.proposal: Proposal | None = None
        self.plan_problem = ""
        """Why there is no proposal although model and machine are known."""
        self._counted_free_bytes = 0
        """Free memory that the proposal rests on."""
        self.change_bytes = 0
        """What the last change of the plan did to the estimate."""
        self.unsaved = False
        self._known_saved: KnownFacts | None = None
        self.save_problem = ""
        self._past: list[tuple[str, dict[str, Any]]] = []
        self._listeners: list[Listener] = []
        if demo:
            self.draft.model = self.draft.dataset = self.draft.preset = "demo"

    # The file

    def restore(self) -> str:
        """Take up the draft of the last session; a sentence where its file cannot be used (it is then kept aside)."""
        if self.path is None or not self.path.exists():
            return ""
        self.known = read_known_facts(self._facts_path(self.path))
        try:
            kept = draft_from_json(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return f"The draft {self.path} could not be read ({error}); a new one is begun."
        if self.demo:
            same = kept.model == kept.dataset == "demo"
            self.draft.theme = kept.theme
            if same:
                self.draft = kept
        else:
            self.draft = kept
        return ""

    def save(self) -> bool:
        """Write the draft now; False where that failed (`save_problem` says why)."""
        self.unsaved = False
        if self.path is None:
            return True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, draft_to_json(self.draft))
            if self.known is not None and self.known != self._known_saved:
                write_known_facts(self._facts_path(self.path), self.known)
                self._known_saved = self.known
        except OSError as error:
            self.save_problem = f"The draft could not be saved in {self.path}: {error.strerror or error}."
            return False
        self.save_problem = ""
        return True

    @staticmethod
    def _facts_path(draft: Path) -> Path:
        return draft.with_name("dataset-facts.json")

    # Listening

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called after each change; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _tell(self, *changes: str) -> None:
        for change in changes:
            for listener in list(self._listeners):
                listener(change)

    # Choices

    def set_step(self, step: str) -> None:
        """Remember which screen is open."""
        self.draft.step = step
        if step not in self.draft.visited:
            self.draft.visited.append(step)
        self.unsaved = True
        self._tell("step")

    def set_run(self, path: str) -> None:
        """Remember the folder of the run that was started."""
        self.draft.run = path
        self.unsaved = True
        self._tell("run")

    def set_machine(self, machine: Machine) -> None:
        """Take a new look at the machine. The proposal follows only where what it rests on has changed."""
        before, self.machine = self.device(), machine
        if self._rests_on_new_memory(before):
            self.recompute()
            self._tell("machine", "plan")
        else:
            self._tell("machine")

    def _rests_on_new_memory(self, before: Device | None) -> bool:
        now = self.device()
        if self.proposal is None or before is None or now is None or before.name != now.name:
            return True
        moved = abs(self._counted_free_bytes - now.memory_free_bytes)
        return moved > (HOST_MOVES if now.kind == "cpu" else CARD_MOVES) * now.memory_total_bytes

    def choose_devices(self, devices: list[int]) -> None:
        """Train on these GPUs of this machine; an empty list: the free one, or the CPU."""
        self.draft.devices, self.draft.cpu, self.draft.gpu = sorted(devices), False, ""
        self._changed("machine")

    def choose_cpu(self) -> None:
        """Train on the CPU."""
        self.draft.devices, self.draft.cpu, self.draft.gpu = [], True, ""
        self._changed("machine")

    def plan_for_gpu(self, name: str) -> None:
        """Plan for a GPU of the catalogue that this machine does not have."""
        self.draft.devices, self.draft.cpu, self.draft.gpu = [], False, name
        self._changed("machine")

    def set_model(self, model: FoundModel | None, problem: str = "") -> None:
        """Take up the model that was found for the draft's choice, or why there is none."""
        self.model, self.model_problem = model, problem
        self._found("model")

    def take_shape(self, identifier: str, spec: ModelSpec) -> None:
        """Take up the exact shape of the chosen model, once a worker has read it from the real class."""
        if self.model is not None and self.model.id == identifier:
            self.model = replace(self.model, spec=spec)
            self._found("model")

    def choose_model(self, identifier: str) -> None:
        """Choose a model by id; `set_model` brings what was found."""
        if identifier != self.draft.model:
            self.draft.model = identifier
            self.model, self.model_problem = None, ""
            self._forget("lora.targets", "lora.adapter", "model.")
            self._changed("model")

    def set_dataset(self, dataset: DatasetView | None, problem: str = "") -> None:
        """Take up the dataset that was found for the draft's choice, or why there is none."""
        self.dataset, self.dataset_problem = dataset, problem
        if dataset is not None:
            known, fingerprint = self.known, dataset.preview.found.fingerprint
            if known is not None and known.facts.exact and (known.choice, known.fingerprint) == (self._facts_choice(exact=True), fingerprint):
                self.dataset = replace(dataset, facts=known.facts)
            else:
                self._know(dataset.facts, fingerprint)
        self._found("dataset")

    def _facts_choice(self, *, exact: bool) -> str:
        """What a dataset's facts rest on: its path and how it is read; exact lengths also on the model's tokenizer."""
        prefixes = ("dataset.", "model.") if exact else ("dataset.",)
        given = sorted((key, value) for key, value in self.draft.mine.items() if key.startswith(prefixes))
        return repr((self.draft.dataset, self.draft.model if exact else "", given))

    def _know(self, facts: DataFacts, fingerprint: str) -> None:
        self.known = KnownFacts(self._facts_choice(exact=facts.exact), fingerprint, facts)
        self.unsaved = True

    @property
    def known_facts(self) -> DataFacts | None:
        """What the last session knew of the chosen dataset; None where it knew another one, or read it another way."""
        known = self.known
        return known.facts if known is not None and known.choice == self._facts_choice(exact=known.facts.exact) else None

    def choose_dataset(self, path: str) -> None:
        """Choose a dataset by path; `set_dataset` brings what was found."""
        if path != self.draft.dataset:
            self.draft.dataset = path
            self.dataset, self.dataset_problem = None, ""
            self._forget("dataset.")
            self._changed("dataset")

    def check_key(self) -> str:
        """What a check of the dataset would rest on; empty where it cannot be done yet."""
        if self.dataset is None or self.model is None or self.model.path is None or self.proposal is None:
            return ""
        given = sorted((key, repr(value)) for key, value in self.draft.mine.items() if key.startswith(("dataset.", "model.")))
        return repr((self.model.id, self.dataset.preview.found.fingerprint, given))

    def take_check(self, check: Check) -> None:
        """Take up how far the check is; its exact lengths replace the guessed ones."""
        self.check = check
        if check.result is not None and self.dataset is not None:
            from loratui.tui.loading import exact_facts

            facts = exact_facts(check.result)
            if facts is not None and facts != self.dataset.facts:
                self.dataset = replace(self.dataset, facts=facts)
                self._know(facts, self.dataset.preview.found.fingerprint)
                self.recompute()
                self._tell("plan")
        self._tell("check")

    def _forget(self, *prefixes: str) -> None:
        self.draft.mine = {key: value for key, value in self.draft.mine.items() if not key.startswith(prefixes)}

    # The recipe

    def set_preset(self, name: str) -> None:
        """Propose from another preset; what was set by hand stays."""
        if name != self.draft.preset:
            self._remember()
            self.draft.preset = name
            self._changed("plan")

    def set_value(self, key: str, value: Any, *, remember: bool = True) -> None:
        """Set a plan key by hand. Raises PlanError where the value is not allowed; nothing has changed then.

        remember: make it a change of its own for `undo`; False between `begin_edit` and the edit's end.
        """
        from loratui.core.plan_text import check_value

        checked = check_value(key, value)
        if self.draft.mine.get(key, _NOTHING) != checked:
            if remember:
                self._remember()
            self.draft.mine = {**self.draft.mine, key: checked}
            self._changed("plan")

    def set_values(self, values: dict[str, Any]) -> None:
        """Set several plan keys as one change (one undo). Raises PlanError; nothing has changed then."""
        from loratui.core.plan_text import check_value

        checked = {key: check_value(key, value) for key, value in values.items()}
        self._remember()
        self.draft.mine = {**self.draft.mine, **checked}
        self._changed("plan")

    def reset_value(self, key: str) -> bool:
        """Let a key be proposed again; False where it was not set by hand."""
        if key not in self.draft.mine:
            return False
        self._remember()
        self.draft.mine = {name: value for name, value in self.draft.mine.items() if name != key}
        self._changed("plan")
        return True

    def reset_all(self) -> None:
        """Let every field of the recipe be proposed again; the dataset's columns and format stay."""
        self._remember()
        self.draft.mine = {key: value for key, value in self.draft.mine.items() if key.startswith(("dataset.", "model."))}
        self._changed("plan")

    def begin_edit(self) -> None:
        """A value is about to be typed: all its keystrokes are one change."""
        self._remember()

    def cancel_edit(self) -> None:
        """The typed value is not kept: back to what was there when the edit began."""
        self.undo()

    def recipe_values(self) -> dict[str, Any]:
        """What was set by hand on the recipe screen: what a preset of one's own keeps."""
        return {key: value for key, value in self.draft.mine.items() if not key.startswith(("dataset.path", "dataset.columns", "dataset.format", "model."))}

    def undo(self) -> bool:
        """Take the last change of the recipe back; False where there is none."""
        if not self._past:
            return False
        self.draft.preset, self.draft.mine = self._past.pop()
        self._changed("plan")
        return True

    @property
    def can_undo(self) -> bool:
        """Whether there is a change of the recipe to take back."""
        return bool(self._past)

    def _remember(self) -> None:
        self._past.append((self.draft.preset, dict(self.draft.mine)))
        del self._past[:-100]

    def _changed(self, *changes: str) -> None:
        """A person changed something."""
        self.unsaved = True
        before = self.proposal
        self.recompute()
        if before is not None and self.proposal is not None:
            self.change_bytes = self.proposal.memory.total_bytes - before.memory.total_bytes
        self._tell(*changes, *(["plan"] if "plan" not in changes else []))

    def _found(self, *changes: str) -> None:
        """Something was found out."""
        self.recompute()
        self._tell(*changes, *(["plan"] if "plan" not in changes else []))

    # What follows

    def device(self) -> Device | None:
        """What a training process would run on; None until the machine was looked at."""
        if self.machine is None:
            return None
        from loratui.core.errors import LoratuiError
        from loratui.tui.loading import choose_device

        try:
            return choose_device(self.machine, self.draft)
        except LoratuiError:
            return None

    def automatic_device(self) -> str:
        """What is taken where nothing was chosen: `gpu:NUMBER`, or `cpu`; empty until the machine was looked at."""
        if self.machine is None:
            return ""
        from loratui.tui.loading import automatic_device

        return automatic_device(self.machine)

    def data_facts(self) -> DataFacts:
        """Counts and lengths of the dataset, or stand-ins until one is chosen."""
        from loratui.core.dataset import uniform

        if self.dataset is not None:
            return self.dataset.facts
        return self.known_facts or uniform(ROWS_WITHOUT_DATA, TOKENS_WITHOUT_DATA)

    @property
    def spec(self) -> ModelSpec | None:
        """The shape of the chosen model, once it was found."""
        return self.model.spec if self.model is not None else None

    def given(self) -> dict[str, Any]:
        """Every plan key that a person decided, on whichever screen."""
        keys: dict[str, Any] = {"model.id": self.draft.model or "demo", "dataset.path": self.draft.dataset or "demo"}
        if self.draft.gpu:
            keys["hardware.gpu"] = self.draft.gpu
        elif self.draft.devices:
            keys["hardware.devices"] = list(self.draft.devices)
        elif self.draft.cpu:
            keys["hardware.cpu"] = True
        return {**keys, **self.draft.mine}

    def memory_if(self, key: str, value: Any) -> int | None:
        """By how many bytes the estimate would change with this value; None where the value is not allowed, or nothing is known yet."""
        from loratui.core.errors import LoratuiError
        from loratui.core.presets import AUTO
        from loratui.core.proposal import propose

        now, device = self.proposal, self.device()
        if now is None or device is None:
            return None
        try:
            changed = propose(self._situation(now.spec, device), self.presets.get(self.draft.preset, AUTO), {**self.given(), key: value})
        except LoratuiError:
            return None
        return changed.memory.total_bytes - now.memory.total_bytes

    def recompute(self) -> None:
        """Compute the proposal from model, data, device, preset and the values set by hand."""
        spec, device = self.spec, self.device()
        if spec is None or device is None:
            self.proposal, self.plan_problem, self.change_bytes = None, "", 0
            return
        from loratui.core.errors import LoratuiError
        from loratui.core.presets import AUTO
        from loratui.core.proposal import propose

        self.change_bytes = 0
        self._counted_free_bytes = device.memory_free_bytes
        try:
            self.proposal = propose(
                self._situation(spec, device), self.presets.get(self.draft.preset, AUTO), self.given()
            )
        except LoratuiError as error:
            self.plan_problem = error.sentence
            return
        self.plan_problem = ""

    def _situation(self, spec: ModelSpec, device: Device) -> Situation:
        from loratui.core.proposal import Situation
        from loratui.models.adapter import read_adapter

        folder = self.given().get("lora.adapter", "")
        return Situation(
            spec, self.data_facts(), device, self._disk_free_bytes(device), self.measurements, read_adapter(str(folder)) if folder else None
        )

    def _disk_free_bytes(self, device: Device) -> int | None:
        """Free where runs go; None when planning for another machine."""
        return None if self.machine is None or device.simulated else self.machine.host.disk_free_bytes

    def take_measurements(self, measurements: tuple[Measurement, ...]) -> None:
        """Take up what runs have measured; the proposal's time follows."""
        if measurements != self.measurements:
            self.measurements = measurements
            if self.proposal is not None:
                self._found("plan")

    def refresh(self) -> None:
        """Compute the proposal again, after presets or measurements came in."""
        self._found("plan")

    # What is missing

    def problems(self, step: str) -> list[Problem]:
        """What stands between `step` and the next one, the first to mend first."""
        return missing(self, step)

    def ready(self) -> list[Problem]:
        """What stands between the draft and a training, over all steps."""
        return [problem for step in STEPS[:5] for problem in self.problems(step) if problem.blocking]

    def done(self, step: str) -> bool:
        """Whether a step was visited and nothing blocks it."""
        if step not in self.draft.visited:
            return False
        if step == "training":
            return bool(self.draft.run)
        return not any(problem.blocking for problem in self.problems(step))


_NOTHING = object()
