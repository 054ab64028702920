"""Which GPUs a training process would see: CUDA_VISIBLE_DEVICES and a batch scheduler's share.

Source: CUDA C++ Programming Guide, "CUDA Environment Variables" (CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER); MIG User
Guide, "Device Names".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from loratui.core.hardware import Gpu

SCHEDULERS = {
    "SLURM_JOB_ID": "slurm",
    "PBS_JOBID": "pbs",
    "LSB_JOBID": "lsf",
    "OAR_JOB_ID": "oar",
    "FLUX_JOB_ID": "flux",
    "SGE_TASK_ID": "sge",
    "KUBERNETES_SERVICE_HOST": "kubernetes",
}


class Visibility(NamedTuple):
    """UUIDs of the GPUs that CUDA would show, and what a person should know of it."""

    uuids: frozenset[str]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def scheduler_of(environment: Mapping[str, str]) -> str:
    """The batch scheduler whose job this process is; empty outside of any."""
    return next((name for variable, name in SCHEDULERS.items() if environment.get(variable)), "")


def visible_gpus(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> Visibility:
    """What CUDA shows of these GPUs under this environment.

    CUDA reads the list from the left and stops at the first entry that means nothing; an empty list or -1 hides all;
    an entry named twice hides all. Numbers count whole cards, not MIG slices.
    """
    everything = frozenset(gpu.uuid for gpu in gpus)
    variable, value = _setting(gpus, environment)
    if value is None or not gpus:
        return Visibility(everything)
    shown: list[str] = []
    problems: list[str] = []
    for entry in (part.strip() for part in value.split(",")):
        uuid, fault = _resolve(entry, gpus)
        if fault:
            problems.append(f"{variable}={value}: {fault}")
        if not uuid:
            break
        if uuid in shown:
            problems.append(f"{variable}={value} names the same GPU twice, so CUDA shows none at all. Name each once.")
            shown = []
            break
        shown.append(uuid)
    visible = frozenset(shown)
    notes = list(_order_note(variable, value, gpus, environment))
    if not visible:
        notes.append(f"{variable}={value!r} hides every GPU from training. Unset it to use them.")
    elif visible != everything:
        hidden = len(everything) - len(visible)
        notes.append(f"{variable}={value} hides {hidden} of {len(everything)} GPUs from training.")
    return Visibility(visible, tuple(problems), tuple(notes))


def _setting(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> tuple[str, str | None]:
    """Variable that decides, and its value: CUDA's own, else what Slurm allotted without confining the process."""
    if "CUDA_VISIBLE_DEVICES" in environment:
        return "CUDA_VISIBLE_DEVICES", environment["CUDA_VISIBLE_DEVICES"]
    for variable in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
        value = environment.get(variable)
        cards = len({gpu.parent or gpu.uuid for gpu in gpus})
        # Where Slurm confines devices, NVML sees only the allotted ones, and these global numbers mean nothing here.
        if value and len(value.split(",")) < cards:
            return variable, value
    return "CUDA_VISIBLE_DEVICES", None


def _resolve(entry: str, gpus: Sequence[Gpu]) -> tuple[str, str]:
    """UUID that an entry names, and what is wrong with the entry."""
    if entry in ("", "-1", "NoDevFiles"):
        return "", ""
    if entry.lstrip("-").isdigit():
        cards = list(dict.fromkeys(gpu.parent or gpu.uuid for gpu in gpus))
        number = int(entry)
        if not 0 <= number < len(cards):
            return (
                "",
                (
                    f"there is no GPU {entry} here, and CUDA ignores it and all that follow. GPUs are 0 to "
                    f"{len(cards) - 1}."
                ),
            )
        return next(gpu.uuid for gpu in gpus if cards[number] in (gpu.uuid, gpu.parent)), ""
    matches = [gpu.uuid for gpu in gpus if gpu.uuid.lower().startswith(entry.lower())]
    if not matches and entry.upper().startswith("MIG-GPU-"):  # drivers before 470: MIG-GPU-<uuid>/<instance>/<instance>
        card = entry[4:].split("/")[0].lower()
        matches = [gpu.uuid for gpu in gpus if gpu.parent.lower() == card]
        return (
            (matches[0], "")
            if len(matches) == 1
            else ("", f"{entry} is an old name of a slice; use the slice's MIG-… UUID.")
        )
    if not matches:  # a whole card in MIG mode: CUDA takes its first slice
        matches = [gpu.uuid for gpu in gpus if gpu.parent and gpu.parent.lower().startswith(entry.lower())][:1]
    if len(matches) > 1:
        return "", f"{entry} fits {len(matches)} GPUs, and CUDA shows none of them. Write more of the UUID."
    if not matches:
        return "", f"no GPU here has the UUID {entry}, and CUDA ignores it and all that follow."
    return matches[0], ""


def _order_note(variable: str, value: str, gpus: Sequence[Gpu], environment: Mapping[str, str]) -> tuple[str, ...]:
    different = len({gpu.name for gpu in gpus if not gpu.parent}) > 1
    by_number = any(part.strip().isdigit() for part in value.split(","))
    if different and by_number and environment.get("CUDA_DEVICE_ORDER", "") != "PCI_BUS_ID":
        return (
            f"{variable} counts the fastest GPU first unless CUDA_DEVICE_ORDER=PCI_BUS_ID is set; "
            "with unlike GPUs these numbers may mean others than shown here.",
        )
    return ()
