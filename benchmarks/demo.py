"""The demo's three figures: exact match of the base and of the adapter on the held-out rows, and the training's
seconds.

    python benchmarks/demo.py               train with loratui's worker, then ask base and adapter every held-out prompt
    python benchmarks/demo.py --plain       the same training by TRL and PEFT alone, without loratui
    python benchmarks/demo.py --json        one JSON object instead of text

Answers are greedy, come through the model's own chat template and end at its own end of turn; an answer counts when
it is the wanted record, character by character.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.paths import demo_dataset_path, demo_heldout_path, demo_model_path, presets_path

ANSWER_TOKENS = 96
PROMPTS_AT_ONCE = 40
TARGETS = {"base_exact_match": 0.05, "adapter_exact_match": 0.9, "training_seconds": 120.0}


def demo_plan(changes: dict[str, Any] | None = None) -> Plan:
    """The plan of `presets/demo.toml` on the built-in model and rows, with `changes` by dotted key."""
    values = tomllib.loads((presets_path() / "demo.toml").read_text(encoding="utf-8"))["values"]
    return with_values(Plan(), {"dataset.eval_fraction": 0.0, **values, **(changes or {})})


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def train_with_worker(plan: Plan, folder: Path) -> tuple[Path, float]:
    """Execute the plan as a run in `folder`: where the adapter lies, and the worker's seconds from start to end."""
    from loratui.runs.start import create_run, worker_command, worker_environment

    run = create_run(plan, output=folder)
    started = time.monotonic()
    done = subprocess.run(
        worker_command(run), env=worker_environment(plan), capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - started
    if done.returncode:
        sys.exit(f"The worker ended with {done.returncode}.\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return run.adapter_path, seconds


def train_plainly(plan: Plan, folder: Path) -> tuple[Path, float]:
    """The plan by TRL and PEFT alone: where the adapter lies, and the seconds of loading, training and saving."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    started = time.monotonic()
    training = plan.training
    rows = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["completion"]}],
        }
        for row in read_rows(demo_dataset_path())
    ]
    arguments = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.accumulation,
        num_train_epochs=training.epochs,
        max_steps=training.max_steps or -1,
        learning_rate=training.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": training.min_lr_ratio},
        warmup_steps=training.warmup_steps,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        max_length=training.max_length,
        seed=training.seed,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    adapter = LoraConfig(
        task_type="CAUSAL_LM",
        r=plan.lora.r,
        lora_alpha=int(plan.lora.alpha),
        lora_dropout=plan.lora.dropout,
        target_modules=plan.lora.targets,
    )
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(demo_model_path(), dtype=torch.float32),
        arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(demo_model_path()),
        peft_config=adapter,
    )
    trainer.train()
    trainer.save_model(str(folder / "adapter"))
    return folder / "adapter", time.monotonic() - started


def answers(prompts: Sequence[str], adapter: Path | None = None) -> list[str]:
    """The demo model's greedy answers, with or without an adapter."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(demo_model_path(), padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(demo_model_path(), dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    texts: list[str] = []
    for start in range(0, len(prompts), PROMPTS_AT_ONCE):
        batch = [[{"role": "user", "content": prompt}] for prompt in prompts[start : start + PROMPTS_AT_ONCE]]
        inputs = tokenizer.apply_chat_template(
            batch, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        with torch.inference_mode():
            made = model.generate(**inputs, do_sample=False, max_new_tokens=ANSWER_TOKENS)
        for row in made[:, inputs["input_ids"].shape[1] :].tolist():
            # An answer that never ends is not the wanted one, even if it begins with it.
            ended = tokenizer.eos_token_id in row
            text = tokenizer.decode(row[: row.index(tokenizer.eos_token_id)] if ended else row)
            texts.append(text if ended else text + " …")
    return texts


def exact_match(given: Sequence[str], rows: Sequence[dict[str, str]]) -> float:
    """Share of the answers that are the rows' completions."""
    return sum(answer == row["completion"] for answer, row in zip(given, rows, strict=True)) / len(rows)


def main() -> int:
    """Train, ask, print; 1 where a figure misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", action="store_true", help="train by TRL and PEFT alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the plan")
    arguments = parser.parse_args()

    from loratui.core.plan_text import parse_setting

    plan = demo_plan(dict(parse_setting(text) for text in arguments.set))
    rows = read_rows(demo_heldout_path())
    prompts = [row["prompt"] for row in rows]
    with tempfile.TemporaryDirectory(prefix="loratui-demo-") as folder:
        train = train_plainly if arguments.plain else train_with_worker
        adapter, seconds = train(plan, Path(folder) / "run")
        before, after = answers(prompts), answers(prompts, adapter)
    figures = {
        "base_exact_match": round(exact_match(before, rows), 4),
        "adapter_exact_match": round(exact_match(after, rows), 4),
        "training_seconds": round(seconds, 1),
    }
    if arguments.json:
        example = {"prompt": prompts[0], "base": before[0], "adapter": after[0]}
        print(
            json.dumps(
                {
                    **figures,
                    "held_out_rows": len(rows),
                    "trainer": "plain" if arguments.plain else "loratui",
                    "example": example,
                }
            )
        )
    else:
        print(f"base exact match     {figures['base_exact_match']:.3f}   (at most {TARGETS['base_exact_match']})")
        print(
            f"adapter exact match  {figures['adapter_exact_match']:.3f}   (at least {TARGETS['adapter_exact_match']})"
        )
        print(f"training seconds     {figures['training_seconds']:.1f}    (under {TARGETS['training_seconds']:.0f})")
        print(f"\n{prompts[0]}\n  base     {before[0]}\n  adapter  {after[0]}")
    good = (
        figures["base_exact_match"] <= TARGETS["base_exact_match"]
        and figures["adapter_exact_match"] >= TARGETS["adapter_exact_match"]
        and figures["training_seconds"] < TARGETS["training_seconds"]
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
