"""Our worker against a plain TRL script: same model, data and settings, pair by pair in one run.

    python benchmarks/training_speed.py [--pairs 5] [--steps 100] [--model DIR] [--data FILE]

Each pair runs both in fresh processes, in turns first ours, first theirs. Compared is the time that `trainer.train()`
takes in each (loading and tokenising are not counted). Printed are both speeds of each pair in tokens a second, the
ratio ours / plain of each, and their median. The aim is at least 0.97.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from trl_script import seconds_and_tokens

PLAIN = """
import json, sys, time
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer
import torch

settings = json.loads(sys.argv[1])
rows = [json.loads(line) for line in open(settings["data"])]
rows = [
    {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "completion": [{"role": "assistant", "content": row["completion"]}],
    }
    for row in rows
]
dtype = torch.float32 if settings["cpu"] else torch.bfloat16
model = AutoModelForCausalLM.from_pretrained(settings["model"], dtype=dtype)
tokenizer = AutoTokenizer.from_pretrained(settings["model"])
config = SFTConfig(
    output_dir=settings["output"], per_device_train_batch_size=settings["batch_size"], gradient_accumulation_steps=1,
    max_steps=settings["steps"],
    learning_rate=2e-3, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 0.1},
    warmup_steps=0,
    optim="adamw_torch_fused", weight_decay=0.0, max_grad_norm=1.0, bf16=not settings["cpu"], use_cpu=settings["cpu"],
    gradient_checkpointing=False,
    max_length=256, logging_steps=1, report_to="none", save_strategy="steps", save_steps=2**31 - 1,
    seed=42, disable_tqdm=True,
    dataloader_pin_memory=not settings["cpu"],
)
trainer = SFTTrainer(
    model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
    peft_config=LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules="all-linear"),
)
began = time.perf_counter()
trainer.train()
print("RESULT", json.dumps({"seconds": time.perf_counter() - began, "tokens": trainer._total_train_tokens}))
"""


def plain(settings: dict[str, object]) -> dict[str, float]:
    """Seconds and tokens of the plain script, in the same environment as our worker."""
    return seconds_and_tokens(PLAIN, settings)


def ours(settings: dict[str, object]) -> dict[str, float]:
    """Seconds and tokens of a run."""
    from loratui.core.plan import Plan
    from loratui.core.plan_text import with_values
    from loratui.runs.control import wait_ended
    from loratui.runs.events import EventTail
    from loratui.runs.start import create_run, start_worker

    number_format = "fp32" if settings["cpu"] else "bf16"
    plan = with_values(
        Plan(),
        {
            "model.id": settings["model"],
            "model.dtype": number_format,
            "dataset.path": settings["data"],
            "dataset.eval_fraction": 0.0,
            "training.precision": number_format,
            "training.batch_size": settings["batch_size"],
            "training.accumulation": 1,
            "training.max_steps": settings["steps"],
            "training.max_length": 256,
            "training.learning_rate": 2e-3,
        },
    )
    run = create_run(plan, output=str(settings["output"]))
    start_worker(run)
    status = wait_ended(run, 3600)
    if status.state != "finished":
        raise SystemExit(f"our run {status.state}: {status.message}; see {run.log_path}")
    finished = EventTail(run.events_path).new_events()[-1].fields
    return {"seconds": finished["seconds"], "tokens": finished["tokens"]}


def main() -> None:
    """Run the pairs and print the figures."""
    from loratui.paths import demo_dataset_path, demo_model_path

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--model", default=str(demo_model_path()))
    parser.add_argument("--data", default=str(demo_dataset_path()), help="JSONL with prompt and completion")
    options = parser.parse_args()
    cpu = not Path("/proc/driver/nvidia").exists() and not os.environ.get("CUDA_VISIBLE_DEVICES")
    ratios = []
    for pair in range(options.pairs):
        speeds = {}
        for side, run in [("ours", ours), ("plain", plain)][:: 1 if pair % 2 == 0 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                result = run(
                    {
                        "model": options.model,
                        "data": options.data,
                        "steps": options.steps,
                        "batch_size": options.batch_size,
                        "cpu": cpu,
                        "output": str(Path(folder) / "run"),
                    }
                )
            speeds[side] = result["tokens"] / result["seconds"]
        ratios.append(speeds["ours"] / speeds["plain"])
        print(
            (
                f"pair {pair + 1}: ours {speeds['ours']:,.0f} tokens/s, plain {speeds['plain']:,.0f} tokens/s, ratio "
                f"{ratios[-1]:.3f}"
            ),
            flush=True,
        )
    print(
        json.dumps(
            {
                "ratio_median": round(statistics.median(ratios), 4),
                "ratio_worst": round(min(ratios), 4),
                "pairs": options.pairs,
                "aim": 0.97,
            }
        )
    )


if __name__ == "__main__":
    main()
