"""Files as people have them, a few dozen steps each: columns recognised, cut rows counted, trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.paths import demo_model_path
from loratui.runs.control import wait_ended
from loratui.runs.events import Data, EventTail, Step
from loratui.runs.start import create_run, start_worker

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.mark.parametrize(("name", "rows"), [("gsm8k_train.jsonl", 7473), ("alpaca_en_demo.json", 999)])
def test_trains_on(name: str, rows: int, tmp_path: Path) -> None:
    data = SHARED / name
    if not data.is_file():
        pytest.skip(f"{data} is not here")
    if not (demo_model_path() / "model.safetensors").is_file():
        pytest.skip("the demo model is not built")
    plan = with_values(
        Plan(),
        {
            "model.dtype": "fp32",
            "dataset.path": str(data),
            "training.precision": "fp32",
            "training.batch_size": 2,
            "training.accumulation": 1,
            "training.max_length": 128,
            "training.max_steps": 30,
            "training.learning_rate": 5e-3,
        },
    )
    run = create_run(plan, output=tmp_path / "run")
    start_worker(run)
    status = wait_ended(run, 240)
    assert status.state == "finished", (status, run.log_path.read_text()[-2000:])
    events = EventTail(run.events_path).new_events()
    told = next(event for event in events if isinstance(event, Data))
    assert told.rows == rows and told.examples + told.eval_examples + told.without_answer + told.unusable == rows
    losses = [event.loss for event in events if isinstance(event, Step)]
    assert len(losses) == 30 and sum(losses[-5:]) < sum(losses[:5]), "it learns"  # type: ignore[arg-type]
