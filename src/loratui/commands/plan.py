"""`loratui plan`: the calculation core, headless."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loratui.commands.text import echo_json, gib, printable, table
from loratui.core.errors import InputError

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal


@click.command()
@click.option("-m", "--model", required=True, metavar="MODEL", help="Hub id, local folder, or `demo`.")
@click.option("-d", "--dataset", metavar="DATASET", help="File, folder, hub id, or `demo`. Without it: 1,000 rows of training.max_length tokens.")
@click.option("-p", "--preset", default="auto", show_default=True, metavar="NAME", help="A preset to start from, its file, or another tool's YAML (Axolotl, LLaMA-Factory, TRL).")
@click.option("-s", "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a key of the plan, e.g. lora.r=32; may be repeated.")
@click.option("--gpu", metavar="NAME", help='Plan for a GPU of the catalogue ("A10G", "RTX 4090") or a size ("24GB").')
@click.option("--gpu-memory", metavar="SIZE", help='Plan for a GPU with so much memory, e.g. "24GB" or "16GiB".')
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--why", "asked", metavar="KEY", help="Explain one value (lora.r, learning_rate …) with the guides' tables; `generation` tells those of the playground.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan to this file.")
def command(
    model: str, dataset: str | None, preset: str, settings: tuple[str, ...], gpu: str | None, gpu_memory: str | None,
    as_json: bool, asked: str | None, output: Path | None,
) -> None:
    """Propose every hyperparameter, with its reason, its parameters, memory and schedule."""
    if asked is not None:
        from loratui.commands.why import find_key, why_json, why_text

        asked = find_key(asked)
    proposal = make_proposal(model, dataset, preset, settings, gpu, gpu_memory)
    if output is not None:
        write_plan(proposal, output)
    if asked is not None:
        if as_json:
            echo_json(why_json(asked, proposal))
        else:
            click.echo(why_text(asked, proposal))
        return
    from loratui.core.proposal import proposal_json

    facts = proposal_json(proposal)
    if dataset is None and not any(text.startswith("dataset.path=") for text in settings):
        facts["warnings"].append("No dataset was given: the figures stand for 1,000 rows of the maximum length, and dataset.path names the demo.")
    if as_json:
        echo_json(facts)
    else:
        click.echo(describe(proposal, facts))
        if output is not None:
            click.echo(f"\nThe plan is in {printable(str(output))}. Train with: loratui train {printable(str(output))}")


def make_proposal(
    model: str, dataset: str | None, preset: str, settings: tuple[str, ...], gpu: str | None, gpu_memory: str | None
) -> Proposal:
    """Find model, dataset and device, and propose. Raises LoratuiError where one of them cannot be used."""
    if gpu and gpu_memory:
        raise InputError("--gpu and --gpu-memory exclude each other.", hint="Give one of them.")
    from loratui.core.plan_text import parse_setting
    from loratui.core.proposal import Situation, propose
    from loratui.machine.detect import detect_machine
    from loratui.machine.device import device_for
    from loratui.machine.sizes import parse_memory_size
    from loratui.models.adapter import read_adapter
    from loratui.models.find import find_model, with_exact_shape
    from loratui.presets_store import find_preset
    from loratui.runs.measured import read_measurements

    mine: dict[str, Any] = dict(parse_setting(text) for text in settings)
    found = with_exact_shape(find_model(model), lambda sentence: click.echo(printable(sentence), err=True))
    mine["model.id"] = model
    machine = detect_machine()
    device = device_for(
        machine, devices=mine.get("hardware.devices", []), gpu=gpu or mine.get("hardware.gpu", ""),
        gpu_memory_bytes=parse_memory_size(gpu_memory) if gpu_memory else None, cpu=mine.get("hardware.cpu", False),
    )
    if gpu:
        mine["hardware.gpu"] = gpu
    if dataset is not None:
        mine["dataset.path"] = dataset
    chosen = find_preset(preset)
    disk_free = None if device.simulated else machine.host.disk_free_bytes
    situation = Situation(found.spec, facts_of(dataset, mine, chosen.values), device, disk_free, read_measurements(), read_adapter(mine["lora.adapter"]) if mine.get("lora.adapter") else None)
    return propose(situation, chosen, mine)


def facts_of(dataset: str | None, mine: Mapping[str, Any], preset: Mapping[str, Any]) -> Any:
    """What the calculation knows of the dataset; without one, rows of the maximum length."""
    from loratui.core.dataset import uniform

    if dataset is None:
        return uniform(1000, int(mine.get("training.max_length", preset.get("training.max_length", 1024))))
    from loratui.core.plan import DatasetSection
    from loratui.data.facts import quick_facts
    from loratui.data.find import find_dataset

    section = DatasetSection(**{key.removeprefix("dataset."): value for key, value in mine.items() if key.startswith("dataset.")})
    return quick_facts(find_dataset(dataset, split=section.split, configuration=section.configuration), section)


def write_plan(proposal: Proposal, output: Path) -> None:
    """Write the plan's TOML; InputError where the file cannot be written."""
    from loratui.core.plan_text import plan_to_toml

    try:
        output.write_text(plan_to_toml(proposal.plan), encoding="utf-8")
    except OSError as error:
        raise InputError(f"the plan cannot be written: {error.strerror or error}.", where=str(output)) from None


def describe(proposal: Proposal, facts: dict[str, Any]) -> str:
    """The proposal and its facts as text: the recipe with its reasons, parameters, memory, schedule and warnings."""
    from loratui.runs.follow import duration

    memory, schedule, parameters = facts["memory"], facts["schedule"], facts["parameters"]
    plan = proposal.plan
    lines = [f"{plan.model.id} · {plan.method.kind} · {plan.dataset.path}", ""]
    rows = [
        [key, _value(plan.get(key)), proposal.origins[key], proposal.why(key)]
        for key in proposal.recommendations
    ]
    lines.append(table(rows))
    share = parameters["trainable"] / parameters["total"] if parameters["total"] else 0.0
    lines += ["", f"parameters  {parameters['total']:,} · trained {parameters['trainable']:,} ({share:.2%} of the base)"]
    lines.append(
        f"schedule    {schedule['examples']:,} rows · {schedule['effective_batch_size']} a step · "
        f"{schedule['steps_per_epoch']:,} steps an epoch · {schedule['total_steps']:,} steps · warm-up {schedule['warmup_steps']}"
    )
    if facts["time"]:
        low, high = facts["time"]["seconds"]
        lines.append(f"time        {duration(low)} to {duration(high)} on {proposal.device.name}, evaluation apart; {facts['time']['basis']}")
    verdict = f"fits, {gib(memory['headroom'])} left" if memory["fits"] else f"does not fit: {gib(-memory['headroom'])} too much"
    lines.append(f"memory      {gib(memory['total'])} of {gib(memory['budget'])} · {verdict}{f' · {proposal.memory_basis}' if proposal.memory_basis else ''}")
    lines.append(table([[name, gib(size)] for name, size in memory["parts"].items()], indent="  ", right=frozenset({1})))
    if facts["alternatives"]:
        lines += ["", "to need less memory:"]
        lines.append(table(
            [[", ".join(f"{k}={_value(v)}" for k, v in one["change"].items()), gib(one["memory_total"]), one["cost"]] for one in facts["alternatives"]],
            indent="  ", right=frozenset({1}),
        ))
    if facts["warnings"]:
        lines += ["", *(f"note: {warning}" for warning in facts["warnings"])]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ",".join(f"{k}:{v}" for k, v in value.items()) or "none"
    return str(value)
