"""A plan as a task of SkyPilot (0.14): a rented machine on which this program itself trains it, as a managed job.

The run's directory lies in a bucket. Where the machine is taken back SkyPilot rents another, and the task goes on from
the last checkpoint there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import loratui
from loratui.core.errors import InputError
from loratui.core.mix import named_paths, with_paths
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.export.document import Export, Rows, header, yaml_text
from loratui.export.memory import Elsewhere
from loratui.format import plain_letters
from loratui.machine.catalogue import UnknownGpu, find_gpu
from loratui.paths import without_tilde

TOOL = "SkyPilot"
PLAN = "~/loratui-plan"
FILES = "~/loratui-files"
RUNS = "~/loratui-runs"
ACCELERATORS = {
    "A100 40GB": "A100",
    "H100 80GB": "H100",
    "V100 16GB": "V100",
    "RTX 6000 Ada": "RTX6000-Ada",
    "GH200 96GB": "GH200",
}
"""Cards that SkyPilot calls otherwise than this program's catalogue without its spaces (`sky gpus list --all`)."""
MOST = 8
"""GPUs of the largest machines that most clouds rent out; of a few cards there are machines with 12 or 16."""
SETUP = """\
# What pip installs is LORATUI_PACKAGE above: a release, a wheel's address, or git+https://...
python3 -m venv ~/loratui-venv
~/loratui-venv/bin/pip install "$LORATUI_PACKAGE"
"""


def to_skypilot(plan: Plan, rows: Rows, output: str, memory: Elsewhere | None = None) -> Export:
    """The plan as a task. InputError where it needs what no rented machine has, or does not say which GPU."""
    name = _name(output)
    folder = Path(rows.folder)
    mounts, moved = _mounts(plan)
    there = with_values(with_paths(plan, moved), _one_machine(plan))
    document: dict[str, Any] = {
        "name": name,
        "resources": {**_resources(plan), "use_spot": True},
        "num_nodes": 1,
        "envs": {"LORATUI_PACKAGE": f"loratui=={loratui.__version__}"},
        "file_mounts": {PLAN: str(folder), **mounts, RUNS: {"name": name, "mode": "MOUNT_CACHED"}},
        "setup": SETUP,
        "run": _script(name),
    }
    left_out = tuple(_left_out(plan))
    run = "sky jobs launch skypilot.yaml"
    return Export(
        "skypilot",
        header(TOOL, run, left_out) + yaml_text(document),
        left_out,
        run,
        ".yaml",
        files={"plan.toml": plan_to_toml(there)},
    )


def as_trained(plan: Plan, machine: Mapping[str, Any]) -> Plan:
    """A run's plan for this export: where it names no GPU, with the one that the run had, if the catalogue knows it.

    machine: the run's `machine.json`.
    """
    if plan.hardware.gpu or plan.cluster.gpu_type or machine.get("kind") != "cuda":
        return plan
    try:
        return with_values(plan, {"hardware.gpu": find_gpu(str(machine.get("device", ""))).name})
    except UnknownGpu:
        return plan


def _name(output: str) -> str:
    """What job and bucket are called: lower-case letters, digits and dashes, as all clouds take them."""
    stem = re.sub(r"[^a-z0-9]+", "-", plain_letters(Path(output).name).lower().removesuffix("-output")).strip("-")
    return f"loratui-{stem}"[:60].rstrip("-") if stem else "loratui"


def _resources(plan: Plan) -> dict[str, Any]:
    count = _gpus(plan)
    if not count:
        return {"cpus": "8+"}
    wanted = plan.hardware.gpu or plan.cluster.gpu_type
    if not wanted:
        raise InputError(
            "the plan does not say which GPU is to be rented.",
            where="hardware.gpu",
            hint='Set it in the plan\'s file to a card of the catalogue, e.g. gpu = "H100".',
        )
    try:
        card = find_gpu(wanted.replace("_", " "))
    except UnknownGpu:
        return {"accelerators": {wanted: count}}
    if not card.exact:
        raise InputError(
            f"{wanted} is a size, and SkyPilot rents cards by name.",
            where="hardware.gpu",
            hint='Set it in the plan\'s file to a card of the catalogue, e.g. gpu = "H100".',
        )
    plain = re.sub(r"^RTX (?=\d|A)", "RTX", card.name).replace(" ", "-")
    return {"accelerators": {ACCELERATORS.get(card.name, plain): count}}


def _gpus(plan: Plan) -> int:
    """GPUs that train together; 0 on processors."""
    if plan.hardware.cpu or (plan.cluster.engine and not plan.cluster.gpus_per_node):
        return 0
    if plan.processes > MOST:
        raise InputError(
            f"the plan trains on {plan.processes} GPUs, and this export rents one machine: at most {MOST}.",
            where="cluster.nodes",
            hint="The nodes of a rented cluster share no directory in which a run could lie. Plan for fewer GPUs.",
        )
    return plan.processes


def _one_machine(plan: Plan) -> dict[str, Any]:
    """The plan's place, on the rented machine."""
    count = _gpus(plan)
    changes: dict[str, Any] = {key: "" for key in ("hardware.gpu", "cluster.engine")}
    return changes | {"hardware.devices": list(range(count)) if count > 1 else [], "hardware.cpu": not count}


def _mounts(plan: Plan) -> tuple[dict[str, str], dict[str, str]]:
    """Files and folders of this machine by their place there, and the plan's keys that name them."""
    mounts: dict[str, str] = {}
    moved: dict[str, str] = {}
    for key, given in named_paths(plan).items():
        here = without_tilde(given)
        if given in ("", "demo") or not here.exists():
            continue
        place = f"{FILES}/{re.sub(r'[^a-z_0-9]+', '-', key)}/{here.name}"
        mounts[place], moved[key] = str(here.resolve()), place
    return mounts, moved


def _script(name: str) -> str:
    run = f"{RUNS}/{name}"
    return "\n".join(
        [
            f"run={run}",
            "export PATH=~/loratui-venv/bin:$PATH",
            "# On a second machine the run is there already: it goes on from its last whole checkpoint.",
            'if grep -qs \'"state": "finished"\' "$run/status.json"; then exit 0; fi',
            'if [ -f "$run/plan.toml" ]; then',
            '  loratui resume "$run" --yes',
            "else",
            f'  loratui train {PLAN}/plan.toml --output "$run"',
            "fi",
            "",
        ]
    )


def _left_out(plan: Plan) -> list[str]:
    found = []
    if plan.cluster.engine:
        found.append("cluster: what Slurm is asked for has no meaning on a rented machine.")
    if plan.cluster.engine and plan.cluster.nodes > 1:
        count = plan.processes
        found.append(f"cluster.nodes = {plan.cluster.nodes}: one machine is rented, with all {count} GPUs.")
    if plan.cluster.setup:
        found.append("cluster.setup: write what a rented machine needs into `setup`.")
    if plan.model.trust_remote_code:
        found.append("model.trust_remote_code: add --trust-remote-code to `run` once you have read the model's code.")
    if not plan.saving.every_steps:
        found.append("saving.every_steps = 0: nothing is saved before the end, so a machine taken back loses all.")
    return found
