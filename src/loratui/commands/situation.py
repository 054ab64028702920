"""What a command was asked to plan: model, rows and device, the preset, and the values that were set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loratui.commands.datasets import dataset_values
from loratui.core.errors import InputError, LoratuiError
from loratui.format import printable
from loratui.terminal import say

if TYPE_CHECKING:
    from loratui.core.cluster_section import ClusterSection
    from loratui.core.dataset import DataFacts
    from loratui.core.hardware import Device
    from loratui.core.plan import Plan
    from loratui.core.presets import Preset
    from loratui.core.situation import Situation


def asked_for(
    model: str,
    datasets: Sequence[str],
    preset: str,
    settings: tuple[str, ...],
    gpu: str | None,
    gpu_memory: str | None,
) -> tuple[Situation, Preset, dict[str, Any]]:
    """Model, dataset and device, the preset, and the values that were set. Raises LoratuiError where one cannot be
    used.
    """
    if gpu and gpu_memory:
        raise InputError("--gpu and --gpu-memory exclude each other.", hint="Give one of them.")
    for option, text in (("--gpu", gpu), ("--gpu-memory", gpu_memory)):
        if text is not None and not text.strip():
            raise InputError(f"{option} is empty.", hint='Name a GPU ("A10G"), a size ("24GB"), or leave it out.')
    from loratui.core.plan_text import parse_setting
    from loratui.core.situation import Situation
    from loratui.machine.device import parse_memory_size
    from loratui.machine.processor_formats import unmeasured
    from loratui.models.adapter import read_adapter
    from loratui.models.find import find_model, with_exact_shape
    from loratui.presets_store import find_preset
    from loratui.runs.measured import as_asked, read_measurements

    by_hand: dict[str, Any] = dict(parse_setting(text) for text in settings)
    found = with_exact_shape(find_model(model), lambda sentence: say(printable(sentence), err=True))
    by_hand["model.id"] = model
    chosen = find_preset(preset)
    section = cluster_section(chosen, by_hand)
    devices, named = by_hand.get("hardware.devices", []), gpu or by_hand.get("hardware.gpu", "")
    memory = parse_memory_size(gpu_memory) if gpu_memory else None
    device, disk_free = asked_device(section, named, devices, memory, cpu=by_hand.get("hardware.cpu", False))
    if gpu:
        by_hand["hardware.gpu"] = gpu
    for key, value in dataset_values(datasets).items():
        if by_hand.setdefault(key, value) != value:
            raise InputError(f"--dataset and --set {key} name two datasets.", hint="Give one of them.")
    if by_hand.get("dataset.parts"):
        by_hand.setdefault("dataset.path", "")
    values = {**chosen.values, **by_hand}
    try:
        data = facts_of(values)
    except LoratuiError as error:
        if by_hand.keys() & {"dataset.path", "dataset.parts"}:
            raise
        data, unread = None, f"{chosen.name} names the dataset {values['dataset.path']}: {error.sentence}"
        chosen = replace(chosen, notes=(*chosen.notes, unread))
    adapter = read_adapter(by_hand["lora.adapter"]) if by_hand.get("lora.adapter") else None
    if unmeasured(device, found.spec):
        from loratui.workers.processor import measured

        device = measured(device, found.spec, lambda sentence: say(printable(sentence), err=True))
    measured_here = as_asked(read_measurements(), model)
    return Situation(found.spec, data, device, disk_free, measured_here, adapter), chosen, by_hand


def situation_of(plan: Plan) -> Situation:
    """What a whole plan rests on, on this machine. LoratuiError where model, rows or device are not found."""
    from loratui.core.plan_text import fields
    from loratui.core.situation import Situation
    from loratui.machine.detect import detect_machine
    from loratui.machine.device import device_for
    from loratui.models.adapter import read_adapter
    from loratui.models.find import find_model
    from loratui.runs.measured import as_asked, read_measurements

    spec = find_model(plan.model.id, revision=plan.model.revision, online=False).spec
    device = device_for(detect_machine(), plan.hardware.devices, cpu=plan.hardware.cpu)
    adapter = read_adapter(plan.lora.adapter) if plan.lora.adapter else None
    measured_here = as_asked(read_measurements(), plan.model.id)
    return Situation(spec, facts_of({key: plan.get(key) for key in fields()}), device, None, measured_here, adapter)


def asked_device(
    section: ClusterSection, named: str, devices: Sequence[int], memory: int | None = None, *, cpu: bool = False
) -> tuple[Device, int | None]:
    """What a plan is calculated for, and the free bytes of this machine's disk where it is this machine.

    section: where a scheduler is to place the run. named: a GPU or a size; "" for what is here, or in the cluster.
    devices: numbers of the GPUs; under a scheduler as many count as it is asked for. memory: bytes of a GPU. Raises
    LoratuiError where a device is not found.
    """
    from loratui.machine.device import device_for, planned_device

    if section.engine and not named:
        from loratui.cluster.gpu_types import planned
        from loratui.cluster.read import read_cluster

        return planned(section, read_cluster(), memory), None
    if named:
        if section.engine:  # as many as the scheduler is asked for
            devices = list(range(section.nodes * max(1, section.gpus_per_node)))
        # nothing of this machine is asked: neither its driver nor its disk
        return planned_device(named, devices, memory), None
    from loratui.machine.detect import detect_machine

    machine = detect_machine()
    device = device_for(machine, devices, gpu_memory_bytes=memory, cpu=cpu)
    return device, None if device.simulated else machine.host.disk_free_bytes


def cluster_section(preset: Preset, by_hand: Mapping[str, Any]) -> ClusterSection:
    """Where a scheduler is to place the run, as the preset and the person say."""
    from loratui.core.cluster_section import ClusterSection

    values = {**preset.values, **by_hand}
    return ClusterSection(
        **{key.removeprefix("cluster."): value for key, value in values.items() if key.startswith("cluster.")}
    )


def facts_of(values: Mapping[str, Any]) -> DataFacts | None:
    """What the calculation knows of the dataset that these plan keys name; None where they name none."""
    if not (values.get("dataset.path") or values.get("dataset.parts")):
        return None
    from loratui.core.plan import DatasetSection
    from loratui.data.planned import planned_facts

    section = DatasetSection(
        **{key.removeprefix("dataset."): value for key, value in values.items() if key.startswith("dataset.")}
    )
    return planned_facts(section, values.get("training.objective", "sft"))
