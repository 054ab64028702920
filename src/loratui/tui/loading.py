"""Slow or heavy look-ups for the wizard: called in a thread, each returns a value or raises an error with one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loratui.core.dataset import DataFacts
    from loratui.core.hardware import Device, Machine
    from loratui.core.presets import Preset
    from loratui.data.find import FoundDataset
    from loratui.data.recognise import Recognition
    from loratui.machine.sampler import MachineSampler
    from loratui.models.find import FoundModel
    from loratui.tui.draft import Draft


FIRST_SAMPLE_SECONDS = 15.0
"""Longest wait for the first look at the machine."""


@dataclass(frozen=True)
class DatasetView:
    """A dataset as the wizard holds it: where it is, how it is read, and its counts."""

    found: FoundDataset
    recognition: Recognition
    facts: DataFacts
    rows: tuple[Any, ...]
    """The first rows, as read."""


def choose_device(machine: Machine, draft: Draft) -> Device:
    """The device that the draft's choice means on this machine. Raises MachineError."""
    from loratui.machine.device import cpu_device, device_for

    if draft.cpu:
        return cpu_device(machine.host)
    return device_for(machine, draft.devices, draft.gpu)


def automatic_device(machine: Machine) -> str:
    """What is taken where nothing was chosen: `gpu:NUMBER`, or `cpu`."""
    from loratui.machine.device import choose_gpu

    gpu = choose_gpu(machine)
    return "cpu" if gpu is None else f"gpu:{gpu.index}"


def start_sampler() -> MachineSampler:
    """A sampler of this machine, already running; waits for its first sample, so call it in a thread."""
    from loratui.machine.sampler import MachineSampler
    from loratui.runs.home import runs_home

    sampler = MachineSampler(runs_path=runs_home())
    sampler.start()
    sampler.wait_for_sample(FIRST_SAMPLE_SECONDS)
    return sampler


def load_model(identifier: str) -> FoundModel:
    """The model of this id. Raises ModelError."""
    from loratui.models.find import find_model

    return find_model(identifier)


def load_dataset(path: str, given: dict[str, Any]) -> DatasetView:
    """The dataset at this path, its first rows recognised and counted. Raises DatasetError."""
    from itertools import islice

    from loratui.data.facts import quick_facts
    from loratui.data.find import find_dataset
    from loratui.data.read import read_rows
    from loratui.data.recognise import recognise

    found = find_dataset(path)
    rows = tuple(islice(read_rows(found), 200))
    recognition = recognise(rows, given.get("dataset.format", "auto"), given.get("dataset.columns", {}))
    return DatasetView(found, recognition, quick_facts(found), rows)


def load_presets() -> tuple[dict[str, Preset], tuple[str, ...]]:
    """Every preset by name (a user's own after those that ship), and a sentence for each file that was passed over."""
    from loratui.core.errors import LoratuiError
    from loratui.core.presets import preset_from_toml
    from loratui.resources import presets_path
    from loratui.tui.places import user_presets_path

    presets: dict[str, Preset] = {}
    problems: list[str] = []
    for folder in (presets_path(), user_presets_path()):
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            try:
                preset = preset_from_toml(path.read_text(encoding="utf-8"), path.name)
            except (LoratuiError, OSError, UnicodeDecodeError) as error:
                sentence = error.sentence if isinstance(error, LoratuiError) else f"{path.name}: {error}"
                problems.append(f"A preset was passed over: {sentence}")
                continue
            presets[preset.name] = preset
    return presets, tuple(problems)
