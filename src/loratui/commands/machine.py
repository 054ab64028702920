"""`loratui machine`: GPUs and host, as the first screen shows them."""

from __future__ import annotations

import json
from dataclasses import asdict
from textwrap import wrap

import click

from loratui.format import size
from loratui.machine.detect import detect_machine
from loratui.machine.report import machine_json, machine_lines


@click.command("machine")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with everything.")
@click.option("--gpus", "catalogue", is_flag=True, help="List the GPUs one can plan for with --gpu.")
def command(as_json: bool, catalogue: bool) -> None:
    """Show the GPUs (NVML) and the host: what is free now, who holds the rest, and what the cards can do."""
    if catalogue:
        show_catalogue(as_json)
        return
    machine = detect_machine()
    if as_json:
        click.echo(json.dumps(machine_json(machine), ensure_ascii=False))
        return
    for line in machine_lines(machine):
        click.echo(click.style(line, fg="yellow") if line.startswith("! ") else line)


def show_catalogue(as_json: bool) -> None:
    """The GPU catalogue as a table that says how well each row is known, or as JSON with every row's source."""
    from loratui.machine.catalogue import all_gpus, statuses

    if as_json:
        click.echo(json.dumps([asdict(gpu) for gpu in all_gpus()], ensure_ascii=False))
        return
    click.echo(f"{'GPU':<24}{'usable':>10}{'bandwidth':>12}{'bf16':>10}{'fp16':>10}{'fp8':>10}  capability  figures")
    for gpu in all_gpus():
        rates = "".join(
            f"{f'{rate:g} T' if rate else '–':>10}" for rate in (gpu.bf16_tflops, gpu.fp16_tflops, gpu.fp8_tflops)
        )
        major, minor = gpu.compute_capability
        usable = size(gpu.memory_usable_bytes)
        click.echo(
            f"{gpu.name:<24}{usable:>10}{gpu.bandwidth_gb_per_second:>7g} GB/s{rates}  {f'{major}.{minor}':<10}  "
            f"{gpu.status}"
        )
    click.echo(
        "\nPeaks are dense, with float32 accumulation, in 10^12 operations a second. Figures (bandwidth and peaks):"
    )
    for status, meaning in statuses().items():
        count = sum(gpu.status == status for gpu in all_gpus())
        for line in wrap(meaning, 78):
            click.echo(f"  {f'{status} ({count})' if meaning.startswith(line) else '':<14}{line}")
    click.echo("--json adds the source of each row.")
