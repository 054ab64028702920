"""Slow or heavy look-ups for the wizard: called in a thread, each returns a value or raises an error with one
sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from loratui.core.dataset import DataFacts, held_out_rows, inspected_facts
from loratui.paths import runs_home

if TYPE_CHECKING:
    from loratui.cluster.facts import Cluster
    from loratui.core.dataset import DataFacts
    from loratui.core.hardware import Device, Machine
    from loratui.core.measured import Measurement
    from loratui.core.plan import DatasetSection, Plan
    from loratui.core.presets import Preset
    from loratui.core.proposal import Proposal
    from loratui.data.preview import Preview
    from loratui.machine.sampler import MachineSampler
    from loratui.models.found import FoundModel
    from loratui.queue.room import Crowd
    from loratui.tui.wizard.draft import Draft


FIRST_SAMPLE_SECONDS = 15.0
"""Longest wait for the first look at the machine."""


@dataclass(frozen=True)
class DatasetView:
    """A dataset as the wizard holds it: its first rows with how they are read, and its counts."""

    preview: Preview
    facts: DataFacts
    preferences: Mapping[str, tuple[Preview, DataFacts]] = field(default_factory=dict)
    """The same rows as each objective that learns preferences reads them, where it can: both sides of pairs, or good
    and bad answers."""
    mix: tuple[str, ...] = ()
    """Names of the parts of a mix, whose rows follow each other; none where the dataset is one."""
    others: str = ""
    """State of the files of the other parts."""

    @property
    def fingerprint(self) -> str:
        """Changes when a file of it does."""
        return self.preview.found.fingerprint + self.others

    def shown(self, objective: str) -> Preview:
        """The first rows as an objective reads them; as answers where it cannot."""
        return self.preferences[objective][0] if objective in self.preferences else self.preview

    def counted(self, objective: str) -> DataFacts:
        """Counts and lengths of the rows as an objective reads them; of answers where it cannot."""
        return self.preferences[objective][1] if objective in self.preferences else self.facts

    def with_exact(self, facts: DataFacts, objective: str) -> DatasetView:
        """With exact lengths for an objective; those of the others, while they are guesses, in proportion."""
        guessed = self.counted(objective)

        def scaled(other: DataFacts) -> DataFacts:
            return other if other.exact or guessed.exact else other.in_proportion(guessed, facts)

        ways = {
            name: (rows, facts if rows.recognition == self.shown(objective).recognition else scaled(counts))
            for name, (rows, counts) in self.preferences.items()
        }
        return replace(self, facts=scaled(self.facts) if objective in ways else facts, preferences=ways)


def choose_device(machine: Machine, draft: Draft) -> Device:
    """The device that the draft's choice means on this machine. Raises MachineError."""
    from loratui.machine.device import device_for

    return device_for(machine, draft.devices, draft.gpu, cpu=draft.cpu)


def look_at_cluster() -> tuple[Cluster | None, str]:
    """The cluster that this machine belongs to, or why it does not answer; slow, for a thread."""
    from loratui.cluster.slurm import is_here

    if not is_here("scontrol"):  # nothing more of it is imported
        return None, ""
    from loratui.cluster.read import find_cluster
    from loratui.core.errors import LoratuiError

    try:
        return find_cluster(), ""
    except LoratuiError as error:
        return None, error.sentence


def cluster_device(cluster: Cluster, placed: Mapping[str, Any]) -> Device:
    """What a training process would run on in this cluster, by the plan's `cluster` values. Raises ClusterError."""
    from loratui.cluster.gpu_types import planned
    from loratui.core.cluster_section import ClusterSection

    section = ClusterSection(**{key.removeprefix("cluster."): value for key, value in placed.items()})
    return planned(section, cluster)


def automatic_device(machine: Machine) -> str:
    """What is taken where nothing was chosen: `gpu:NUMBER`, or `cpu`."""
    from loratui.machine.device import choose_gpu

    gpu = choose_gpu(machine)
    return "cpu" if gpu is None else f"gpu:{gpu.index}"


def start_sampler() -> MachineSampler:
    """A sampler of this machine, already running; waits for its first sample, so call it in a thread."""
    from loratui.machine.sampler import MachineSampler

    sampler = MachineSampler(runs_path=runs_home())
    sampler.start()
    sampler.wait_for_sample(FIRST_SAMPLE_SECONDS)
    return sampler


def load_model(identifier: str) -> FoundModel:
    """The model of this id. Raises ModelError."""
    from loratui.models.find import find_model

    return find_model(identifier)


def load_dataset(path: str, given: dict[str, Any]) -> DatasetView:
    """The dataset at this path, its first rows understood and its rows counted. Raises DatasetError."""
    from loratui.core.plan import plain_plan
    from loratui.data.facts import first_rows, quick_facts
    from loratui.data.find import find_dataset
    from loratui.data.preferences import preference_readings
    from loratui.data.preview import preview, read_again

    chosen = {key.removeprefix("dataset."): value for key, value in given.items() if key.startswith("dataset.")}
    if chosen.get("parts"):
        return _load_mix(plain_plan(dataset={**chosen, "path": ""}).dataset)
    section = plain_plan(dataset={**chosen, "path": path}).dataset
    found = find_dataset(path, encoding=section.encoding)
    head = first_rows(found)
    shown = preview(found, section, head=head)
    ways = {
        objective: (read_again(shown, reading), quick_facts(found, section, reading, head))
        for objective, reading in preference_readings(shown.recognition, section, where=found.path).items()
    }
    return DatasetView(shown, quick_facts(found, section, shown.recognition, head), ways)


def _load_mix(section: DatasetSection) -> DatasetView:
    """Several datasets as one: the first rows of each, and the counts of all."""
    from loratui.core.errors import DatasetError
    from loratui.core.mix import sections_of
    from loratui.data.find import find_planned
    from loratui.data.planned import planned_facts
    from loratui.data.preferences import preference_readings
    from loratui.data.preview import as_one, preview, read_again

    parts, names = sections_of(section), tuple(part.name for part in section.parts)
    found = [find_planned(one) for one in parts]
    shown = [preview(each, one) for each, one in zip(found, parts, strict=True)]
    readings = [
        preference_readings(each.recognition, one, where=each.found.path)
        for each, one in zip(shown, parts, strict=True)
    ]
    ways = {}
    for objective in readings[0]:
        try:
            counts = planned_facts(section, objective)
            rows = [read_again(each, how[objective]) for each, how in zip(shown, readings, strict=True)]
        except (DatasetError, KeyError):  # another part has no pairs: whoever chooses it is told so
            continue
        ways[objective] = as_one(rows, names), counts
    others = "".join(one.fingerprint for one in found[1:])
    return DatasetView(as_one(shown, names), planned_facts(section), ways, names, others)


def load_calculation() -> None:
    """Import what the first proposal takes: in a thread, so that no key waits for it."""
    from loratui.core import proposal, situation  # noqa: F401


def load_presets() -> tuple[dict[str, Preset], tuple[str, ...]]:
    """Every preset by name, and a sentence for each file that was passed over."""
    from loratui import presets_store

    presets, problems = presets_store.load_presets()
    return {preset.name: preset for preset in presets}, tuple(
        f"A preset was passed over: {problem}" for problem in problems
    )


def load_measurements() -> tuple[Measurement, ...]:
    """What runs on this machine reached, oldest first."""
    from loratui.runs.measured import read_measurements

    return read_measurements()


def exact_facts(result: dict[str, Any], *, taken: bool) -> DataFacts | None:
    """Counts and lengths as the check's tokenizer found them; None where no row can be trained on. taken: as in
    DataFacts. Sides of pairs that are judged one by one (KTO) are rows of their own, as in `data.facts.quick_facts`.
    """
    preferences, total = result.get("preferences", {}), result["tokens"]["total"]
    sides: list[int] = preferences.get("side_lengths", [])
    each, lengths = (2, sides) if sides else (1, result["lengths"])
    if not lengths or not result["usable"]:
        return None
    split = result["split"]
    asked: tuple[float, int] = split.get("eval_fraction", 0.0), split.get("eval_count", 0)
    if result.get("parts"):
        return inspected_facts(result["parts"], *asked)
    labels: dict[str, int] = preferences.get("labels", {}) if result.get("objective") == "kto" else {}
    judged = sum(labels.values())
    return DataFacts(
        examples=max(1, each * split["train"]),
        lengths=tuple(sorted(lengths)),
        exact=True,
        trained_share=result["trained_tokens_uncut"] / total if total else 1.0,
        eval_examples=each * split["evaluation"],
        eval_taken=taken,
        eval_asked=each * held_out_rows(result["usable"], *asked) if taken else 0,
        divided=bool(result["divided"]),
        desirable_share=labels["wanted"] / judged if judged else None,
        sides=each,
    )


def start_run(plan: Plan) -> str:
    """Make a run of this plan and start its worker; the run's folder. Raises RunError."""
    from loratui.runs.start import begin_run

    return str(begin_run(plan)[0].path)


def queue_run(proposal: Proposal) -> str:
    """Make a run that waits for its turn on this machine, and see to it that somebody starts it; the run's folder.
    Raises LoratuiError.
    """
    from loratui.queue.wake import wake
    from loratui.runs import enqueue

    seconds, memory = enqueue.predicted(proposal)
    run = enqueue.queue_run(proposal.plan, seconds=seconds, memory=memory)
    wake()
    return str(run.path)


def look_for_crowd(plan: Plan) -> Crowd | None:
    """Who is at work where this plan would train; None where there is room for it, or that cannot be told."""
    from loratui.runs.folders import any_run

    if not any_run():
        return None
    from loratui.core.errors import LoratuiError
    from loratui.queue.room import crowd_of

    try:
        return crowd_of(plan)
    except (LoratuiError, OSError):
        return None


def running_run(besides: str = "") -> str:
    """Name of the newest run that a worker is at work on; empty where there is none. Broken runs are passed over."""
    from loratui.runs.folders import any_run

    if not any_run():
        return ""
    from loratui.core.errors import LoratuiError
    from loratui.runs.listing import list_runs

    try:
        going = [one for one in list_runs() if not one.status.over and str(one.run.path) != besides]
    except (LoratuiError, OSError):
        return ""
    return going[0].name if going else ""
