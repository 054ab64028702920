"""Piece 3: content tokens a second on real rows: what the program proposes, beside TRL.

For each model and method, on the same rows in processes of their own:

    proposed   the plan that `loratui plan` proposes, by the worker's own session
    plain      the same settings in a plain TRL script
    defaults   TRL's defaults, with an adapter of the same shape
    fastest    the fastest that TRL names: packing over an attention that keeps rows apart where its package is here,
               no checkpointing, bfloat16 weights, Liger's kernels where they are, the largest batch that fits
    compiled, uncompiled   what is proposed with that one switch set by hand (`SWITCHES`), and what compiling took
    liger                  the same with Liger's kernels instead of compiled blocks, and whether they stayed
    varlen, padded         rows end to end by torch's own attention over rows of unlike length, and padded by sdpa in
                           batches of like length; `settings.attention` says which attention stayed

Beside each rate stands what share of the card's peak its content tokens make (operations of forward and backward;
recomputing is not counted: model FLOP utilisation).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import card
from clock import WARM_STEPS, timed
from random_models import config_of, folder_of, loading_seconds, provide

CASES = (
    ("qwen3-0.6b", "lora"),
    ("qwen3-4b", "lora"),
    ("llama-8b", "lora"),
    ("llama-8b", "qlora"),
    ("qwen3-0.6b", "full"),
)
SIDES = ("proposed", "defaults", "plain", "fastest")
SWITCHES: dict[str, dict[str, Any]] = {
    "compiled": {"training.compile": True, "training.liger": False},
    "uncompiled": {"training.compile": False},
    "liger": {"training.compile": False, "training.liger": True},
    "varlen": {"model.attention": "torch_varlen", "training.padding_free": True, "training.group_by_length": False},
    "padded": {"model.attention": "sdpa", "training.padding_free": False, "training.group_by_length": True},
}
"""What is proposed, with one switch set by hand; a side that equals the proposal is not measured again."""
SWITCHED_CASES = 2
"""Of the models, the first so many."""
COMPILING_SECONDS = 60.0
"""Expected of compiling, until a card has shown it."""
SECONDS = 6.0
"""Of the timed stretch of each side."""
PREPARING_SECONDS = 9.0
"""Around it: forking, reading and tokenising rows, warming up; the weights apart."""
PROPOSING_SECONDS = 12.0
PACKED_BATCHES = (16, 8, 4, 2)
HELD_KEYS = ("evaluation.every_steps=0", "saving.every_steps=0", "dataset.eval_fraction=0", "training.epochs=20")
"""What every side does without."""
TINY_KEYS = ("training.batch_size=2", "training.accumulation=1", "training.max_length=64")
"""What a processor can bear, in a rehearsal."""


def run(results: Any, processes: Any, settings: dict[str, Any]) -> None:
    """All sides of all cases."""
    tiny = settings["rehearsal"]
    for number, (name, method) in enumerate(CASES[: settings["cases"] or None]):
        loading = loading_seconds(name, tiny=tiny)
        asked = {"name": name, "tiny": tiny, "rows": settings["rows"], "method": method, "seconds": SECONDS}
        if tiny:
            asked["seconds"] = 0.2
        sides = (*SIDES, *(SWITCHES if number < SWITCHED_CASES else ()))
        missing = [side for side in sides if not results.has(f"{name} {method} {side}")]
        if not missing:
            continue
        if not provide(results, processes, name, settings):
            continue
        plan = results.case(f"{name} {method} plan", PROPOSING_SECONDS, lambda asked=asked: propose(asked))
        if plan is None:
            continue
        for side in missing:
            argument = {**asked, "plan": plan["plan"], "side": side}
            expected = PREPARING_SECONDS + loading + argument["seconds"]
            if is_proposed(plan["plan"], side):
                results.case(f"{name} {method} {side}", 0, lambda: {"as": "proposed"})
                continue
            expected += COMPILING_SECONDS if side == "compiled" else 0.0
            limit = max(20.0, min(results.left(), 3 * expected + 30))
            results.case(
                f"{name} {method} {side}",
                expected,
                lambda argument=argument, limit=limit: processes.run("speed:measure", argument, limit_seconds=limit),
            )


def is_proposed(plan: str, side: str) -> bool:
    """Whether a switch is set as the plan already has it. plan: as a TOML document."""
    from loratui.core.plan_text import plan_from_toml

    proposed = plan_from_toml(plan)
    return side in SWITCHES and all(proposed.get(key) == value for key, value in SWITCHES[side].items())


def propose(asked: dict[str, Any]) -> dict[str, Any]:
    """What the program proposes, as a person asks it."""
    with tempfile.TemporaryDirectory() as place:
        rows, file = shown_rows(asked["rows"], Path(place)), Path(place) / "plan.toml"
        command = [sys.executable, "-m", "loratui", "plan", "-m", str(folder_of(asked["name"])), "-d", str(rows)]
        command += ["-o", str(file), "--json", "--set", f"method.kind={asked['method']}"]
        if asked["method"] == "qlora":
            command += ["--set", "method.quantization=nf4"]
        for value in (*HELD_KEYS, *(TINY_KEYS if asked["tiny"] else ())):
            command += ["--set", value]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise RuntimeError(f"the plan was not proposed: {(done.stderr or done.stdout).strip()[-300:]}")
        facts = json.loads(done.stdout)
        return {"plan": file.read_text(encoding="utf-8"), "proposal": {"time": facts.get("time")}}


def shown_rows(source: str, place: Path) -> Path:
    """The rows as prompt and completion, which both sides read alike."""
    path = place / "train.jsonl"
    with Path(source).open(encoding="utf-8") as read, path.open("w", encoding="utf-8") as write:
        for line in read:
            row = json.loads(line)
            prompt = "\n".join(filter(None, (row["instruction"], row.get("input", ""))))
            if prompt and row["output"]:
                write.write(json.dumps({"prompt": prompt, "completion": row["output"]}) + "\n")
    return path


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """One side, in a process of its own; {"absent": …} where a side's attention needs a card and none is there."""
    import torch

    from loratui.core.attention import TORCH_VARLEN
    from loratui.core.plan_text import plan_from_toml, with_values

    needed = SWITCHES.get(asked["side"], {}).get("model.attention")
    if needed == TORCH_VARLEN and not torch.cuda.is_available():
        return {"absent": f"{needed} needs a card"}
    with tempfile.TemporaryDirectory(prefix="loratui-speed-") as name:
        place = Path(name)
        rows = shown_rows(asked["rows"], place)
        plan = plan_from_toml(asked["plan"])
        plan = with_values(plan, {"dataset.path": str(rows)})
        warm_steps = 1 if asked["tiny"] else WARM_STEPS
        if asked["side"] == "proposed" or asked["side"] in SWITCHES:
            plan = with_values(plan, SWITCHES.get(asked["side"], {}))
            trainer, found = _proposed(plan, place, asked["seconds"], warm_steps)
        else:
            _own_allocator()
            trainer, found = _theirs(
                plan, rows, place, asked["side"], lambda one: timed(one, asked["seconds"], warm_steps=warm_steps)
            )
        return found | _utilisation(asked, plan, found) | {"settings": _settings(trainer)}


def _own_allocator() -> None:
    """torch's own default for scripts that are not ours."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.memory._set_allocator_settings("expandable_segments:False")


class _MeasuredError(Exception):
    """The stretch is over: what a run does after its training is not wanted."""


def _proposed(plan: Any, place: Path, seconds: float, warm_steps: int) -> tuple[Any, dict[str, Any]]:
    """The worker's whole session, its journal too; and how fast its rows are padded and end to end, as its rehearsal
    would find."""
    from loratui.runs.start import create_run
    from loratui.worker.training.batch_ways import can_choose
    from loratui.worker.training.batch_ways import measure as time_ways
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    run = create_run(plan, output=place / "run")
    journal = Journal(run)
    session = Session(run, plan, journal, Requests())
    build, kept = session.build, {}

    def build_and_time(**options: Any) -> Any:
        trainer, prepared = build(**options)
        train = trainer.train

        def timed_train(*arguments: Any, **more: Any) -> Any:
            kept["found"] = timed(trainer, seconds, warm_steps=warm_steps, train=lambda: train(*arguments, **more))
            raise _MeasuredError

        trainer.train = timed_train
        kept.update(trainer=trainer, prepared=prepared)
        return trainer, prepared

    session.build = build_and_time
    with contextlib.suppress(_MeasuredError):
        session.execute()
    journal.close("stopped")
    trainer = kept["trainer"]
    ways = time_ways(trainer, kept["prepared"], plan) if can_choose(plan, 1) else {}
    compiled = {"compiled": asdict(session.compiled)} if session.compiled is not None else {}
    return trainer, kept["found"] | {"ways": ways, "liger": bool(trainer.args.use_liger_kernel)} | compiled


def _theirs(
    plan: Any, path: Path, place: Path, side: str, measure: Callable[[Any], dict[str, Any]]
) -> tuple[Any, dict[str, Any]]:
    """A plain script's trainer and what was measured of it; the fastest with the largest batch that fits."""
    import gc

    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from loratui.worker.base_model import DTYPES, planned_quantization

    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["completion"]}],
        }
        for row in rows
    ]
    cpu = not torch.cuda.is_available()
    arguments: dict[str, Any] = {
        "output_dir": str(place / side),
        "num_train_epochs": plan.training.epochs,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    if cpu:
        arguments |= {"use_cpu": True, "bf16": False, "max_length": plan.training.max_length}
    start: dict[str, Any] = {}
    if side == "plain":
        start["dtype"] = DTYPES[plan.model.dtype]
        arguments |= _as_planned(plan, cpu=cpu)
    elif side == "fastest":
        start["dtype"] = torch.float32 if cpu else torch.bfloat16
        arguments |= {"packing": True, "gradient_checkpointing": False}
        arguments["use_liger_kernel"] = not cpu and find_spec("liger_kernel") is not None
        if find_spec("flash_attn") is not None:
            start["attn_implementation"] = "flash_attention_2"
    if plan.method.quantization != "none":
        start["quantization_config"] = planned_quantization(plan)
        start.setdefault("dtype", torch.float32 if cpu else torch.bfloat16)

    def build(more: dict[str, Any]) -> Any:
        options = SFTConfig(**arguments, **more, model_init_kwargs=start or None)
        return SFTTrainer(
            model=plan.model.id,
            args=options,
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(plan.model.id),
            peft_config=_adapter(plan),
        )

    sizes = [{}] if side != "fastest" else [{"per_device_train_batch_size": size} for size in PACKED_BATCHES]
    too_large: list[Any] = []
    for size in sizes[-1:] if cpu else sizes:
        trainer = build(size)
        try:
            return trainer, measure(trainer) | {"too_large": too_large}
        except torch.OutOfMemoryError:
            if size is sizes[-1]:
                raise
            too_large.append(size)
        del trainer
        gc.collect()
        torch.cuda.empty_cache()
    raise AssertionError("the last size is measured, or its error is told")


def _adapter(plan: Any) -> Any:
    from peft import LoraConfig

    if plan.method.kind == "full":
        return None
    lora = plan.lora
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=int(lora.alpha),
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.targets == "all-linear" else list(lora.targets),
    )


def _as_planned(plan: Any, *, cpu: bool) -> dict[str, Any]:
    """The plan's settings in TRL's words; grouping by length is transformers' own."""
    from loratui.core.attention import is_flash
    from loratui.core.schedule import scheduler_arguments

    training = plan.training
    schedule, more = scheduler_arguments(plan)
    found = {
        "per_device_train_batch_size": training.batch_size,
        "gradient_accumulation_steps": training.accumulation,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": schedule,
        "lr_scheduler_kwargs": more,
        "warmup_steps": training.warmup_steps,
        "optim": training.optimizer,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "max_length": training.max_length,
        "packing": training.packing,
        "padding_free": training.padding_free and is_flash(plan.model.attention),  # by sdpa: a mask over all rows
        "gradient_checkpointing": training.checkpointing,
        "logging_steps": 1,
        "seed": training.seed,
    }
    if training.group_by_length:
        found["train_sampling_strategy"] = "group_by_length"
    return found if cpu else found | {"bf16": training.precision == "bf16", "fp16": training.precision == "fp16"}


def _utilisation(asked: dict[str, Any], plan: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Share of the card's peak that the content tokens make, recomputing not counted."""
    from loratui.core.families import read_config
    from loratui.core.operations import flops_per_token
    from loratui.core.plan_text import with_values

    device = card.plan_device()
    if not found or not device.peak_flops:
        return {}
    spec = read_config(config_of(asked["name"], tiny=asked["tiny"]))
    bare = with_values(plan, {"training.checkpointing": False})
    mean = found["content_tokens"] / max(1, found["steps"]) / max(1, plan.training.batch_size)
    each = flops_per_token(spec, bare, min(mean, plan.training.max_length))
    return {
        "flops_per_second": each * found["tokens_per_second"],
        "utilisation": round(each * found["tokens_per_second"] / device.peak_flops, 4),
        "peak_flops": device.peak_flops,
    }


def _settings(trainer: Any) -> dict[str, Any]:
    """What decided the rate, as the trainer has it."""
    from loratui.core.attention import keeps_rows_apart

    args = trainer.args
    names = (
        "per_device_train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing", "packing",
        "padding_free", "use_liger_kernel", "bf16", "fp16", "optim", "max_length", "loss_type", "logging_steps",
    )  # fmt: skip
    found = {name: getattr(args, name, None) for name in names}
    model = trainer.model
    found["attention"] = getattr(model.config, "_attn_implementation", None)
    apart = not args.packing or keeps_rows_apart(str(found["attention"]))
    return found | {"dtype": str(next(model.parameters()).dtype), "rows_kept_apart": apart}
