"""A real run whose prompts close thinking is asked in the same way afterwards, and stops where it was taught to."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.control import wait_ended
from loratui.runs.start import create_run, start_worker
from loratui.workers.target import find_target

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]


def test_a_run_is_asked_as_it_was_trained(tmp_path: Path) -> None:
    from loratui.data.conversation import Conversation, Message
    from loratui.worker.generation.load import LoadedModels
    from loratui.worker.generation.prompt import render
    from loratui.worker.training.dataset import prepare

    model = write_tiny_model(tmp_path / "model")
    plan = with_values(
        Plan(),
        {
            "model.id": str(model),
            "model.dtype": "fp32",
            "model.chat_template": "qwen3",
            "model.thinking": "off",
            "model.end_token": "<|endoftext|>",
            "dataset.path": str(write_rows(tmp_path / "rows.jsonl", 12)),
            "dataset.eval_fraction": 0.0,
            "training.precision": "fp32",
            "training.max_length": 128,
            "training.max_steps": 1,
            "hardware.cpu": True,
        },
    )
    run = create_run(plan, output=tmp_path / "run")
    start_worker(run)
    assert wait_ended(run, 120.0).state == "finished"
    models = LoadedModels(find_target(str(run.path)).load)
    text, ids = render(models.tokenizer, Conversation((Message("user", "1 and 2 is"),)))
    assert text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.tokenizer import load_tokenizer

    row = Tokeniser(load_tokenizer(plan)).one(
        Conversation((Message("user", "1 and 2 is"), Message("assistant", "3", True)))
    )
    assert row.input_ids[: len(ids)] == ids and set(row.labels[: len(ids)]) == {-100}
    assert models.tokenizer.eos_token == "<|endoftext|>" and models.tokenizer.eos_token_id in models.stop_ids
    assert len(prepare(plan, Tokeniser(load_tokenizer(plan), max_length=128)).train) == 12
