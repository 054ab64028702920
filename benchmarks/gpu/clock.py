"""A trainer of transformers timed over a stretch of its steps: content tokens (padding not) and operations a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

WARM_STEPS = 3
"""Steps before the clock starts: kernels are chosen, pools grow, optimizer states are made."""


def timed(
    trainer: Any, seconds: float, *, warm_steps: int = WARM_STEPS, train: Callable[[], Any] | None = None
) -> dict[str, Any]:
    """Train until the stretch is over, and say what was done in it. Nothing is saved.

    seconds: of the stretch. train: how it is trained, where not by its own `train`. Tokens are counted on the device,
    so that counting waits for nothing.
    """
    import torch
    from transformers import TrainerCallback
    from transformers.trainer_utils import SaveStrategy

    cuda = torch.cuda.is_available()
    counted = {"content": torch.zeros((), dtype=torch.long, device="cuda" if cuda else "cpu"), "computed": 0}
    found: dict[str, Any] = {}
    step = trainer.training_step

    def training_step(model: Any, inputs: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        ids, mask = inputs["input_ids"], inputs.get("attention_mask")
        counted["computed"] += ids.numel()
        counted["content"] += mask.sum().to(counted["content"].device) if mask is not None else ids.numel()
        return step(model, inputs, *arguments, **options)

    def now() -> float:
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    class Clock(TrainerCallback):
        began = 0.0
        began_processor = 0.0
        steps = 0

        def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> Any:
            self.steps += 1
            if self.steps == warm_steps:
                self.began, self.began_processor = now(), time.process_time()
                counted["content"].zero_()
                counted["computed"] = 0
                if cuda:
                    torch.cuda.reset_peak_memory_stats()
            elif self.steps > warm_steps and time.perf_counter() - self.began >= seconds:
                control.should_training_stop = True
            if control.should_training_stop or (state.max_steps > 0 and state.global_step >= state.max_steps):
                took = now() - self.began
                content = int(counted["content"].item())
                found.update(
                    steps=self.steps - warm_steps,
                    train_seconds=round(took, 3),
                    processor_seconds=round(time.process_time() - self.began_processor, 3),
                    content_tokens=content,
                    computed_tokens=counted["computed"],
                    tokens_per_second=round(content / took, 1),
                    padding=round(1 - content / max(1, counted["computed"]), 4),
                    peak_allocated=torch.cuda.max_memory_allocated() if cuda else None,
                    peak_reserved=torch.cuda.max_memory_reserved() if cuda else None,
                )
            return control

    trainer.training_step = training_step
    trainer.args.save_strategy = SaveStrategy.NO
    trainer.add_callback(Clock())
    (train or trainer.train)()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if found:
        found["losses"] = [losses[0], losses[-1]] if losses else []
    return found
