"""What can be made of a run: what each thing does, whether it is there, where it goes, and the command that makes it.

Looked up in a thread: it reads folders and looks for other tools. Nothing here makes anything.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.export import OURS, export_plan
from loratui.export.gguf import gguf_steps
from loratui.export.serving import Served, can_serve, question, serving_steps
from loratui.export.skypilot import as_trained
from loratui.files import read_document
from loratui.format import duration, size
from loratui.hub.client import offline, read_token
from loratui.paths import demo_model_path, home_short
from loratui.runs.base_files import base_changed
from loratui.runs.directory import Run, step_of
from loratui.runs.merges import OLDER, last_merge_seconds
from loratui.runs.model_card import CARD, result_folder, whose_card
from loratui.runs.result import LeftBehind, left_behind
from loratui.tui.take_away.along import Shown, file_along, merged_along, plan_shown
from loratui.tui.take_away.older import merged_steps, older_words, result_words, weights_bytes
from loratui.workers.command import Exported, GgufFile, Merged, Sent

State = Literal["there", "absent", "old", "needs", "not yet"]
GLYPHS: dict[State, tuple[str, str]] = {
    "there": ("✓", "$success"),
    "absent": ("○", "$text-muted"),
    "old": ("▲", "$warning"),
    "needs": ("▲", "$warning"),
    "not yet": ("·", "$foreground-disabled"),
}
TOOLS = {
    "axolotl": ("Axolotl", "axolotl.yaml"),
    "llama-factory": ("LLaMA-Factory", "llama-factory.yaml"),
    "trl": ("TRL command", "trl.yaml"),
    "unsloth": ("Unsloth script", "train_unsloth.py"),
    "transformers": ("Transformers script", "train_transformers.py"),
    "skypilot": ("SkyPilot task", "skypilot.yaml"),
}
CONVERTED = "The plan as this tool's file, with the rows beside it, converted and split as they were trained."
RENTED = (
    "A task that trains the plan with this program on a rented machine: its files are mounted as they lie, and the run "
    "in a bucket, so that a machine that is taken back loses little."
)
NOT_FINISHED = "The run has no result yet: it is there when the run is finished."


@dataclass(frozen=True)
class Output:
    """One line of the list, and what is told about it."""

    key: str
    group: str
    name: str
    state: State
    words: str
    """The state in a few words."""
    what: str
    place: str = ""
    command: tuple[str, ...] = ()
    """What makes it, after the word `loratui`; empty where there is nothing to make."""
    problem: str = ""
    """Why it cannot be made now; "" where it can."""
    notes: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    """Further commands, each with what it does."""
    took_seconds: float | None = None
    """What making it took the last time on this machine; None where that was not measured."""
    shows: Shown = ("", "")
    """The file that is made, or that goes along with it, below everything else."""
    asks: bool = False
    """Something leaves this machine: the person is asked first."""
    makes: type[Merged | Sent | GgufFile | Exported] | None = None
    """What the command says that it made; None where a line tells it."""
    quiet: tuple[str, ...] = ()
    """What is added to the command so that it says so."""
    again: str = ""
    """What making it again does to what is there: the person is asked first. Empty: nothing is there, or it stays."""
    warning: str = ""
    """What a person should know before it is made or used, though it can be."""

    @property
    def line(self) -> str:
        """The command as one types it."""
        return typed(shlex.join(("loratui", *self.command))) if self.command else ""


def typed(line: str) -> str:
    """A command with the home folder written as `~`, where the shell still understands it."""
    home = str(Path.home())
    return line if home == "/" or "'" in line else line.replace(f" {home}/", " ~/")


def outputs_of(run: Run) -> list[Output]:
    """Everything that can be made of a run. RunError, PlanError where its plan cannot be read."""
    plan = run.plan()
    folder = result_folder(run)
    done = (folder / ("config.json" if plan.method.kind == "full" else "adapter_config.json")).is_file()
    left = left_behind(run) if done else None
    card = file_along(run, done=done)
    made = [
        *_result(run, plan, folder, done, left),
        *_next(run, plan, done),
        *_whole(run, plan, done),
        *_elsewhere(run, plan, folder, done),
    ]
    cards = {"merge": merged_along(run)} if done else {}
    older = f"The {folder.name} is {older_words(left)}." if left is not None else ""
    told = (
        replace(one, shows=cards.get(one.key, card), warning=older if one.key != "checkpoint" else "") for one in made
    )
    return [*told, *_exports(run, plan)]


def _result(run: Run, plan: Plan, folder: Path, done: bool, left: LeftBehind | None) -> Iterator[Output]:
    full = plan.method.kind == "full"
    name = "model" if full else "adapter"
    what = (
        "The whole model as transformers keeps it: weights, config and tokenizer."
        if full
        else (
            "The adapter as PEFT keeps it: small, and loaded on top of its base. Copy this folder, or load it where "
            "it lies."
        )
    )
    yield Output(
        "result",
        "Result",
        name.capitalize(),
        "not yet" if not done else "there" if left is None else "old",
        result_words(folder, left) if done else "not finished",
        what,
        home_short(folder),
        problem="" if done else NOT_FINISHED,
    )
    yield from _checkpoint(run, full) if not done or left is not None else ()
    state, words = CARDS[whose_card(folder / CARD)] if done else ("not yet", "not finished")
    yield Output(
        "card",
        "Result",
        "Model card",
        state,
        words,
        (
            "README.md beside the result: how it was made, by the run's own files. Plan, fingerprints of the rows, "
            "losses, versions, the code to load it."
        ),
        home_short(folder / CARD),
        ("card", run.argument, "--write"),
        "" if done else NOT_FINISHED,
        ("It was written by hand: it stays as it is (`--force` would replace it).",)
        if words == "by hand"
        else ("No rows, prompts or answers stand in it, and no places of this disk.",),
        again="It is written anew from the run's own files, over the card that is there." if words == "written" else "",
    )


def _checkpoint(run: Run, full: bool) -> Iterator[Output]:
    """What is there of a run whose result is older or not there: its newest checkpoint, which has the result's form."""
    last = run.last_checkpoint()
    if last is None or not (last / ("config.json" if full else "adapter_config.json")).is_file():
        return
    step, what = step_of(last), "model" if full else "adapter"
    yield Output(
        "checkpoint",
        "Result",
        "Checkpoint",
        "there",
        f"step {step:,} · {size(weights_bytes(last))}",
        f"The {what} as it was at step {step:,}, beside what a training needs to go on from there (r on the run).",
        home_short(last),
    )


def _next(run: Run, plan: Plan, done: bool) -> Iterator[Output]:
    from loratui.tui.take_away.train_further import next_training

    what = "the model" if plan.method.kind == "full" else "this adapter"
    yield Output(
        "further",
        "Result",
        "Train further",
        "absent" if done else "not yet",
        "opens the wizard" if done else "not finished",
        (
            f"Fills the wizard in to go on with {what}: the same base and the adapter as it is. Choose other data "
            "there, or the same again."
        ),
        "",
        next_training(run, plan).command(),
        "" if done else NOT_FINISHED,
        ("Rank, alpha and layers stay those of the adapter; the learning rate and the rest are proposed anew.",)
        if plan.method.kind != "full"
        else (),
    )


CARDS: dict[str, tuple[State, str]] = {
    "ours": ("there", "written"),
    "form": ("old", "an empty form"),
    "theirs": ("there", "by hand"),
    "none": ("absent", "not written"),
}


def _whole(run: Run, plan: Plan, done: bool) -> Iterator[Output]:
    full = plan.method.kind == "full"
    if not full:
        state: State = (
            "not yet"
            if not done
            else "there"
            if run.merged_is_current
            else "old"
            if run.merged_path.is_dir()
            else "absent"
        )
        words = {
            "not yet": "not finished",
            "there": size(weights_bytes(run.merged_path)),
            "old": OLDER,
            "absent": "not made",
        }[state]
        notes = ["The sum is made in float32 and rounded once. It is kept only when it answers as the adapter does."]
        base = str(demo_model_path()) if plan.model.id == "demo" else plan.model.id
        took = last_merge_seconds(run, base, plan.method.quantization)
        if state != "there":
            took_words = f" The last time on this base took {duration(took)} here." if took is not None else ""
            notes.append(f"The time goes into loading the base and into the proof, hardly into the sum.{took_words}")
        if plan.method.quantization != "none":
            notes.append(
                f"It goes onto the {plan.method.quantization} base of the training, dequantised, to answer as trained."
            )
        if proof := _proof(run.merged_path / CARD):
            notes = [proof]
        notes = [*merged_steps(run, there=state in ("there", "old"), now=state in ("absent", "old")), *notes]
        changed = base_changed(run, plan) if done else ""
        if changed and state != "there":
            notes.insert(0, f"▲ {changed}")
        again = "It is made anew from the adapter as it is now; the folder that is there is deleted first."
        yield Output(
            "merge",
            "Whole model",
            "Merged",
            state,
            words,
            "One model without an adapter: for servers and tools that take whole models alone.",
            home_short(run.merged_path),
            ("merge", run.argument, "-o", str(run.merged_path)),
            "" if done else NOT_FINISHED,
            tuple(notes),
            makes=Merged,
            took_seconds=took,
            quiet=("--json",),
            again=" ".join(filter(None, (again, changed))) if run.merged_path.is_dir() else "",
        )
    model = run.model_path if full else run.merged_path
    target = run.path / f"{run.name}-Q4_K_M.gguf"
    steps = gguf_steps(model, target)
    missing = "; ".join(dict.fromkeys(step.missing for step in steps if step.missing))
    state = "not yet" if not done else "there" if target.is_file() else "needs" if missing else "absent"
    words = {
        "not yet": "not finished",
        "there": size(target.stat().st_size) if target.is_file() else "",
        "needs": "needs llama.cpp",
        "absent": "not made",
    }[state]
    yield Output(
        "gguf",
        "Whole model",
        "GGUF",
        state,
        words,
        "One file for llama.cpp, Ollama and LM Studio, quantised to about 4.5 bits a weight.",
        home_short(target),
        ("gguf", run.argument, "-o", str(target)),
        NOT_FINISHED if not done else f"Its tools are not here: {missing}." if missing else "",
        ("Merges first where that was not done. Another format: --format Q6_K; into Ollama: --ollama NAME.",),
        tuple((step.words, typed(step.line)) for step in steps),
        makes=GgufFile,
        quiet=("--json",),
    )


def _elsewhere(run: Run, plan: Plan, folder: Path, done: bool) -> Iterator[Output]:
    where = (
        "HF_HUB_OFFLINE is set: the hub is not asked."
        if offline()
        else ""
        if read_token()
        else "No token of the hub is on this machine; make one that may write, then run: hf auth login"
    )
    yield Output(
        "push",
        "Elsewhere",
        "Hub",
        "not yet" if not done else "needs" if where else "absent",
        "not finished" if not done else ("needs a token" if not offline() else "offline") if where else "asks first",
        (
            "Sends the result's folder to a repository of yours on the hub. New ones are private; you are asked "
            "before anything is sent."
        ),
        "",
        ("push", run.argument),
        NOT_FINISHED if not done else where,
        (),
        (),
        asks=True,
        makes=Sent,
        quiet=("--json",),
    )
    full = plan.method.kind == "full"
    what = Served(
        run.name,
        str(folder if full else run.merged_path),
        "" if full else str(demo_model_path()) if plan.model.id == "demo" else plan.model.id,
        "" if full else str(folder),
        plan.lora.r,
        plan.lora.variant,
        plan.model.revision,
        plan.method.quantization,
        plan.model.trust_remote_code,
    )
    missing = can_serve()
    yield Output(
        "serve",
        "Elsewhere",
        "HTTP server",
        "not yet" if not done else "needs" if missing else "absent",
        "not finished" if not done else "needs packages" if missing else "not running",
        (
            "Answers in the way of OpenAI's interface, base, result and checkpoints by name, on this machine alone. It "
            "ends with this screen."
        ),
        "http://127.0.0.1:8000",
        ("serve", run.argument),
        NOT_FINISHED if not done else f"It cannot be served here: {missing}." if missing else "",
        (),
        (("ask it", question(run.name)), *((step.words, typed(step.line)) for step in serving_steps(what))),
    )


def _exports(run: Run, plan: Plan) -> Iterator[Output]:
    for tool, (name, file) in TOOLS.items():
        target = run.path / "export" / file
        left: tuple[str, ...] = ()
        text, problem = "", ""
        try:
            export = export_plan(as_trained(plan, run.machine()) if tool in OURS else plan, tool)
            left, text, target = export.left_out, export.text, target.with_suffix(export.suffix)
        except LoratuiError as error:
            problem = error.sentence
        notes = (
            ("What does not carry over:", *(f"· {sentence}" for sentence in left))
            if left
            else ("Everything of the plan carries over.",) * (not problem)
        )
        yield Output(
            tool,
            "The plan for other tools",
            name,
            "there" if target.is_file() else "needs" if problem else "absent",
            "written" if target.is_file() else "cannot be made" if problem else "not written",
            RENTED if tool in OURS else CONVERTED,
            home_short(target),
            ("export", run.argument, "--to", tool, "-o", str(target)),
            problem,
            notes,
            shows=(target.name, text) if text else plan_shown(run),
            makes=Exported,
            quiet=("--force", "--json"),
            again="It is written anew, over the file that is there and its rows: what was changed in them is lost."
            if target.is_file()
            else "",
        )


def _proof(card: Path) -> str:
    try:
        text = read_document(card)
    except OSError:
        return ""
    _, _, after = text.partition("\n## Merged\n")
    return after.partition("\n## ")[0].strip()
