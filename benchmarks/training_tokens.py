"""Content tokens a CPU second on real, uneven rows: what loratui proposes against TRL's defaults and TRL with packing.

    python benchmarks/training_tokens.py --data gsm8k_train.jsonl [--data alpaca.json] [--pairs 5] [--rows 800] [--save]

A random Qwen3 of 25 million parameters and a tokenizer of 8,000 pieces are made from the rows. Each side trains an
adapter of the same shape (the proposed one) in one pass over the same rows in a fresh process, round by round, at the
proposed rate and schedule, in the proposed number format (on a CPU TRL's own bfloat16 takes several times as long, and
its rate of 2e-5 leaves an adapter nearly where it was: neither would be a rival). "defaults" has TRL's defaults in
everything else. "packed" is the fastest that TRL names: `packing=True`, without gradient checkpointing, one sequence
of 1,024 tokens a step, for the mask that keeps rows apart costs the square of a batch (`--packed-batch` sets another).
Counted are tokens that bear content (padding not) a CPU second of `trainer.train()`; evaluations and saves are left out
on every side. The loss on held-out rows afterwards is one plain loop's, the same for all. The aims: 1.8 of the
defaults, 1.0 of packing, a held-out loss that is not worse, and padding of at most 5 %.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trl_script import seconds_and_tokens

LOSS = """
def held_out_loss(model, tokenizer, path):
    import torch
    total = count = 0
    model.eval()
    for line in open(path):
        row = json.loads(line)
        ask = [{"role": "user", "content": row["prompt"]}]
        say = [{"role": "assistant", "content": row["completion"]}]
        before = tokenizer.apply_chat_template(ask, add_generation_prompt=True)["input_ids"]
        ids = torch.tensor([tokenizer.apply_chat_template(ask + say)["input_ids"][:1024]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, :-1].float()
        wanted = ids[0, 1:].clone()
        wanted[: len(before) - 1] = -100
        kept = int((wanted != -100).sum())
        total += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
        count += kept
    return total / count
"""
THEIRS = (
    LOSS
    + """
import json, sys, time
from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

settings = json.loads(sys.argv[1])
rows = [json.loads(line) for line in open(settings["data"])]
rows = [
    {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "completion": [{"role": "assistant", "content": row["completion"]}],
    }
    for row in rows
]
trainer = SFTTrainer(
    model=settings["model"], train_dataset=Dataset.from_list(rows),
    peft_config=LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **settings["adapter"]),
    args=SFTConfig(output_dir=settings["output"], num_train_epochs=1, report_to="none", disable_tqdm=True,
        save_strategy="no", use_cpu=True, **settings["more"]),
)
began = time.process_time()
trainer.train()
seconds = time.process_time() - began
loss = held_out_loss(trainer.model, trainer.processing_class, settings["held_out"])
print("RESULT", json.dumps({"seconds": seconds, "tokens": trainer._total_train_tokens, "loss": loss}))
"""
)
OURS = (
    LOSS
    + """
import json, sys, time
from loratui.core.plan_text import plan_from_toml
from loratui.runs.start import create_run
from loratui.worker.training.journal import Journal
from loratui.worker.training.session import Session
from loratui.worker.training.signals import Requests
from loratui.worker.training.trainer import Trainer

settings = json.loads(sys.argv[1])
run = create_run(plan_from_toml(open(settings["plan"]).read()), output=settings["output"])
found = {"computed": 0}
train, step = Trainer.train, Trainer.training_step

def timed(self, *arguments, **options):
    began = time.process_time()
    result = train(self, *arguments, **options)
    found.update(seconds=time.process_time() - began, tokens=self._total_train_tokens, trainer=self)
    return result

def counted(self, model, inputs, *arguments, **options):
    found["computed"] += inputs["input_ids"].numel()
    return step(self, model, inputs, *arguments, **options)

Trainer.train, Trainer.training_step = timed, counted
journal = Journal(run)
Session(run, run.plan(), journal, Requests()).execute()
journal.close("finished")
trainer = found.pop("trainer")
found["loss"] = held_out_loss(trainer.model, trainer.processing_class, settings["held_out"])
print("RESULT", json.dumps(found))
"""
)

SHOWN = ("batch_size", "accumulation", "group_by_length", "packing", "learning_rate", "precision")
PACKED = {"packing": True, "gradient_checkpointing": False}


def write_model(folder: Path, texts: list[str]) -> None:
    """A random Qwen3 of 25 million parameters with a chat template and a tokenizer of its own."""
    import torch
    from inspection import make_tokenizer
    from transformers import Qwen3Config, Qwen3ForCausalLM

    fast = make_tokenizer(texts)
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(fast),
            hidden_size=448,
            intermediate_size=1344,
            num_hidden_layers=9,
            num_attention_heads=8,
            num_key_value_heads=4,
            head_dim=64,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            eos_token_id=fast.eos_token_id,
            pad_token_id=fast.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


def read_pairs(path: Path) -> list[dict[str, str]]:
    """Prompt and completion of each row: gsm8k's `question` and `answer`, alpaca's `instruction`, `input`, `output`."""
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    return [
        {
            "prompt": row.get("question") or "\n".join(filter(None, (row["instruction"], row.get("input", "")))),
            "completion": row.get("answer") or row["output"],
        }
        for row in rows
        if row.get("answer") or row.get("output")
    ]


def propose(folder: Path, data: Path) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """The proposed plan's file, the shape of its adapter as PEFT names it, and TRL's words for its rate and format."""
    from loratui.core.plan_text import plan_from_toml
    from loratui.core.schedule import scheduler_arguments

    file = folder / "plan.toml"
    values = ("dataset.eval_fraction=0", "training.epochs=1", "evaluation.every_steps=0", "saving.every_steps=0")
    command = [sys.executable, "-m", "loratui", "plan", "-m", str(folder / "model"), "-d", str(data), "-o", str(file)]
    subprocess.run(
        [*command, *(part for value in values for part in ("--set", value))], check=True, stdout=subprocess.DEVNULL
    )
    plan = plan_from_toml(file.read_text(encoding="utf-8"))
    training, lora = plan.training, plan.lora
    print("proposed:", {key: getattr(training, key) for key in SHOWN}, flush=True)
    schedule, more = scheduler_arguments(plan)
    rate = {
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": schedule,
        "lr_scheduler_kwargs": more,
        "warmup_steps": training.warmup_steps,
        "bf16": training.precision == "bf16",
    }
    return file, {"r": lora.r, "lora_alpha": lora.alpha, "lora_dropout": lora.dropout}, rate


def compare(data: Path, rows: int, pairs: int, packed_batch: int) -> Iterator[dict[str, Any]]:
    """Rounds over one dataset: the figures of all so far, after each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LORATUI_HOME"] = str(folder / "home")
        found = read_pairs(data)
        write_model(folder / "model", [row["prompt"] + "\n" + row["completion"] for row in found])
        held = found[rows : rows + 100]
        for part, chosen in (("train", found[:rows]), ("held", held)):
            (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
        plan, adapter, rate = propose(folder, folder / "train.jsonl")
        settings = {
            "model": str(folder / "model"),
            "data": str(folder / "train.jsonl"),
            "held_out": str(folder / "held.jsonl"),
            "plan": str(plan),
            "adapter": adapter,
        }
        sides = {
            "proposed": (OURS, {}),
            "defaults": (THEIRS, rate),
            "packed": (THEIRS, {**rate, **PACKED, "per_device_train_batch_size": packed_batch}),
        }
        rounds: list[dict[str, float]] = []
        first: dict[str, dict[str, float]] = {}
        for number in range(pairs):
            speeds: dict[str, float] = {}
            for side, (script, more) in list(sides.items())[:: 1 if number % 2 == 0 else -1]:
                output = folder / f"{side}-{number}"
                result = seconds_and_tokens(script, {**settings, "output": str(output), "more": more})
                speeds[side] = result["tokens"] / result["seconds"]
                first.setdefault(side, result)
            rounds.append(speeds)
            print(data.name, number + 1, {side: round(speed) for side, speed in speeds.items()}, flush=True)
            yield {
                "data": data.name,
                "rows": rows,
                "pairs": len(rounds),
                "padding": round(first["proposed"]["computed"] / first["proposed"]["tokens"] - 1, 4),
                "held_out_loss": {side: round(result["loss"], 4) for side, result in first.items()},
                "content_tokens": {side: int(result["tokens"]) for side, result in first.items()},
                "tokens_a_cpu_second": [{side: round(speed, 1) for side, speed in one.items()} for one in rounds],
                **{
                    f"ratio_to_{rival}": {
                        "median": round(statistics.median(one["proposed"] / one[rival] for one in rounds), 3),
                        "worst": round(min(one["proposed"] / one[rival] for one in rounds), 3),
                    }
                    for rival in ("defaults", "packed")
                },
            }


def main() -> None:
    """Run the rounds and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--packed-batch", type=int, default=1, help="sequences of a step of TRL with packing")
    parser.add_argument(
        "--save",
        action="store_true",
        help="keep the figures, after each pair, in benchmarks/results/training_tokens.json",
    )
    options = parser.parse_args()
    file = Path(__file__).parent / "results" / "training_tokens.json"
    for data in options.data:
        for result in compare(data, options.rows, options.pairs, options.packed_batch):
            if options.save:
                kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
                kept = [one for one in kept if one["data"] != result["data"]] + [result]
                text = json.dumps(sorted(kept, key=lambda one: one["data"]), indent=1)
                file.write_text(text + "\n", encoding="utf-8")
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
