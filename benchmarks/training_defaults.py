"""The settings that loratui proposes against TRL's own defaults: same model and data, pair by pair in one run.

    python benchmarks/training_defaults.py [--pairs 4] [--rows 800] [--model DIR] [--data FILE]

Theirs is the shortest script that trains an adapter: `SFTConfig` and `LoraConfig` with nothing set but places, the number
of rows and silence. Ours is what `loratui plan` proposes for the same model, data and machine. Each goes once through the
same rows in a fresh process; compared are tokens that bear content (padding not counted) a second of `trainer.train()`.
The aim is above 1.
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

DEFAULTS = """
import json, sys, time
from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

settings = json.loads(sys.argv[1])
rows = [json.loads(line) for line in open(settings["data"])]
rows = [{"prompt": [{"role": "user", "content": row["prompt"]}], "completion": [{"role": "assistant", "content": row["completion"]}]} for row in rows]
trainer = SFTTrainer(
    model=settings["model"], train_dataset=Dataset.from_list(rows), peft_config=LoraConfig(task_type="CAUSAL_LM"),
    args=SFTConfig(output_dir=settings["output"], num_train_epochs=1, report_to="none", disable_tqdm=True, save_strategy="no", **settings["must"]),
)
began = time.perf_counter()
trainer.train()
print("RESULT", json.dumps({"seconds": time.perf_counter() - began, "tokens": trainer._total_train_tokens}))
"""


def defaults(settings: dict[str, Any]) -> dict[str, float]:
    """Seconds and content tokens of TRL's defaults."""
    from loratui.core.plan import Plan
    from loratui.runs.start import worker_environment

    done = subprocess.run([sys.executable, "-c", DEFAULTS, json.dumps(settings)], capture_output=True, text=True, check=False, env=worker_environment(Plan()))
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise SystemExit(f"TRL's defaults failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(line.removeprefix("RESULT ")))


def proposed(settings: dict[str, Any]) -> dict[str, float]:
    """Seconds and content tokens of what loratui proposes; evaluations and saves are left out, as over there."""
    from loratui.core.plan_text import plan_from_toml
    from loratui.runs.control import wait_ended
    from loratui.runs.start import create_run, start_worker
    from loratui.runs.tail import EventTail

    file = Path(settings["output"]).with_suffix(".toml")
    values = ("dataset.eval_fraction=0", "training.epochs=1", "evaluation.every_steps=0", "saving.every_steps=0")
    command = [sys.executable, "-m", "loratui", "plan", "-m", settings["model"], "-d", settings["data"], "-o", str(file)]
    subprocess.run([*command, *(part for value in values for part in ("--set", value))], check=True, stdout=subprocess.DEVNULL)
    run = create_run(plan_from_toml(file.read_text(encoding="utf-8")), output=settings["output"])
    start_worker(run)
    status = wait_ended(run, 3600)
    if status.state != "finished":
        raise SystemExit(f"our run {status.state}: {status.message}; see {run.log_path}")
    finished = EventTail(run.events_path).new_events()[-1].fields
    return {"seconds": finished["seconds"], "tokens": finished["tokens"]}


def main() -> None:
    """Run the pairs and print the figures."""
    from loratui.resources import demo_dataset_path, demo_model_path

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--model", default=str(demo_model_path()))
    parser.add_argument("--data", default=str(demo_dataset_path()), help="JSONL with prompt and completion")
    options = parser.parse_args()
    cpu = not Path("/proc/driver/nvidia").exists()
    must = {"use_cpu": True} if cpu else {}  # without it TRL refuses to begin on a machine that has no GPU
    ratios = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["LORATUI_HOME"] = home
        data = Path(home) / "rows.jsonl"
        with Path(options.data).open(encoding="utf-8") as rows:
            data.write_text("".join(islice(rows, options.rows)), encoding="utf-8")
        for pair in range(options.pairs):
            speeds = {}
            for side, work in [("ours", proposed), ("theirs", defaults)][:: 1 if pair % 2 == 0 else -1]:
                with tempfile.TemporaryDirectory() as folder:
                    result = work({"model": options.model, "data": str(data), "output": str(Path(folder) / "run"), "must": must})
                speeds[side] = result["tokens"] / result["seconds"]
            ratios.append(speeds["ours"] / speeds["theirs"])
            print(f"pair {pair + 1}: proposed {speeds['ours']:,.0f} tokens/s, TRL's defaults {speeds['theirs']:,.0f} tokens/s, ratio {ratios[-1]:.2f}", flush=True)
    print(json.dumps({"ratio_median": round(statistics.median(ratios), 3), "ratio_worst": round(min(ratios), 3), "pairs": options.pairs, "aim": 1.0}))


if __name__ == "__main__":
    main()
