"""A run that was really trained and then stopped, for damage: what resumes it and what asks it, held against the run
that nothing happened to.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoint_damage import DAMAGES, MANIFESTS, WEIGHTS, cut, emptied, flipped, without
from damage import Damage
from tiny_model import write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.checkpoints import damage
from loratui.runs.control import wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import EventTail, Finding, Started
from loratui.runs.start import begin_run
from loratui.runs.status import write_status

LAST, STEPS = 4, 6


def newest(spoil: Callable[[Path], None]) -> Damage:
    """Done to the newest checkpoint of the run."""
    return lambda path: spoil(path / "checkpoints" / f"checkpoint-{LAST}")


def result(spoil: Callable[[Path], None]) -> Damage:
    """Done to the result of the finished run."""
    return lambda path: spoil(path / "adapter")


CHECKPOINT_KINDS: dict[str, Damage] = {
    f"checkpoint: {name}": newest(spoil)
    for name, spoil in ({name: spoil for name, (spoil, _) in DAMAGES.items()} | MANIFESTS).items()
}
RESULT_KINDS: dict[str, Damage] = {
    "result: a bit of the weights": result(flipped(WEIGHTS)),
    "result: half the weights": result(cut(WEIGHTS)),
    "result: no weights": result(without(WEIGHTS)),
    "result: another config": result(flipped("adapter_config.json")),
    "result: half a tokenizer": result(cut("tokenizer.json")),
    "result: empty manifest": result(emptied("manifest.json")),
    "result: gone": lambda path: shutil.rmtree(path / "adapter"),
} | {f"result: {name}": result(spoil) for name, spoil in MANIFESTS.items()}


@dataclass(frozen=True)
class World:
    """Two homes with the same run, `run`: stopped at step 4 of 6, and finished."""

    stopped: Path
    finished: Path

    @property
    def adapter(self) -> bytes:
        """The undisturbed run's."""
        return (self.finished / "runs" / "run" / "adapter" / WEIGHTS).read_bytes()


def make_world(folder: Path) -> World:
    """Train it, and make the other of it."""
    home = folder / "finished"
    os.environ["LORATUI_HOME"] = str(home)
    write_tiny_model(folder / "model")
    write_rows(folder / "rows.jsonl", 40)
    plan = with_values(
        Plan(),
        {
            "model.id": str(folder / "model"),
            "model.dtype": "fp32",
            "dataset.path": str(folder / "rows.jsonl"),
            "dataset.eval_fraction": 0.2,
            "training.precision": "fp32",
            "training.batch_size": 4,
            "training.accumulation": 1,
            "training.max_length": 64,
            "training.max_steps": STEPS,
            "training.learning_rate": 5e-3,
            "method.compute_dtype": "fp32",
            "lora.dropout": 0.1,
            "saving.every_steps": 2,
            "saving.keep": 5,
            "evaluation.every_steps": 2,
            "hardware.cpu": True,
        },
    )
    run, _ = begin_run(plan, output=home / "runs" / "run")
    assert wait_ended(run, 300).state == "finished", run.log_path.read_text()[-2000:]
    again = Run(shutil.copytree(home, folder / "stopped") / "runs" / "run")
    shutil.rmtree(again.adapter_path)
    shutil.rmtree(again.checkpoints_path / f"checkpoint-{STEPS}")
    lines = again.events_path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line).get("step", 0) <= LAST and '"finished"' not in line]
    again.events_path.write_text("".join(kept))
    write_status(again.status_path, again.status().model_copy(update={"state": "stopped", "step": LAST}))
    return World(folder / "stopped", home)


def silent_difference(world: World, run: Run, said: str) -> str:
    """What of a resumed run is not as it would have been, or was not said; "" where nothing is.

    said: what the command wrote.
    """
    state = run.status().state
    if state != "finished":
        return "" if state in ("failed", "lost", "stopped") else f"it is {state}"
    if (run.adapter_path / WEIGHTS).read_bytes() != world.adapter:
        return "the adapter is another one"
    events: list[Any] = EventTail(run.events_path).new_events()
    told = said + " ".join(one.message for one in events if isinstance(one, Finding))
    from_step = next((one.resumed_from for one in reversed(events) if isinstance(one, Started)), "")
    set_aside = sorted(path.name for path in run.checkpoints_path.glob("damaged-*"))
    for name in set_aside:
        if f"checkpoint-{name.removeprefix('damaged-')} is refused" not in told:
            return f"{name} was set aside without a word"
    whole = [folder.name for folder in run.checkpoints() if not damage(folder)]
    if f"checkpoint-{STEPS}" not in whole:
        return "its last checkpoint is not whole"
    expected = f"checkpoint-{LAST}" if f"damaged-{LAST}" not in set_aside else "checkpoint-2"
    if from_step not in (expected, f"checkpoint-{STEPS}"):
        return f"it went on from {from_step or 'the base'} instead of {expected}"
    return ""


def wrong_answerer(kind: str, status: int | None, out: str, err: str) -> str:
    """Why what answered in `chat` is not what should have; "" where it is, or the refusal says why."""
    if kind in RESULT_KINDS:
        if kind == "result: gone":
            return "" if f"checkpoint-{STEPS} answers" in err else "its last checkpoint does not answer"
        return "" if status and "damaged" in err and not out else "a damaged result answered"
    if status:
        return ""
    if kind in CHECKPOINT_KINDS:
        if "a bit of the optimizer" in kind and f"checkpoint-{LAST} answers" in err:
            return ""  # its weights are whole, and nothing else answers
        told = f"checkpoint-{LAST} is refused" in err and "checkpoint-2 answers" in err
        return "" if told and "adapter: " in out else "checkpoint-2 did not answer, or without a word"
    if "has no result" in err and "only the base answers" in err:
        return "" if "adapter: " not in out else "the base answered as the adapter"
    return "" if f"checkpoint-{LAST} answers" in err and "adapter: " in out else "another than the newest checkpoint"
