"""The demo's three figures: exact match of the base and of the adapter on the held-out rows, and the training's
seconds.

    python benchmarks/demo.py               train with loratui's worker, then ask base and adapter every held-out prompt
    python benchmarks/demo.py --plain       the same training by TRL and PEFT alone, without loratui
    python benchmarks/demo.py --preferences learn a preference: held-out pairs in the right order, before and after
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
from loratui.paths import (
    demo_dataset_path,
    demo_heldout_path,
    demo_model_path,
    demo_preferences_path,
    presets_path,
)

ANSWER_TOKENS = 96
PROMPTS_AT_ONCE = 40
PREFERENCE_TARGETS = {"base_in_order": 0.2, "adapter_in_order": 0.9, "training_seconds": 120.0}
PREFERENCE_VALUES = {"training.objective": "dpo", "training.batch_size": 8}
"""Beside the demo's preset, whose rate is for a model of its size: recipes of preference training stop at 360M."""
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


def in_order(rows: Sequence[dict[str, str]], adapter: Path | None = None) -> float:
    """Share of the pairs whose chosen answer the demo model finds likelier than the rejected one."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(demo_model_path())
    model = AutoModelForCausalLM.from_pretrained(demo_model_path(), dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    model.eval()

    def likelihood(row: dict[str, str], side: str) -> float:
        asked = [{"role": "user", "content": row["prompt"]}]
        begun = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"]
        answered = [*asked, {"role": "assistant", "content": row[side]}]
        ids = torch.tensor([tokenizer.apply_chat_template(answered, return_dict=True)["input_ids"]])
        with torch.inference_mode():
            found = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
        return float(found[len(begun) - 1 :].sum())

    return sum(likelihood(row, "chosen") > likelihood(row, "rejected") for row in rows) / len(rows)


def preferences(changes: dict[str, Any], *, as_json: bool) -> int:
    """Learn the demo's preference, and print how many held-out pairs are in the right order before and after."""
    path = str(demo_preferences_path())
    plan = demo_plan({"dataset.path": path, **PREFERENCE_VALUES, **changes})
    rows = read_rows(demo_preferences_path(held_out=True))
    with tempfile.TemporaryDirectory(prefix="loratui-demo-") as folder:
        adapter, seconds = train_with_worker(plan, Path(folder) / "run")
        figures = {
            "base_in_order": round(in_order(rows), 4),
            "adapter_in_order": round(in_order(rows, adapter), 4),
            "training_seconds": round(seconds, 1),
        }
    targets = PREFERENCE_TARGETS
    if as_json:
        print(json.dumps({**figures, "held_out_pairs": len(rows)}))
    else:
        print(f"base, pairs in order     {figures['base_in_order']:.3f}   (at most {targets['base_in_order']})")
        print(f"adapter, pairs in order  {figures['adapter_in_order']:.3f}   (at least {targets['adapter_in_order']})")
        print(
            f"training seconds         {figures['training_seconds']:.1f}    (under {targets['training_seconds']:.0f})"
        )
    good = (
        figures["base_in_order"] <= targets["base_in_order"]
        and figures["adapter_in_order"] >= targets["adapter_in_order"]
        and figures["training_seconds"] < targets["training_seconds"]
    )
    return 0 if good else 1


def exact_match(given: Sequence[str], rows: Sequence[dict[str, str]]) -> float:
    """Share of the answers that are the rows' completions."""
    return sum(answer == row["completion"] for answer, row in zip(given, rows, strict=True)) / len(rows)


def main() -> int:
    """Train, ask, print; 1 where a figure misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", action="store_true", help="train by TRL and PEFT alone")
    parser.add_argument("--preferences", action="store_true", help="learn the demo's preference instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the plan")
    arguments = parser.parse_args()

    from loratui.core.plan_text import parse_setting

    changes = dict(parse_setting(text) for text in arguments.set)
    if arguments.preferences:
        return preferences(changes, as_json=arguments.json)
    plan = demo_plan(changes)
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
