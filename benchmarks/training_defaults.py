"""The settings that loratui proposes against TRL's own defaults and its fastest settings: same model and data, round by
round.

    python benchmarks/training_defaults.py [--pairs 4] [--rows 800] [--model DIR] [--data FILE] [--save]

Theirs is the shortest script that trains an adapter: `SFTConfig` and `LoraConfig` with nothing set but places, the
number of rows and silence; and the same with what TRL's own guide names to make it fast (no checkpointing, fused
optimizer, 16-bit weights, TF32 and packing with flash attention where the card has them). Ours is what `loratui plan`
proposes for the same model, data and machine. Each goes once through the same rows in a fresh process; compared are
tokens that bear content (padding not counted) a second of `trainer.train()`. The aim is above 1 against the defaults.
On a machine with a CUDA card the figures are that card's; `--save` keeps them by its name.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from trl_script import seconds_and_tokens

DEFAULTS = """
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
    model=settings["model"], train_dataset=Dataset.from_list(rows), peft_config=LoraConfig(task_type="CAUSAL_LM"),
    args=SFTConfig(output_dir=settings["output"], num_train_epochs=1, report_to="none", disable_tqdm=True,
        save_strategy="no", **settings["must"], **settings.get("fast", {})),
)
began = time.perf_counter()
trainer.train()
print("RESULT", json.dumps({"seconds": time.perf_counter() - began, "tokens": trainer._total_train_tokens}))
"""


def defaults(settings: dict[str, Any]) -> dict[str, float]:
    """Seconds and content tokens of TRL's defaults."""
    return seconds_and_tokens(DEFAULTS, settings)


def fastest(settings: dict[str, Any]) -> dict[str, float]:
    """Seconds and content tokens of TRL's fastest settings on this machine."""
    from importlib.util import find_spec

    import torch

    fast: dict[str, Any] = {
        "gradient_checkpointing": False,
        "optim": "adamw_torch_fused",
        "per_device_train_batch_size": settings["batch"],
    }
    if torch.cuda.is_available():
        half = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        flash = find_spec("flash_attn") is not None
        fast |= {
            "bf16": half == "bfloat16",
            "fp16": half == "float16",
            "packing": flash,
            "tf32": torch.cuda.get_device_capability() >= (8, 0),
        }
        fast["model_init_kwargs"] = {"dtype": half} | ({"attn_implementation": "flash_attention_2"} if flash else {})
    return defaults(settings | {"fast": fast})


def proposed(settings: dict[str, Any]) -> dict[str, float]:
    """Seconds and content tokens of what loratui proposes; evaluations and saves are left out, as over there."""
    from loratui.core.plan_text import plan_from_toml
    from loratui.runs.control import wait_ended
    from loratui.runs.events import EventTail
    from loratui.runs.start import create_run, start_worker

    file = Path(settings["output"]).with_suffix(".toml")
    values = ("dataset.eval_fraction=0", "training.epochs=1", "evaluation.every_steps=0", "saving.every_steps=0")
    command = [
        sys.executable,
        "-m",
        "loratui",
        "plan",
        "-m",
        settings["model"],
        "-d",
        settings["data"],
        "-o",
        str(file),
    ]
    subprocess.run(
        [*command, *(part for value in values for part in ("--set", value))], check=True, stdout=subprocess.DEVNULL
    )
    run = create_run(plan_from_toml(file.read_text(encoding="utf-8")), output=settings["output"])
    start_worker(run)
    status = wait_ended(run, 3600)
    if status.state != "finished":
        raise SystemExit(f"our run {status.state}: {status.message}; see {run.log_path}")
    finished = EventTail(run.events_path).new_events()[-1].fields
    return {"seconds": finished["seconds"], "tokens": finished["tokens"]}


def main() -> None:
    """Run the rounds and print the figures."""
    import torch

    from loratui.paths import demo_dataset_path, demo_model_path

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--batch", type=int, default=16, help="rows per forward pass of TRL's fastest settings")
    parser.add_argument("--model", default=str(demo_model_path()))
    parser.add_argument("--data", default=str(demo_dataset_path()), help="JSONL with prompt and completion")
    parser.add_argument(
        "--save", action="store_true", help="keep the figures in benchmarks/results/training_defaults-DEVICE.json"
    )
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else "CPU"
    must = {} if cuda else {"use_cpu": True}  # without it TRL refuses to begin on a machine that has no GPU
    sides = {"proposed": proposed, "defaults": defaults, "fastest": fastest}
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["LORATUI_HOME"] = home
        data = Path(home) / "rows.jsonl"
        with Path(options.data).open(encoding="utf-8") as rows:
            data.write_text("".join(islice(rows, options.rows)), encoding="utf-8")
        for number in range(options.pairs):
            speeds: dict[str, float] = {}
            for side, work in list(sides.items())[:: 1 if number % 2 == 0 else -1]:
                with tempfile.TemporaryDirectory() as folder:
                    settings = {
                        "model": options.model,
                        "data": str(data),
                        "output": str(Path(folder) / "run"),
                        "must": must,
                        "batch": options.batch,
                    }
                    result = work(settings)
                speeds[side] = result["tokens"] / result["seconds"]
            rounds.append(speeds)
            print(
                f"round {number + 1}: "
                + ", ".join(f"{side} {speed:,.0f} tokens/s" for side, speed in sorted(speeds.items())),
                flush=True,
            )
    summary = {"device": device, "pairs": options.pairs, "aim": 1.0}
    for rival in ("defaults", "fastest"):
        ratios = [one["proposed"] / one[rival] for one in rounds]
        summary |= {
            f"ratio_to_{rival}_median": round(statistics.median(ratios), 3),
            f"ratio_to_{rival}_worst": round(min(ratios), 3),
        }
    print(json.dumps(summary))
    if options.save:
        name = device.lower().replace(" ", "-")
        (Path(__file__).parent / "results" / f"training_defaults-{name}.json").write_text(
            json.dumps({**summary, "rounds": rounds}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
