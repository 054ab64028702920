"""A run's directory as a worker would have left it: fixed times, fixed figures, no worker."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.runs.directory import Run
from loratui.runs.events import Event, encode, make
from loratui.runs.status import Status, own_mark, write_status

BEGAN = 1_790_000_000.0


def training_events(steps: int, total: int, *, evaluate_every: int = 25, noise: bool = True) -> list[Event]:
    """Events of a healthy run's first `steps` steps."""
    events = [
        make(
            "started",
            BEGAN,
            pid=1,
            step=0,
            total_steps=total,
            examples=600,
            eval_examples=40,
            parameters_total=1_240_000,
            parameters_trainable=98_304,
            device="cpu",
        ),
        make("phase", BEGAN + 1, phase="tokenise", message="Tokenising the rows"),
        make(
            "data",
            BEGAN + 2,
            rows=640,
            examples=600,
            eval_examples=40,
            tokens=48_000,
            trained_tokens=21_000,
            longest_tokens=120,
        ),
        make("phase", BEGAN + 3, phase="train", message="Training"),
    ]
    for step in range(1, steps + 1):
        share = step / total
        wobble = 0.25 * math.sin(step * 12.9898) * math.exp(-2 * share) if noise else 0.0
        loss = 0.05 + 2.6 * math.exp(-6 * share) + wobble * 0.5
        rate = 2e-3 * min(1.0, step / 10) * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))
        events.append(
            make(
                "step",
                BEGAN + 3 + step * 0.2,
                step=step,
                epoch=3 * share,
                loss=round(loss, 4),
                learning_rate=rate,
                grad_norm=round(0.4 + 1.5 * math.exp(-5 * share) + abs(wobble), 4),
                token_accuracy=round(1 - 0.6 * math.exp(-5 * share), 4),
                tokens=step * 640,
                tokens_per_second=3200 + 40 * math.sin(step),
                seconds=0.2,
                memory_allocated=410 << 20,
                memory_peak=(430 << 20) + step * 1024,
                eta=(total - step) * 0.2,
            )
        )
        if step % evaluate_every == 0:
            events.append(
                make(
                    "eval",
                    BEGAN + 3 + step * 0.2,
                    step=step,
                    loss=round(0.06 + 2.5 * math.exp(-6 * share), 4),
                    exact_match=round(min(1.0, share * 1.2), 3),
                    rows=40,
                    best=True,
                )
            )
            events.append(
                make(
                    "sample",
                    BEGAN + 3 + step * 0.2,
                    step=step,
                    prompt="two large pizzas, no onions",
                    answer='{"item": "pizza", "count": 2}',
                    expected='{"item": "pizza", "count": 2}',
                )
            )
            events.append(
                make(
                    "checkpoint",
                    BEGAN + 3 + step * 0.2,
                    step=step,
                    path=f"checkpoints/checkpoint-{step}",
                    size_bytes=1_200_000,
                )
            )
    return events


def record_run(
    home: Path,
    name: str = "demo-lora-20261120-2231",
    *,
    state: str = "running",
    steps: int = 142,
    total: int = 375,
    more: list[Event] | None = None,
    message: str = "",
    values: dict[str, Any] | None = None,
    created: float = 0.0,
    checkpoint: bool = False,
) -> Run:
    """Write a run below `home`/runs. A state that is not over counts this test's own process as the worker.

    checkpoint: with the newest one's folder, whole by its files' names.
    """
    run = Run(home / "runs" / name)
    run.path.mkdir(parents=True)
    run.plan_path.write_text(plan_to_toml(with_values(Plan(), values or {})), encoding="utf-8")
    events = [*training_events(steps, total), *(more or [])]
    if state == "finished":
        events.append(
            make(
                "finished",
                BEGAN + 90,
                step=steps,
                seconds=84.0,
                loss=0.061,
                eval_loss=0.0644,
                tokens=steps * 640,
                result="adapter",
            )
        )
    if state == "stopped":
        events.append(make("stopped", BEGAN + 60, step=steps, reason="asked to", checkpoint=f"checkpoint-{steps}"))
    if state == "failed":
        events.append(make("failed", BEGAN + 60, step=steps, message=message, code="worker"))
    if created:  # a run is as old as its first event
        events = [event.model_copy(update={"time": event.time + created - BEGAN}) for event in events]
    run.events_path.write_text("".join(encode(event) + "\n" for event in events), encoding="utf-8")
    run.log_path.write_text("Loading\rLoading weights: 100%\nTraining began.\n\x1b[31mred\x1b[0m\n", encoding="utf-8")
    mark = own_mark()
    write_status(
        run.status_path,
        Status(
            state=state,
            pid=mark.pid if state != "lost" else 2**22 - 1,
            process_started=mark.started,
            process_ticks=mark.ticks,
            boot=mark.boot,  # type: ignore[arg-type]
            host=mark.host,
            heartbeat=time.time(),
            step=steps,
            total=total,
            loss=0.42,
            message=message,
            created=created or time.time(),
        ),
    )
    if checkpoint:
        folder = run.checkpoints_path / f"checkpoint-{steps // 25 * 25}"
        folder.mkdir(parents=True)
        (folder / "scheduler.pt").touch()
        (folder / "trainer_state.json").write_text(f'{{"global_step": {steps // 25 * 25}}}', encoding="utf-8")
    return run
