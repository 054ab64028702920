"""Preference training beside a plain TRL script, and a reference that is computed once beside one at each step.

    python benchmarks/preference_speed.py [--objective dpo|orpo|kto] [--pairs 3] [--steps 24]
    python benchmarks/preference_speed.py --reference [--objective dpo|kto] [--epochs 3]

Both sides run in fresh processes, in turns first the one, first the other, on a random Llama and rows that the script
makes. Compared is the processor time of `trainer.train()` (with --reference also that of the pass that computes the
reference before), so that other programs on the machine count for nothing. The aims are at least 0.97 of the plain
script, and at least 1.25 times the speed where the reference is computed once.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from trl_script import seconds_and_tokens

RESULTS = Path(__file__).parent / "results" / "preference_speed.json"
PLAIN = """
import json, sys, time
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
import torch

settings = json.loads(sys.argv[1])
objective = settings["objective"]
if objective == "orpo":
    from trl.experimental.orpo import ORPOConfig as Config, ORPOTrainer as Trainer
elif objective == "kto":
    from trl import KTOConfig as Config, KTOTrainer as Trainer
else:
    from trl import DPOConfig as Config, DPOTrainer as Trainer
rows = Dataset.from_list([json.loads(line) for line in open(settings["data"])])
if objective == "kto":
    rows = rows.shuffle(seed=42)
model = AutoModelForCausalLM.from_pretrained(settings["model"], dtype=torch.float32)
config = Config(
    output_dir=settings["output"], per_device_train_batch_size=4, gradient_accumulation_steps=1,
    max_steps=settings["steps"], learning_rate=1e-4, lr_scheduler_type="cosine_with_min_lr",
    lr_scheduler_kwargs={"min_lr_rate": 0.1}, warmup_steps=0, optim="adamw_torch_fused", bf16=False, use_cpu=True,
    gradient_checkpointing=False, max_length=512, logging_steps=1, report_to="none", save_strategy="no", seed=42,
    disable_tqdm=True, dataloader_pin_memory=False,
)
trainer = Trainer(
    model=model, args=config, train_dataset=rows, processing_class=AutoTokenizer.from_pretrained(settings["model"]),
    peft_config=LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules="all-linear"),
)
began = time.process_time()
trainer.train()
print("RESULT", json.dumps({"seconds": time.process_time() - began}))
"""
OURS = """
import json, sys, time
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import create_run
from loratui.worker.training.journal import Journal
from loratui.worker.training.session import Session
from loratui.worker.training.signals import Requests
from loratui.worker.training.preferring import Preferring

settings = json.loads(sys.argv[1])
spent = {"seconds": 0.0}

def timed(function):
    def call(*arguments, **options):
        began = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            spent["seconds"] += time.process_time() - began
    return call

Preferring._precompute_ref_logps = timed(Preferring._precompute_ref_logps)
Preferring.train = timed(Preferring.train)
run = create_run(with_values(Plan(), settings["values"]), output=settings["output"])
journal = Journal(run)
state = Session(run, run.plan(), journal, Requests()).execute().state
journal.close(state)
assert state == "finished", state
print("RESULT", json.dumps(spent))
"""


def make_model(folder: Path, hidden: int, layers: int, seed: int = 0) -> None:
    """A random Llama with the demo's tokenizer, large enough that its products take most of a step."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from loratui.paths import demo_model_path

    tokenizer = AutoTokenizer.from_pretrained(demo_model_path())
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 64,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_rows(path: Path, objective: str, count: int, seed: int = 0) -> None:
    """Questions with a better and a worse answer of many words, or with one answer and its label."""
    draw = random.Random(seed)
    words = ("price", "size", "colour", "weight", "order", "item", "state", "name", "list", "code", "red", "small")

    def text(length: int) -> str:
        return " ".join(draw.choice(words) for _ in range(length))

    def turn(role: str, content: str) -> list[dict[str, str]]:
        return [{"role": role, "content": content}]

    rows: list[dict[str, Any]] = []
    for number in range(count):
        asked = turn("user", text(12))
        sides = [turn("assistant", text(draw.randrange(24, 40))) for _ in range(2)]
        if objective == "kto":
            rows.append({"prompt": asked, "completion": sides[0], "label": number % 2 == 0})
        else:
            rows.append({"prompt": asked, "chosen": sides[0], "rejected": sides[1]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def values_of(options: argparse.Namespace, model: Path, data: Path) -> dict[str, Any]:
    """The plan of our side."""
    return {
        "model.id": str(model),
        "model.dtype": "fp32",
        "dataset.path": str(data),
        "dataset.eval_fraction": 0.0,
        "training.objective": options.objective,
        "training.precision": "fp32",
        "training.batch_size": 4,
        "training.accumulation": 1,
        "training.max_length": 512,
        "training.learning_rate": 1e-4,
    }


def main() -> int:
    """Run the pairs, print each ratio and their median, and keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objective", choices=("dpo", "orpo", "kto"), default="dpo")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--reference", action="store_true", help="computed once beside computed at each step")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=256, help="width of the model, a multiple of 64")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULTS}")
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as place:
        model, data = Path(place) / "model", Path(place) / "rows.jsonl"
        make_model(model, options.hidden, options.layers)
        make_rows(data, options.objective, 4 * options.steps)
        values = values_of(options, model, data)
        if options.reference:
            epochs = {"training.epochs": options.epochs}
            once = values | epochs | {"preference.reference": "precomputed"}
            sides = {"once": (OURS, once), "each step": (OURS, values | epochs)}
        else:
            sides = {"ours": (OURS, values | {"training.max_steps": options.steps}), "plain": (PLAIN, {})}
        for pair in range(options.pairs):
            seconds = {}
            for name, (script, plan) in list(sides.items())[:: 1 if pair % 2 == 0 else -1]:
                with tempfile.TemporaryDirectory() as folder:
                    settings = {
                        "objective": options.objective,
                        "model": str(model),
                        "data": str(data),
                        "steps": options.steps,
                        "output": str(Path(folder) / "run"),
                        "values": plan,
                    }
                    seconds[name] = seconds_and_tokens(script, settings)["seconds"]
            first, second = sides
            ratios.append(seconds[second] / seconds[first])
            told = ", ".join(f"{name} {spent:.2f} s" for name, spent in seconds.items())
            print(f"pair {pair + 1}: {told} of processor time, ratio {ratios[-1]:.3f}", flush=True)
    beside = "once beside each step" if options.reference else "beside plain TRL"
    kind = f"{options.objective} {beside}, width {options.hidden}"
    aim = 1.25 if options.reference else 0.97
    found = {
        "ratio_median": round(statistics.median(ratios), 4),
        "ratio_worst": round(min(ratios), 4),
        "pairs": options.pairs,
        "steps": options.steps,
        **({"epochs": options.epochs} if options.reference else {}),
        "aim": aim,
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps({kind: found}))
    if options.save:
        kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(kept | {kind: found}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
