"""What WORLD_FAULT asks for: memory that ends where a real limit is, numbers that break, tokens that bear no loss.

Memory is truly limited (RLIMIT_AS) while a step or an evaluation lasts, so that the allocation itself fails, and so
that the run after a fix lives under the same limit; a load and a save fail by what they would need. What each
forward pass holds is written to WORLD_SEEN.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

FAULT: dict[str, Any] = json.loads(os.environ["WORLD_FAULT"])
WORKER = time.time()
"""Tells this start of a worker from others; one that begins anew keeps its process id."""
_limits: dict[str, int] = {}


def put(session: Any) -> None:
    """Patch the trainer that the session, which was just imported, makes."""
    trainer = sys.modules["loratui.worker.training.trainer"].Trainer
    _around(trainer, "training_step", _step)
    _around(trainer, "prediction_step", _evaluation)
    kind = FAULT.get("kind")
    if kind == "memory":
        where = FAULT["where"]
        if where == "load":
            session.load_base = _no_room_for_weights(session.load_base)
        else:
            name = {"step": "training_step", "evaluation": "prediction_step", "save": "_save_checkpoint"}[where]
            limited = (
                _no_room_for_a_copy(getattr(trainer, name))
                if where == "save"
                else _within_limit(getattr(trainer, name), where)
            )
            setattr(trainer, name, limited)


def _around(owner: Any, name: str, before: Callable[..., None]) -> None:
    original = getattr(owner, name)

    def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        before(self, *arguments)
        return original(self, *arguments, **options)

    setattr(owner, name, wrapped)


def _step(trainer: Any, model: Any, inputs: dict[str, Any], *_: Any) -> None:
    """Before each forward pass: note what it holds, take the time that the fault wants, break what it breaks."""
    if FAULT.get("slow"):
        time.sleep(FAULT["slow"])
    step = trainer.state.global_step + 1
    weights = next(parameter for name, parameter in model.named_parameters() if "lora_" not in name)
    _note(
        {
            "step": step,
            "rows": len(inputs["input_ids"]),
            "tokens": inputs["input_ids"].shape[1],
            "dtype": str(weights.dtype).removeprefix("torch."),
            "rate": trainer.optimizer.param_groups[0]["lr"],
            "loss_tokens": int((inputs["labels"] != -100).sum()),
        }
    )
    kind = FAULT.get("kind")
    if kind == "no-gradient" and trainer.args.learning_rate and _learns_from_answers():
        for parameter in model.parameters():
            if parameter.requires_grad and not parameter._backward_hooks:
                parameter.register_hook(torch.zeros_like)
    if kind not in ("nan-weight", "nan-gradient") or step != FAULT["at"] or not _first_time():
        return
    trained = next(parameter for parameter in model.parameters() if parameter.requires_grad)
    if kind == "nan-weight":
        trained.data.fill_(float("nan"))
    else:
        handle = trained.register_hook(lambda gradient: (handle.remove(), torch.full_like(gradient, float("nan")))[1])


def _evaluation(trainer: Any, model: Any, inputs: dict[str, Any], *_: Any) -> None:
    _note({"evaluated": len(inputs["input_ids"])})


def _note(seen: dict[str, Any]) -> None:
    with Path(os.environ["WORLD_SEEN"]).open("a") as file:
        file.write(json.dumps(seen | {"worker": WORKER}) + "\n")


def _first_time() -> bool:
    """A fault of the machine strikes once, not again after the run was mended."""
    flag = Path(FAULT["once"])
    if flag.exists():
        return False
    flag.touch()
    return True


def _learns_from_answers() -> bool:
    return 'loss_on = "answers"' in Path("plan.toml").read_text()


def _within_limit(call: Callable[..., Any], where: str) -> Callable[..., Any]:
    """The first step or evaluation is free: it makes threads, whose stacks and heaps take address space for good."""
    calls = 0

    def limited(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            return call(*arguments, **options)
        threading.stack_size(1 << 18)
        with _limit(where):
            return call(*arguments, **options)

    return limited


def _no_room_for_weights(load: Callable[..., Any]) -> Callable[..., Any]:
    """A load onto a card with so many bytes left."""

    def limited(plan: Any, **options: Any) -> Any:
        wanted = (Path(plan.model.id) / "model.safetensors").stat().st_size * (
            1.0 if plan.model.dtype == "fp32" else 0.5
        )
        if wanted > FAULT["bytes"]:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {wanted / 2**20:.2f} MiB.")
        return load(plan, **options)

    return limited


def _no_room_for_a_copy(save: Callable[..., Any]) -> Callable[..., Any]:
    """A save that copies what is trained, on a card with so many bytes left."""

    def limited(trainer: Any, *arguments: Any, **options: Any) -> Any:
        wanted = sum(
            parameter.numel() * parameter.element_size()
            for parameter in trainer.model.parameters()
            if parameter.requires_grad
        )
        if wanted > FAULT["bytes"]:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {wanted / 2**20:.2f} MiB.")
        return save(trainer, *arguments, **options)

    return limited


@contextlib.contextmanager
def _limit(where: str) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _limits.setdefault(where, _address_space() + FAULT["bytes"])
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
