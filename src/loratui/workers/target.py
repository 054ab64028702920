"""What is to be asked or served: a run, an adapter's folder, or a model, as what a worker or a server has to load.
No torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loratui.core.errors import InputError, LoratuiError, ModelError
from loratui.core.plan import Plan
from loratui.export.serving import Served
from loratui.files import read_object
from loratui.models.cache import find_cached
from loratui.paths import demo_model_path, without_tilde
from loratui.runs.base_files import base_changed
from loratui.runs.directory import Run
from loratui.runs.listing import find_run, may_be_run, named_run
from loratui.runs.origin import foreign_words
from loratui.runs.result import left_behind, refused_to_answer, require_undamaged
from loratui.workers.protocol import ADAPTER, BASE, Load


@dataclass(frozen=True)
class Target:
    """A base with what answers on it."""

    title: str
    """The run's or the folder's name."""
    load: Load
    run: Run | None = None
    plan: Plan | None = None
    result: Path | None = None
    """Folder of the adapter or of the wholly trained model; None where only the base is asked."""
    checkpoints: dict[str, Path] = field(default_factory=dict)
    """Whole checkpoints of the run by name, oldest first."""
    note: str = ""
    base_changed: str = ""
    """What a person must know of the base under a run's adapter, where its files are not those of the training; it
    stands in the note, too."""

    @property
    def sides(self) -> list[str]:
        """Names of what answers, the base first."""
        return list(self.load.sides)

    @property
    def result_title(self) -> str:
        """What is told of the result beside its name: which checkpoint it is; how it was learnt, where what it began
        from answers, too.
        """
        if self.result is not None and self.result.name != ADAPTER:
            return self.result.name
        return self.plan.training.objective.upper() if self.plan is not None and len(self.sides) > 2 else ""


def find_target(name: str, *, base: str = "") -> Target:
    """The target of this name: a run (name, folder or `last`), an adapter's folder, or a model (folder, hub id,
    `demo`).

    `base` overrules the base model that a run or an adapter names. ModelError or RunError in one sentence.
    """
    if (run := named_run(name)) is not None:
        return of_run(run, base=base)
    folder = without_tilde(name)
    if (folder / "adapter_config.json").is_file():
        return _of_adapter(folder.absolute(), base)
    if may_be_run(folder):
        return of_run(Run(folder.absolute()), base=base)
    if (folder / "config.json").is_file():
        run = Run(folder.absolute().parent)
        if run.plan_path.is_file() and run.model_path == folder.absolute():
            return of_run(run, base=base)
        return _of_model(str(folder.absolute()))
    if name == "demo":
        return _of_model(name)
    try:
        return of_run(find_run(name), base=base)
    except LoratuiError as error:
        if name.count("/") == 1 and not folder.exists() and not name.startswith((".", "~", "/")):
            return _of_model(name)
        if folder.is_dir():
            raise ModelError(
                "this folder holds no run, adapter or model.",
                where=name,
                hint="A run has plan.toml, an adapter adapter_config.json, a model config.json.",
            ) from None
        raise error from None


def of_run(run: Run, *, base: str = "") -> Target:
    """A run's result beside its base; where it is not finished, its newest checkpoint whose weights are whole."""
    plan = run.plan()
    checkpoints = {folder.name: folder for folder in run.checkpoints()}
    result = _result(run)
    note = _older_words(run, result) if result is not None else ""
    if result is None:
        damaged = refused_to_answer(run)
        for one in damaged:
            checkpoints.pop(one.folder.name, None)
        note = "The run has no result and no checkpoint yet: only the base answers."
        if checkpoints:
            name, result = list(checkpoints.items())[-1]
            note = f"The run has no result yet: {name} answers."
        note = " ".join([*(one.sentence for one in damaged), note])
    adapter = result is not None and (result / "adapter_config.json").is_file()
    changed = base_changed(run, plan) if adapter and not base else ""
    note = " ".join(part for part in (foreign_words(run, plan), changed, note) if part)
    load = Load(
        base=_source(base or plan.model.id),
        sides={BASE: ""} | ({ADAPTER: str(result)} if result else {}),
        dtype=plan.model.dtype,
        quantization=plan.method.quantization,
        double_quantization=plan.method.double_quantization,
        compute_dtype=plan.method.compute_dtype,
        attention=plan.model.attention,
        revision="" if base else plan.model.revision,
        chat_template=plan.model.chat_template,
        trust_remote_code=plan.model.trust_remote_code,
    )
    return Target(run.name, load, run, plan, result, checkpoints, note, changed)


def with_before(target: Target) -> Target:
    """The target with the adapter that its run began from between the base and the result, where it is still there:
    what SFT made answers beside what preferences made of it.
    """
    plan, result = target.plan, target.load.sides.get(ADAPTER)
    if plan is None or result is None or not plan.lora.adapter:
        return target
    folder = without_tilde(plan.lora.adapter).absolute()
    if not (folder / "adapter_config.json").is_file():
        return target
    run = Run(folder.parent)
    name = run.name if run.plan_path.is_file() and run.adapter_path == folder else folder.name
    try:
        require_undamaged(folder)
    except LoratuiError:
        return target  # whoever asks for it by its own name is told why
    if name in (BASE, ADAPTER) or name in target.checkpoints:
        name = f"{name} (before)"
    return replace(target, load=replace(target.load, sides={BASE: "", name: str(folder), ADAPTER: result}))


def identity_of(target: Target, side: str) -> dict[str, Any]:
    """What the answers of a side depend on, beside what it is asked and how: the model, and how it is held."""
    load = target.load
    since = {"base_weights": weights_written(load, BASE)} if target.base_changed else {}
    return since | {
        "base": load.base,
        "quantization": load.quantization,
        "double_quantization": load.double_quantization,
        "compute_dtype": load.compute_dtype,
        "attention": load.attention,
        "side": side,
        "result": load.sides.get(side) or load.base,
        "weights": weights_written(load, side),
    }


def weights_written(load: Load, side: str) -> list[int]:
    """When the weights of a side were written, file by file, in nanoseconds; empty where they are no folder here."""
    result = Path(load.sides.get(side) or load.base)
    return [file.stat().st_mtime_ns for file in sorted(result.glob("*.safetensors"))] if result.is_dir() else []


def held_alike(one: Target, other: Target) -> str:
    """Why the other's result cannot answer on the base that is held for the first; "" where it can."""
    if (one.load.base, one.load.revision) != (other.load.base, other.load.revision):
        return f"{other.title} was trained on another base ({Path(other.load.base).name}) than {one.title}."
    if replace(one.load, sides={}) != replace(other.load, sides={}):
        return (
            f"{other.title} holds the same base in another way than {one.title} (quantised, in another number format "
            "or under another template)."
        )
    return ""


def with_device(target: Target, device: str) -> Target:
    """The target loaded on another device."""
    return replace(target, load=replace(target.load, device=device))


def with_quantization(target: Target, quantization: str) -> Target:
    """The target with its base held in another format: none, nf4, fp4 or int8. InputError for any other."""
    if quantization not in ("none", "nf4", "fp4", "int8"):
        raise InputError(f"there is no quantization {quantization}.", hint="Choose from none, nf4, fp4 and int8.")
    return replace(target, load=replace(target.load, quantization=quantization))


def adapter_config(folder: Path) -> dict[str, Any]:
    """An adapter's own description; ModelError where it cannot be read."""
    try:
        return read_object(folder / "adapter_config.json")
    except OSError as error:
        raise ModelError(f"adapter_config.json cannot be read: {error.strerror or error}.", where=str(folder)) from None


def _result(run: Run) -> Path | None:
    if (run.adapter_path / "adapter_config.json").is_file():
        return run.adapter_path
    return run.model_path if (run.model_path / "config.json").is_file() else None


def _older_words(run: Run, result: Path) -> str:
    """That a run was trained beyond its result, and what to ask instead; empty where it was not."""
    left = left_behind(run)
    if left is None:
        return ""
    newer = f"; {left.checkpoint.name} is newer, and can be asked instead" if left.checkpoint is not None else ""
    return f"The {result.name} is {left.words}{newer}."


def _of_adapter(folder: Path, base: str) -> Target:
    for parent in (folder.parent, folder.parent.parent):
        run = Run(parent)
        if run.plan_path.is_file():
            found = of_run(run, base=base)
            older = _older_words(run, folder) if folder == found.result else ""
            return replace(
                found,
                result=folder,
                note=" ".join(filter(None, (found.base_changed, older))),
                load=replace(found.load, sides={BASE: "", ADAPTER: str(folder)}),
            )
    named = base or str(adapter_config(folder).get("base_model_name_or_path") or "")
    if not named:
        raise ModelError("this adapter does not name its base model.", where=str(folder), hint="Give it with --base.")
    return Target(folder.name, Load(_source(named), {BASE: "", ADAPTER: str(folder)}), result=folder)


def _of_model(name: str) -> Target:
    return Target(name, Load(_source(name), {BASE: ""}))


def _source(name: str) -> str:
    """A folder, or an id of the hub as it is. ModelError for a folder that is gone."""
    if name == "demo":
        return str(demo_model_path())
    folder = without_tilde(name)
    if folder.is_dir():
        return str(folder.absolute())
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelError(
            "the base model is not there any more.", where=name, hint="Give its present place with --base."
        )
    return name


def merged_folder(run: Run, result: Path) -> Path:
    """Where a run's result lies merged, or will lie; a checkpoint has a folder of its own."""
    of_checkpoint = result.parent == run.checkpoints_path
    return run.path / f"{run.merged_path.name}-{result.name}" if of_checkpoint else run.merged_path


def served(name: str) -> Served:
    """The run, adapter or model of this name, as a server needs to know it; LoratuiError where there is none, or it is
    damaged.
    """
    target = find_target(name)
    folder = target.load.sides.get(ADAPTER, "")
    require_undamaged(Path(folder or target.load.base))
    shown = target.title if target.run is not None else Path(target.title).name
    if not folder or not (Path(folder) / "adapter_config.json").is_file():
        return Served(shown, folder or target.load.base, trust_remote_code=target.load.trust_remote_code)
    described = adapter_config(Path(folder))
    merged = str(merged_folder(target.run, Path(folder))) if target.run is not None else f"{folder}-merged"
    rank, load = described.get("r"), target.load
    return Served(
        shown,
        merged,
        load.base,
        folder,
        rank if isinstance(rank, int) else 0,
        "dora" if described.get("use_dora") else "lora",
        load.revision,
        load.quantization,
        load.trust_remote_code,
    )


def base_folder(what: Served) -> Path:
    """The base model's folder on this machine, of an id its place in the hub's cache."""
    if Path(what.base).is_dir():
        return Path(what.base)
    found = find_cached(what.base, what.revision)
    return found.path if found is not None and found.path is not None else Path(what.base)
