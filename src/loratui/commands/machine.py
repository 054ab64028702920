"""`loratui machine`: GPUs and host, as the first screen shows them."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import wrap

import click

from loratui.cluster.facts import Cluster
from loratui.cluster.queue import look
from loratui.cluster.read import find_cluster
from loratui.cluster.report import cluster_json, cluster_lines
from loratui.cluster.slurm import ClusterError
from loratui.format import size
from loratui.machine.catalogue import all_gpus, statuses
from loratui.machine.detect import detect_machine
from loratui.machine.report import machine_json, machine_lines
from loratui.terminal import Styled, say, say_json


@click.command("machine")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with everything.")
@click.option("--gpus", "catalogue", is_flag=True, help="List the GPUs one can plan for with --gpu.")
def command(as_json: bool, catalogue: bool) -> None:
    """Show the GPUs (NVML) and the host: what is free now, who holds the rest, and what the cards can do."""
    if catalogue:
        show_catalogue(as_json)
        return
    machine = detect_machine()
    cluster, problem = look_at_cluster()
    if as_json:
        told = (
            cluster_json(cluster, look())
            if cluster
            else {"scheduler": "slurm", "problem": problem}
            if problem
            else None
        )
        say_json({**machine_json(machine), "cluster": told}, indent=None)
        return
    lines = machine_lines(machine)
    lines += ["", *cluster_lines(cluster, look())] if cluster else ["", f"! {problem}"] if problem else []
    for line in lines:
        say(Styled(line, color="yellow") if line.lstrip().startswith("! ") else line)


def look_at_cluster() -> tuple[Cluster | None, str]:
    """The cluster that this machine belongs to, or why it does not answer; nothing where there is none."""
    try:
        return find_cluster(), ""
    except ClusterError as error:
        return None, error.sentence


def show_catalogue(as_json: bool) -> None:
    """The GPU catalogue as a table that says how well each row is known, or as JSON with every row's source."""
    if as_json:
        say_json([asdict(gpu) for gpu in all_gpus()], indent=None)
        return
    say(f"{'GPU':<24}{'usable':>10}{'bandwidth':>12}{'bf16':>10}{'fp16':>10}{'fp8':>10}  capability  figures")
    for gpu in all_gpus():
        rates = "".join(
            f"{f'{rate:g} T' if rate else '–':>10}" for rate in (gpu.bf16_tflops, gpu.fp16_tflops, gpu.fp8_tflops)
        )
        major, minor = gpu.compute_capability
        usable = size(gpu.memory_usable_bytes)
        say(
            f"{gpu.name:<24}{usable:>10}{gpu.bandwidth_gb_per_second:>7g} GB/s{rates}  {f'{major}.{minor}':<10}  "
            f"{gpu.status}"
        )
    say("\nPeaks are dense, with float32 accumulation, in 10^12 operations a second. Figures (bandwidth and peaks):")
    for status, meaning in statuses().items():
        count = sum(gpu.status == status for gpu in all_gpus())
        for line in wrap(meaning, 78):
            say(f"  {f'{status} ({count})' if meaning.startswith(line) else '':<14}{line}")
    say("--json adds the source of each row.")
