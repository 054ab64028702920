"""`loratui plan`: the calculation core, headless."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loratui.commands.datasets import datasets_option
from loratui.commands.other_trainers import memory_verdict, told, under
from loratui.commands.situation import asked_for
from loratui.commands.text import parts_table, table
from loratui.commands.why import find_key, shown, why_json, why_text
from loratui.core.errors import InputError
from loratui.format import duration, printable, size
from loratui.terminal import say, say_json

if TYPE_CHECKING:
    from loratui.core.presets import Preset
    from loratui.core.proposal import Proposal
    from loratui.core.situation import Situation


@click.command()
@click.option("-m", "--model", required=True, metavar="MODEL", help="Hub id, local folder, or `demo`.")
@datasets_option("File, folder, hub id, or `demo`; without it 1,000 rows are supposed.")
@click.option(
    "-p",
    "--preset",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="A preset to start from, its file, or another tool's YAML (Axolotl, LLaMA-Factory, TRL).",
)
@click.option(
    "-s",
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the plan, e.g. lora.r=32; may be repeated.",
)
@click.option("--gpu", metavar="NAME", help='Plan for a GPU of the catalogue ("A10G", "RTX 4090") or a size ("24GB").')
@click.option("--gpu-memory", metavar="SIZE", help='Plan for a GPU with so much memory, e.g. "24GB" or "16GiB".')
@click.option(
    "--as",
    "tool",
    metavar="TOOL",
    help=(
        "Show the memory in another trainer, too: llama-factory, axolotl, transformers, unsloth, ms-swift, torchtune …"
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--why",
    "asked",
    metavar="KEY",
    help=(
        "Explain one value (lora.r, learning_rate …) with the guides' tables; `generation` tells those of the "
        "playground."
    ),
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan to this file.")
def command(
    model: str,
    datasets: tuple[str, ...],
    preset: str,
    settings: tuple[str, ...],
    gpu: str | None,
    gpu_memory: str | None,
    tool: str | None,
    as_json: bool,
    asked: str | None,
    output: Path | None,
) -> None:
    """Propose every hyperparameter, with its reason, its parameters, memory and schedule."""
    if asked is not None:
        asked = find_key(asked)
    situation, chosen, by_hand = asked_for(model, datasets, preset, settings, gpu, gpu_memory)
    from loratui.core.proposal import propose
    from loratui.core.proposal_json import proposal_json
    from loratui.models.adapter import require_fit

    proposal = propose(situation, chosen, by_hand)
    if situation.adapter is not None:
        require_fit(proposal.plan, situation.adapter)
    if output is not None:
        write_plan(proposal, output)
    if asked is not None:
        if as_json:
            say_json(why_json(asked, proposal))
        else:
            say(why_text(asked, proposal))
        return
    from loratui.core.compare_methods import compare_methods, methods_json

    facts = {
        **proposal_json(proposal),
        "methods": methods_json(compare_methods(situation, chosen, by_hand, beside=proposal)),
    }
    if gpu_memory and output is not None:
        facts["warnings"].append(
            "The file does not keep --gpu-memory: `loratui export` judges it by this machine. --gpu with a card or a "
            'size ("24GB") is kept.'
        )
    known = None
    if tool is not None:
        from loratui.export.memory import elsewhere_json

        known = under(proposal, tool)
        facts["elsewhere"] = elsewhere_json(known)
    if as_json:
        say_json(facts)
    else:
        say(describe(proposal, facts, _several(proposal, situation, chosen, by_hand)))
        if known is not None:
            say(f"\n{told(known)}")
        if output is not None:
            file = printable(str(output))
            choose = "" if proposal.plan.dataset.named else " --set dataset.path=DATASET"
            say(f"\nThe plan is in {file}. Train with: loratui train {file}{choose}")


def part_lines(proposal: Proposal) -> list[str]:
    """Of a mix what an epoch draws of each part; nothing where the dataset is one."""
    about = [
        {
            "name": part.name,
            "weight": part.weight,
            "examples": facts.examples,
            "eval_examples": facts.eval_examples,
            "tokens": round(facts.examples * facts.mean),
        }
        for part, facts in zip(proposal.plan.dataset.parts, proposal.data.parts, strict=False)
    ]
    return [f"{'' if proposal.data.exact else 'about '}an epoch of the mix:", parts_table(about)] if about else []


def write_plan(proposal: Proposal, output: Path) -> None:
    """Write the plan's TOML; InputError where the file cannot be written."""
    from loratui.core.plan_text import plan_to_toml

    try:
        output.write_text(plan_to_toml(proposal.plan), encoding="utf-8")
    except OSError as error:
        raise InputError(f"the plan cannot be written: {error.strerror or error}.", where=str(output)) from None


def _several(proposal: Proposal, situation: Situation, preset: Preset, by_hand: dict[str, Any]) -> int:
    """How many of the same GPU would have room for what one has not, as the calculation proposes it for them; 0 where
    it was not asked, or no number up to 8 has.
    """
    from loratui.core.proposal import propose

    device = situation.device
    if proposal.fits or device.kind != "gpu" or device.count > 1 or proposal.plan.cluster.engine:
        return 0
    for count in (2, 4, 8):
        there = situation._replace(device=replace(device, count=count))
        if propose(there, preset, {**by_hand, "hardware.devices": list(range(count))}).fits:
            return count
    return 0


def describe(proposal: Proposal, facts: dict[str, Any], several: int = 0) -> str:
    """The proposal and its facts as text: the recipe with its reasons, parameters, memory, schedule and warnings.

    several: how many of the device would have room; 0: not known.
    """
    from loratui.core.situation import supposed_words

    memory, schedule, parameters = facts["memory"], facts["schedule"], facts["parameters"]
    plan = proposal.plan
    rows = f"no dataset: {supposed_words(proposal.data)}" if proposal.data.supposed else plan.dataset.named
    lines = [f"{plan.model.id} · {plan.method.kind} · {rows}", ""]
    full = plan.method.kind == "full"
    keys = [key for key in proposal.recommendations if not (full and key.startswith("lora."))]
    lines.append(table([[key, shown(plan.get(key)), proposal.origins[key], proposal.why(key)] for key in keys]))
    share = parameters["trainable"] / parameters["total"] if parameters["total"] else 0.0
    lines += [
        "",
        f"parameters  {parameters['total']:,} · trained {parameters['trainable']:,} ({share:.2%} of the base)",
    ]
    lines += part_lines(proposal)
    lines.append(
        f"schedule    {schedule['examples']:,} rows · {schedule['effective_batch_size']} a step · "
        f"{schedule['steps_per_epoch']:,} steps an epoch · {schedule['total_steps']:,} steps · warm-up "
        f"{schedule['warmup_steps']}"
    )
    if facts["time"]:
        low, high = facts["time"]["seconds"]
        lines.append(
            f"time        {duration(low)} to {duration(high)} on {proposal.device.name}, "
            f"{proposal.time.counted if proposal.time else ''}; {facts['time']['basis']}"
        )
    lines.append(
        f"memory      {size(memory['total'])} of {size(memory['budget'])} · "
        f"{memory_verdict(memory)}{f' · {proposal.memory_basis}' if proposal.memory_basis else ''}"
    )
    lines.append(
        table([[name, size(part)] for name, part in memory["parts"].items()], indent="  ", right=frozenset({1}))
    )
    if memory["peak_phase"] == "load":
        lines.append(f"  {memory['peak_where']}")
    lines += ["", "methods, each at its best settings here:", _methods(facts["methods"])]
    lines += _alternatives(proposal, facts["alternatives"], several)
    if facts["warnings"]:
        lines += ["", *(f"note: {warning}" for warning in facts["warnings"])]
    return "\n".join(lines)


def _alternatives(proposal: Proposal, alternatives: list[dict[str, Any]], several: int) -> list[str]:
    """The changes that need less memory, each with what it costs and the exact settings that reach it."""
    lines = []
    if alternatives:
        lines += ["", "to need less memory (set all of a line, what is in brackets holds the rest as it is):"]
    for one in alternatives:
        own, rest = (
            " ".join(
                f"--set {key}={shown(value)}" for key, value in one["change"].items() if (key in one["held"]) is held
            )
            for held in (False, True)
        )
        lines += [f"  {size(one['memory_total']):>9}  {one['cost']}", f"  {'':9}  {own}{f' [{rest}]' if rest else ''}"]
    if not proposal.fits and not any(one["fits"] for one in alternatives):
        beside = "none of these makes" if alternatives else "nothing that could be changed makes"
        name, numbers = proposal.device.name, ",".join(map(str, range(several)))
        on = f"a single {name}" if proposal.device.kind == "gpu" and proposal.device.count == 1 else name
        take = f", or {several} of them (--set hardware.devices={numbers}, which fits)" if several else ""
        lines += ["", f"{beside} it fit {on}, nor do all together: take a smaller model or a larger GPU{take}."]
    return lines


def _methods(methods: list[dict[str, Any]]) -> str:
    """Full, LoRA and QLoRA side by side; the chosen one is marked."""
    rows = [["", "", "memory", "", "time", "result", "batch", "weights"]]
    unlike = len({one["time_basis"] for one in methods if one["seconds"]}) > 1
    for one in methods:
        batch, dtype = one["settings"]["training.batch_size"], one["settings"]["model.dtype"]
        four_bit = "4 bit" if one["method"] == "qlora" else ""
        recomputed = "checkpointing" if one["settings"]["training.checkpointing"] else ""
        rows.append(
            [
                "▸" if one["chosen"] else " ",
                one["method"],
                size(one["memory_total"]),
                one["verdict"],
                _time_of(one, told=unlike),
                size(one["result_bytes"]),
                str(batch),
                ", ".join(filter(None, (dtype, four_bit, recomputed))),
            ]
        )
    return table(rows, right=frozenset({2, 5, 6}))


def _time_of(one: dict[str, Any], *, told: bool) -> str:
    """A method's time as a range. told: with what it rests on, where that is not the same for all."""
    if not one["seconds"]:
        return "not known"
    basis = f" ({one['time_basis']})" if told else ""
    return f"{' to '.join(duration(seconds) for seconds in one['seconds'])}{basis}"
