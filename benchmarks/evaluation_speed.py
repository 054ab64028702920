"""1,000 rows evaluated, beside a plain script that generates the same answers in batches of the same size, pairwise.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/evaluation_speed.py RUN [--pairs 3] [--rows 1000]

On a CPU, in seconds of processor time, which no neighbour takes.
The plain script is what one writes with transformers and PEFT: left padding, `generate` on batches in the file's order.
Both begin with weights in memory; loading is not counted. The evaluation reads and renders rows, answers, keeps every
answer, finds the likelihood of the written ones, and measures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from loratui.core.generation import GenerationSettings
from loratui.evaluation.records import Needs, Records
from loratui.evaluation.report import Side, document
from loratui.evaluation.scoring import Rules, applicable
from loratui.paths import demo_model_path
from loratui.worker.evaluating import Asking, _Work
from loratui.worker.generation.load import LoadedModels
from loratui.worker.quiet import quiet_libraries
from loratui.workers.evaluation_rows import EvaluationRows
from loratui.workers.protocol import ADAPTER
from loratui.workers.questions import read_questions
from loratui.workers.target import Target, find_target

BATCH, TOKENS = 16, 64


def plain(models: LoadedModels, rows: list[dict[str, str]]) -> tuple[float, list[str]]:
    """Seconds of processor time, and the answers."""
    model, tokenizer = models.use(ADAPTER), models.tokenizer
    tokenizer.padding_side = "left"
    began = time.process_time()
    answers: list[str] = []
    for start in range(0, len(rows), BATCH):
        texts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": row["prompt"]}], tokenize=False, add_generation_prompt=True
            )
            for row in rows[start : start + BATCH]
        ]
        batch: Any = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(models.device)
        with torch.inference_mode():
            output = model.generate(
                **batch,
                do_sample=False,
                max_new_tokens=TOKENS,
                pad_token_id=models.pad_id,
                eos_token_id=models.stop_ids,
            )
        answers += tokenizer.batch_decode(output[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return time.process_time() - began, answers


def ours(models: LoadedModels, target: Target, data: Path, *, likelihood: bool) -> tuple[float, list[str]]:
    """Seconds of processor time, and the answers."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        rows = EvaluationRows.of(read_questions(str(data), target.plan))
        records = Records(Path(folder), "adapter", {})
        records.begin()
        needs = Needs(1, likelihood, False)
        settings = GenerationSettings(max_tokens=TOKENS)
        _Work(models, target, rows, needs, Asking(settings, BATCH)).ask(ADAPTER, records)
        records.close()
        outcomes = records.outcomes(rows.items, 1)
        names = [name for name in applicable(rows.items, Rules()) if name not in ("bleu", "chrf")]
        document([Side("adapter", "adapter", outcomes)], rows.items, names, Rules())
        return time.process_time() - began, [one.answers[0].text for one in outcomes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000)
    given = parser.parse_args()
    quiet_libraries()
    target = find_target(given.run)
    models = LoadedModels(target.load)
    lines = (demo_model_path().parent / "train.jsonl").read_text().splitlines()[: given.rows]
    rows = [json.loads(line) for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "rows.jsonl"
        data.write_text("\n".join(lines))
        plain(models, rows[:BATCH])
        ratios: dict[bool, list[float]] = {False: [], True: []}
        for pair in range(given.pairs):
            seconds, wanted = plain(models, rows)
            for likelihood in (False, True) if pair % 2 else (True, False):
                mine, answers = ours(models, target, data, likelihood=likelihood)
                ratios[likelihood].append(seconds / mine)
                same = sum(one == other for one, other in zip(answers, wanted, strict=True))
                what = "with" if likelihood else "without"
                print(
                    f"plain script {seconds:6.1f} s, evaluation {what:7} likelihoods {mine:6.1f} s: "
                    f"{seconds / mine:.2f} of its speed; {same} of {len(rows)} answers the same",
                    flush=True,
                )
    for likelihood, found in ratios.items():
        print(f"{'with' if likelihood else 'without'} likelihoods: median {statistics.median(found):.2f}")


if __name__ == "__main__":
    main()
