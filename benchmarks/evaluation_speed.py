"""1,000 rows evaluated, beside a plain script that generates the same answers in batches of the same size, pairwise.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/evaluation_speed.py RUN [--pairs 4] [--rows 1000] [--save FILE]

On a CPU, in seconds of processor time, which no neighbour takes.
The plain script is what one writes with transformers and PEFT: left padding, `generate` on batches of 16 in the file's
order. Both begin with weights in memory; loading is not counted. The evaluation reads and renders rows, answers, keeps
every answer, and measures; three ways stand beside the script: in batches as large as its own, the same with the
likelihood of the written answers (which the script does not ask for), and as the command does it unasked.
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
from loratui.worker.evaluate import BATCH_ROWS
from loratui.worker.evaluating import Asking, _Work
from loratui.worker.generation.load import LoadedModels
from loratui.worker.quiet import quiet_libraries
from loratui.workers.evaluation_rows import EvaluationRows
from loratui.workers.protocol import ADAPTER
from loratui.workers.questions import read_questions
from loratui.workers.target import Target, find_target

BATCH, TOKENS = 16, 64
WAYS = {
    "answers alone, batches as large": (BATCH, False),
    "with likelihoods, batches as large": (BATCH, True),
    "as the command does it": (BATCH_ROWS, True),
}
"""Rows answered at once, and whether likelihoods are found too."""


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


def ours(models: LoadedModels, target: Target, data: Path, *, batch: int, likelihood: bool) -> tuple[float, list[str]]:
    """Seconds of processor time, and the answers."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        rows = EvaluationRows.of(read_questions(str(data), target.plan))
        records = Records(Path(folder), "adapter", {})
        records.begin()
        needs = Needs(1, likelihood, False)
        settings = GenerationSettings(max_tokens=TOKENS)
        _Work(models, target, rows, needs, Asking(settings, batch), None).ask(ADAPTER, records)
        records.close()
        outcomes = records.outcomes(rows.items, 1)
        names = [name for name in applicable(rows.items, Rules()) if name not in ("bleu", "chrf")]
        document([Side("adapter", "adapter", outcomes)], rows.items, names, Rules())
        return time.process_time() - began, [one.answers[0].text for one in outcomes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--ways", type=int, nargs="+", default=[1, 2, 3], help="which of the three")
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
        ways = [name for number, name in enumerate(WAYS, start=1) if number in given.ways]
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for pair in range(given.pairs):
            for name in ways if pair % 2 else reversed(ways):
                batch, likelihood = WAYS[name]
                seconds, wanted = plain(models, rows)
                mine, answers = ours(models, target, data, batch=batch, likelihood=likelihood)
                same = sum(one == other for one, other in zip(answers, wanted, strict=True))
                figures = {"plain": seconds, "evaluation": mine, "speed": seconds / mine}
                found[name].append({key: round(value, 3) for key, value in figures.items()} | {"same": same})
                print(
                    f"plain script {seconds:6.1f} s, evaluation, {name:34} {mine:6.1f} s: "
                    f"{seconds / mine:.2f} of its speed; {same} of {len(rows)} answers the same",
                    flush=True,
                )
    for name, pairs in found.items():
        print(f"{name:34}: median {statistics.median(one['speed'] for one in pairs):.2f} of the script's speed")
    if given.save:
        told = {"rows": len(rows), "clock": "processor time, seconds, one core", "ways": found}
        given.save.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
