"""What is offered after a divergence can be taken: no way leads back to a checkpoint that is not there."""

from __future__ import annotations

from pathlib import Path

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.events import encode, make
from loratui.runs.start import create_run
from loratui.worker.training.fixes import fixes_after


def test_without_a_sound_checkpoint_every_change_starts_anew(tmp_path: Path) -> None:
    plan = with_values(Plan(), {"model.id": "demo", "dataset.path": "demo", "training.learning_rate": 2e-4})
    run = create_run(plan, output=tmp_path / "run")
    losses = [2.4 - step / 100 for step in range(40)] + [9.0] * 60
    with run.events_path.open("a") as file:
        file.write(encode(make("started", 1.0, total_steps=100)) + "\n")
        for step, loss in enumerate(losses, 1):
            file.write(encode(make("step", 1.0 + step, step=step, loss=loss, learning_rate=2e-4, grad_norm=1.0)) + "\n")
    offered = [way for way in fixes_after(run, plan, "diverged", 60) if "training.learning_rate" in way["change"]]
    assert offered and all(way.get("restart") for way in offered), offered
    assert not any("checkpoint" in way["advice"] for way in offered)
