"""The model card (README.md) beside a finished run's result: how it was made, as the run's own files say, and nothing
more.

A card travels: to a hub, to colleagues. So it names local files by their last part alone, repeats no row, prompt or
answer, and whatever text comes from outside (names of models, files and runs) stands in it as code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from loratui.core.mix import named_paths, with_paths
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.core.preferences import described, is_preference
from loratui.export.torch_code import FORMATS, quantization_code
from loratui.files import DOCUMENT_LIMIT_BYTES, open_regular, write_whole
from loratui.format import number_text
from loratui.runs.card_dataset import code, dataset_rows, hub_name, hub_sets, short
from loratui.runs.directory import Run
from loratui.runs.events import Fix
from loratui.runs.story import Change, Story, read_story

CARD = "README.md"
MARK = "<!-- loratui: written from the run's own files -->"
"""Stands in every card of ours: one without it belongs to somebody else and is not replaced unasked."""
PLACE = "PATH_OR_ID"
"""Stands in the code for the folder, or the repository, that the reader has."""
BASE = "PATH_OF_THE_BASE"
"""Stands in the code for a base that is a local folder: its path is nobody's business, and elsewhere it is another."""


def result_folder(run: Run) -> Path:
    """Where the run's result lies, or will lie."""
    return run.model_path if run.plan().method.kind == "full" else run.adapter_path


def write_model_card(run: Run) -> Path:
    """Write the card beside the run's result and return its path. OSError where the disk does not take it."""
    card = result_folder(run) / CARD
    write_whole(card, model_card(run))
    return card


def whose_card(card: Path) -> Literal["ours", "form", "theirs", "none"]:
    """Who wrote a card: we, nobody yet (PEFT's empty form), or a person. OSError where it cannot be read."""
    try:
        with open_regular(card) as file:
            text = file.read(DOCUMENT_LIMIT_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return "none"
    return "ours" if MARK in text else "form" if "[More Information Needed]" in text else "theirs"


def card_at(card: Path, place: str) -> bytes:
    """A card of ours whose code names this folder or repository; empty for another's, and where it cannot be read."""
    try:
        if whose_card(card) != "ours":
            return b""
        return card.read_bytes().replace(json.dumps(PLACE).encode(), json.dumps(place).encode())
    except OSError:
        return b""


def model_card(run: Run, *, place: str = PLACE, merged: str = "") -> str:
    """The card as text. place: folder or repository that the code to load it names. RunError, PlanError: as
    `run.plan()`.

    merged: for the adapter merged into its base, the proof in words.
    """
    plan = run.plan()
    story = read_story(run.events_path)
    parts = [
        _front_matter(plan, bool(merged)),
        MARK,
        f"# {_title(run, plan)}{', merged' if merged else ''}",
        _summary(plan, story, bool(merged)),
        *(["## Merged", merged] if merged else []),
        "## Load it",
        _code(plan, place, bool(merged)),
        "## How it was made",
        _made(run, plan, story),
        "## Losses",
        _losses(story),
        "## The whole plan",
        _whole_plan(plan),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(run: Run, plan: Plan) -> str:
    kind = {"full": "Fine-tuned model", "lora": "LoRA adapter", "qlora": "QLoRA adapter"}[plan.method.kind]
    return f"{kind} {code(run.name)}"


def _front_matter(plan: Plan, merged: bool) -> str:
    """YAML that the hub reads. Names are written as JSON strings, which YAML reads as they are."""
    base = hub_name(plan.model.id)
    full = plan.method.kind == "full" or merged
    data = hub_sets(plan)
    lines = [
        "---",
        *([f"base_model: {json.dumps(base)}"] if base else []),
        f"library_name: {'transformers' if full else 'peft'}",
        "pipeline_tag: text-generation",
    ]
    if data:
        lines += ["datasets:", *(f"- {json.dumps(name)}" for name in data)]
    learnt = plan.training.objective
    tags = (
        [*(["lora", "merged"] if merged else []), learnt, "loratui"]
        if full
        else ["lora", *(["qlora"] if plan.method.kind == "qlora" else []), learnt, "transformers", "loratui"]
    )
    if base:
        tags.insert(0, json.dumps(f"base_model:{'finetune' if full else 'adapter'}:{base}"))
    return "\n".join([*lines, "tags:", *(f"- {tag}" for tag in tags), "---"])


def _summary(plan: Plan, story: Story, merged: bool) -> str:
    finished = story.finished
    base = code(short(plan.model.id)) + (f" at revision {code(plan.model.revision)}" if plan.model.revision else "")
    ending = ""
    if finished is not None:
        ending = f" The training ended{_on_day(finished.time)} after {finished.step:,} steps."
        if finished.result_step and finished.result_step != finished.step:
            ending += (
                f" The weights here are those of step {finished.result_step:,}, whose loss on the held-out rows was "
                "the lowest of those kept."
            )
    local = (
        ""
        if hub_name(plan.model.id) or merged or plan.method.kind == "full"
        else " That base comes with loratui, which has to be installed to load this."
        if plan.model.id == "demo"
        else f" That base is a local folder: whoever loads this needs it, too, and writes its place for {BASE}."
    )
    made = (
        f"All weights of {base} were"
        if plan.method.kind == "full"
        else f"{base} with an adapter merged into it,"
        if merged
        else f"An adapter for {base},"
    )
    return (
        f"{made} trained with loratui.{ending}{local}\n\n"
        "What it is good for, where it fails, and under which licence it may be used was not recorded by the "
        "training: please add it here."
    )


def _on_day(moment: float) -> str:
    """`on 2026-11-25`; empty for what is no moment of a calendar."""
    try:
        return f" on {datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
    except (OverflowError, ValueError, OSError):
        return ""


def _code(plan: Plan, place: str, merged: bool) -> str:
    """Python that loads the result as it was trained."""
    dtype = FORMATS[plan.model.dtype]
    where = json.dumps(place)
    if plan.method.kind == "full" or merged:
        lines = [
            "import torch",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f"model = AutoModelForCausalLM.from_pretrained({where}, dtype=torch.{dtype})",
            f"tokenizer = AutoTokenizer.from_pretrained({where})",
        ]
        return _fenced("\n".join(lines), "python")
    demo = plan.model.id == "demo"
    options = [
        "str(demo_model_path())" if demo else json.dumps(hub_name(plan.model.id) or BASE),
        *([f"revision={json.dumps(plan.model.revision)}"] if plan.model.revision else []),
        f"dtype=torch.{dtype}",
    ]
    names = ["AutoModelForCausalLM", "AutoTokenizer"]
    quantised = []
    if plan.method.quantization != "none":
        names.append("BitsAndBytesConfig")
        method = plan.method
        held = quantization_code(
            method.quantization, double=method.double_quantization, compute_dtype=method.compute_dtype
        )
        quantised = [f"quantization = {held}"]
        options.append("quantization_config=quantization")
    lines = [
        "import torch",
        *(["from loratui.paths import demo_model_path"] if demo else []),
        "from peft import PeftModel",
        f"from transformers import {', '.join(names)}",
        "",
        *quantised,
        f"base = AutoModelForCausalLM.from_pretrained({', '.join(options)})",
        f"model = PeftModel.from_pretrained(base, {where})",
        f"tokenizer = AutoTokenizer.from_pretrained({where})",
    ]
    return _fenced("\n".join(lines), "python")


def _made(run: Run, plan: Plan, story: Story) -> str:
    machine, prints = run.machine(), run.fingerprint()
    started, data = story.started, story.data
    training = plan.training
    rows: list[tuple[str, str]] = [("method", _method(plan))]
    if is_preference(plan):
        rows.append(("objective", described(plan)))
    if started is not None and started.parameters_total:
        rows.append(("trained weights", f"{started.parameters_trainable:,} of {started.parameters_total:,}"))
    rows += dataset_rows(plan, data)
    if data is not None:
        rows.append(
            ("rows", f"{data.examples:,} trained on, {data.eval_examples:,} held out, {data.left_out:,} left out")
        )
        rows.append(
            (
                "tokens of these rows",
                (
                    f"{data.tokens:,}, of which {data.trained_tokens:,} bear loss; {data.cut:,} rows cut at "
                    f"{training.max_length:,} tokens"
                ),
            )
        )
    found = prints.get("data", {})
    for part, words in (
        ("train", "fingerprint of the rows trained on"),
        ("held_out", "fingerprint of the rows held out"),
    ):
        if found.get(part):
            rows.append((words, code(found[part])))
    live = {"batch_size": training.batch_size, "accumulation": training.accumulation, "processes": 1}
    live |= {name: getattr(training, name) for name in ("learning_rate", "weight_decay", "seed")}
    live |= started.in_force if started is not None else {}  # as read out of the live trainer; the plan's in older runs
    devices = f" on {live['processes']} devices" if live["processes"] != 1 else ""
    rows.append(("batch", f"{live['batch_size']} rows × {live['accumulation']} accumulated, per device{devices}"))
    if story.made:
        rows.append(("steps made", f"{story.made:,} of {story.total_steps or story.made:,}"))
    if story.highest_rate is not None:
        rows.append(
            ("learning rate of the steps", f"highest {story.highest_rate:.3g}, last {story.last_rate or 0.0:.3g}")
        )
    falls = f"{training.scheduler.replace('_', ' ')}, {training.warmup_steps} warm-up steps"
    rows.append(("learning rate", f"{number_text(live['learning_rate'])}, {falls}"))
    optimizer = code(training.optimizer) + (f" ({code(live['optimizer'])})" if live.get("optimizer") else "")
    rows.append(("optimizer", f"{optimizer}, weight decay {live['weight_decay']:g}, seed {live['seed']}"))
    if machine.get("device"):
        rows.append(("device", code(machine["device"])))
    versions = machine.get("versions", {})
    if isinstance(versions, dict) and versions:
        rows.append(("versions", ", ".join(code(f"{name} {number}") for name, number in versions.items())))
    resumed = story.starts - 1
    rows += [
        (
            f"changed at step {one.fix.at_step or one.fix.from_step:,}",
            f"{_changes(one.fix)}; {_start(one.fix)}{_helped(one)}",
        )
        for one in story.changes
    ]
    if resumed > 0:
        rows.append(("resumed", f"{resumed} time{'s' if resumed > 1 else ''}"))
    if story.findings:
        rows.append(("found during the training", ", ".join(code(name) for name in story.findings)))
    return _table(("", ""), rows)


def _changes(fix: Fix) -> str:
    """Keys with both values; local files by their last part, as everywhere in a card."""
    shown = {
        key: [short(value) if isinstance(value, str) and value else value for value in pair]
        for key, pair in fix.changes.items()
        if key != "evaluation.prompts"
    }
    return (
        ", ".join(f"{code(key)} {code(old)} → {code(new)}" for key, (old, new) in shown.items())
        or "nothing in the plan"
    )


def _start(fix: Fix) -> str:
    return {
        "checkpoint": f"on from step {fix.from_step:,}",
        "adapter": f"on from the weights of step {fix.from_step:,}",
    }.get(fix.start, "anew from the base")


def _helped(change: Change) -> str:
    if change.outcome is None:
        return ""
    return ", which helped" if change.outcome.helped else ", which did not help"


def _method(plan: Plan) -> str:
    if plan.method.kind == "full":
        return f"full fine-tuning in {plan.training.precision}"
    lora = plan.lora
    targets = lora.targets if isinstance(lora.targets, str) else ", ".join(lora.targets)
    variant = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA"}[lora.variant]
    quantised = f" on a base quantised to {plan.method.quantization}" if plan.method.quantization != "none" else ""
    return (
        f"{variant}, rank {lora.r}, alpha {lora.alpha:g}, dropout {lora.dropout:g}, on {code(targets)}{quantised}; "
        f"{plan.training.precision}"
    )


def _losses(story: Story) -> str:
    parts = []
    if story.first_loss is not None and story.last_loss is not None:
        (first, begun), (last, ended) = story.first_loss, story.last_loss
        parts.append(f"Loss of the batch at step {first:,}: {begun:.4f}; at step {last:,}: {ended:.4f}.")
    shown = story.listed
    if not shown:
        return "\n\n".join([*parts, "Nothing was evaluated during the training."])
    columns = [
        ("loss", "loss", "{:.4f}"),
        ("perplexity", "perplexity", "{:.2f}"),
        ("preference_accuracy", "pairs in the right order", "{:.3f}"),
        ("reward_margin", "reward margin", "{:.4f}"),
        ("kl", "KL", "{:.3f}"),
        ("chosen_loss", "loss of chosen answers", "{:.4f}"),
        ("log_odds", "log odds", "{:.3f}"),
        ("token_accuracy", "token accuracy", "{:.3f}"),
        ("exact_match", "exact match", "{:.3f}"),
        ("rouge_l", "ROUGE-L", "{:.3f}"),
    ]
    columns = [column for column in columns if any(getattr(one, column[0]) is not None for one in shown)]
    names = list(dict.fromkeys(name for one in shown for name in one.loss_by_part))
    rows = [
        (
            f"{one.step:,}",
            *(form.format(value) if (value := getattr(one, name)) is not None else "–" for name, _, form in columns),
            *("–" if (loss := one.loss_by_part.get(name)) is None else f"{loss:.4f}" for name in names),
        )
        for one in shown
    ]
    middle = story.evaluations - len(shown)
    left = f" ({middle:,} in the middle are not listed)" if middle else ""
    asked = story.generated
    note = f" Exact match and ROUGE-L are of answers to {asked:,} of these rows." if asked else ""
    parts.append(f"On {shown[-1].rows:,} held-out rows{left}.{note}")
    by_part = [f"loss on {code(name)}" for name in names]
    parts.append(_table(("step", *(words for _, words, _ in columns), *by_part), rows))
    return "\n\n".join(parts)


def _whole_plan(plan: Plan) -> str:
    """plan.toml as it was, but for places on somebody's disk and for prompts."""
    told = with_paths(plan, {key: short(path) for key, path in named_paths(plan).items() if path})
    text = plan_to_toml(with_values(told, {"evaluation.prompts": []}), comments=False)
    return "Local files are named by their last part; prompts are left out.\n\n" + _fenced(text.strip(), "toml")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _fenced(text: str, language: str) -> str:
    """A code block that its own text cannot end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
