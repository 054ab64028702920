"""How often a merged model answers as the adapter did on its quantised base: the demo, trained with NF4 and int8.

    .venv/bin/python benchmarks/merge_as_trained.py [--runs FOLDER]

Greedy answers to the 160 held-out rows, of the adapter on the base of its training, of the merge onto that base
dequantised (the default), and of the merge onto the unquantised base; and how many of them are right. `--runs` keeps
the trained runs, and uses them again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from loratui.core.generation import GenerationSettings
from loratui.paths import demo_model_path
from loratui.worker.generation.batch import generate_batch
from loratui.worker.generation.load import LoadedModels
from loratui.worker.generation.prompt import conversation, prompt_ids
from loratui.worker.quiet import quiet_libraries
from loratui.workers.protocol import ADAPTER, BASE, Load
from loratui.workers.target import find_target

SETTINGS = GenerationSettings(max_tokens=64)


def loratui(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "loratui", *arguments], check=True, stdout=subprocess.DEVNULL)


def answers(load: Load, side: str, rows: list[dict[str, str]]) -> list[str]:
    models = LoadedModels(load)
    asked = [prompt_ids(models.tokenizer, conversation([{"role": "user", "content": row["prompt"]}])) for row in rows]
    return [
        one.text
        for start in range(0, len(asked), 16)
        for one in generate_batch(models, side, asked[start : start + 16], SETTINGS)
    ]


def measure(kind: str, folder: Path, rows: list[dict[str, str]]) -> None:
    run = folder / kind
    if not (run / "adapter").is_dir():
        plan = folder / f"{kind}.toml"
        chosen = ("--set", "method.kind=qlora", "--set", f"method.quantization={kind}")
        loratui("plan", "-m", "demo", "-d", "demo", "--preset", "demo", *chosen, "-o", str(plan))
        loratui("train", str(plan), "--output", str(run))
    target = find_target(str(run))
    trained = answers(target.load, ADAPTER, rows)

    def told(name: str, given: list[str]) -> None:
        right = sum(one.strip() == row["completion"] for one, row in zip(given, rows, strict=True))
        same = sum(one == other for one, other in zip(given, trained, strict=True))
        print(f"{kind:5} {name:24} {right:4} of {len(rows)} right, {same:4} of {len(rows)} as on the {kind} base")

    told(f"adapter on {kind}", trained)
    with tempfile.TemporaryDirectory() as place:
        for onto in ("dequantised", "unquantised"):
            merged = Path(place) / onto
            loratui("merge", str(run), "-o", str(merged), "--onto", onto)
            told(f"merge, {onto}", answers(Load(str(merged), dtype=target.load.dtype), BASE, rows))
    told("adapter, unquantised", answers(replace(target.load, quantization="none"), ADAPTER, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path)
    given = parser.parse_args()
    quiet_libraries()
    held_out = demo_model_path().parent / "heldout.jsonl"
    rows = [json.loads(line) for line in held_out.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.runs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in ("nf4", "int8"):
            measure(kind, folder.absolute(), rows)


if __name__ == "__main__":
    main()
