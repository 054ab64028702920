"""What a rehearsal goes through and measures: peak memory by phase, and the time of a step."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from loratui.files import write_whole

STEPS = 2
STAGES = {
    "load_model": "the model is loaded",
    "train 1": f"step 1 of {STEPS}",
    "train 2": f"step 2 of {STEPS}",
    "evaluate": "an evaluation",
    "save": "a checkpoint is saved",
    "reload": "the checkpoint is read again",
}
"""What a rehearsal goes through, in its order, and how that is told."""


class Measure:
    """Peak memory by phase, and the time of a step. progress: where it is told how far it is; None: nowhere.

    evaluates: whether an evaluation is part of it. cpu: whether the processors train, whatever cards torch sees.
    """

    def __init__(self, progress: Path | None = None, *, evaluates: bool = True, cpu: bool = False) -> None:
        self._progress, self._cpu = progress, cpu
        self._stages = [name for name in STAGES if name != "evaluate" or evaluates]
        self.phase = "load_model"
        self.peaks: dict[str, int] = {}
        self.step_seconds: list[float] = []
        self._began = time.perf_counter()

    @property
    def seconds_per_step(self) -> float | None:
        """The quickest of the steps: the first one also warms up."""
        return round(min(self.step_seconds), 4) if self.step_seconds else None

    def begin(self, phase: str) -> None:
        """Close the phase before and begin the next."""
        self.end()
        self.phase = phase
        self._tell(phase if phase != "train" else f"train {len(self.step_seconds) + 1}")
        self._began = time.perf_counter()

    def _tell(self, stage: str) -> None:
        if self._progress is not None and stage in self._stages:
            now = {"done": self._stages.index(stage), "of": len(self._stages), "message": STAGES[stage]}
            write_whole(self._progress, json.dumps(now) + "\n")

    def end(self) -> None:
        """Note the peak of the phase now ending."""
        from loratui.worker.training.memory import forget_peak, process_peak_bytes

        peak = process_peak_bytes(cpu=self._cpu)
        forget_peak()
        self.peaks[self.phase] = max(peak, self.peaks.get(self.phase, 0))

    def callback(self) -> Any:
        """Tells the trainer's phases apart."""
        from transformers import TrainerCallback

        measure = self

        class Watch(TrainerCallback):
            def on_step_begin(self, *arguments: Any, **options: Any) -> None:
                measure.begin("train")

            def on_step_end(self, *arguments: Any, **options: Any) -> None:
                measure.step_seconds.append(time.perf_counter() - measure._began)

            def on_log(self, args: Any, state: Any, control: Any, **options: Any) -> None:
                if control.should_evaluate or control.should_save:
                    measure.begin("evaluate" if control.should_evaluate else "save")

            def on_evaluate(self, *arguments: Any, **options: Any) -> None:
                measure.begin("save")

            def on_save(self, *arguments: Any, **options: Any) -> None:
                measure.end()

        return Watch()
