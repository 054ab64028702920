"""How fast a dataset is inspected: `python benchmarks/inspection.py [--rows 200000] [--model demo]`; and what a large
row costs: `--largest-row 30` adds one of so many MiB to 200 rows, and prints the memory that it takes beyond them.

Writes a file of JSON lines (about 1,000 bytes a row) to a temporary folder, inspects it in the worker as `loratui
inspect` does, and prints the time to the first finding, to the result, and the worker's peak of memory (its children
included). The goal, on two cores: 200,000 rows in under 90 s and 2 GB, first findings within 2 s; at most 12 bytes a
byte of the largest row, 1 GiB at most, and the same for a row that is too large to be read.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.workers.inspect_client import inspect_dataset

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "a",
    "is",
    "that",
    "for",
    "it",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "but",
    "at",
    "are",
    "this",
    "have",
    "from",
    "or",
    "one",
    "had",
    "which",
    "an",
    "they",
    "you",
    "were",
    "their",
    "been",
    "has",
    "would",
    "there",
    "what",
    "will",
    "more",
    "if",
    "who",
    "when",
    "out",
    "so",
    "said",
    "about",
    "time",
    "these",
    "may",
    "some",
    "than",
    "other",
    "into",
    "only",
    "its",
    "new",
    "could",
    "number",
    "system",
    "program",
    "question",
    "answer",
    "because",
    "water",
    "people",
    "world",
    "school",
    "history",
    "language",
    "model",
    "training",
    "gradient",
    "memory",
    "data",
]


def write_rows(path: Path, count: int, seed: int = 0) -> None:
    """Questions and answers of 40 to 260 words."""
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            asked = " ".join(draw.choices(WORDS, k=draw.randint(10, 80)))
            answered = " ".join(draw.choices(WORDS, k=draw.randint(30, 240)))
            file.write(json.dumps({"id": number, "question": f"{asked} {number}?", "answer": f"{answered}."}) + "\n")


def make_tokenizer(texts: Iterable[str]) -> Any:
    """A byte-level tokenizer of 8,000 tokens, made from the texts, with ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from loratui.worker.tokenizer import CHATML

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8000,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    return tokenizer


def make_model(folder: Path, rows: Path) -> Path:
    """A model's folder without weights, with such a tokenizer."""
    from loratui.models.catalogue import find_entry

    with rows.open(encoding="utf-8") as file:
        tokenizer = make_tokenizer([line for line, _ in zip(file, range(2000), strict=False)])
    tokenizer.save_pretrained(folder)
    entry = find_entry("Qwen/Qwen3-0.6B")
    assert entry is not None
    (folder / "config.json").write_text(json.dumps({**entry.config, "eos_token_id": tokenizer.eos_token_id}))
    return folder


class Peak(threading.Thread):
    """Watches the resident memory of this process's children."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self.cpu_seconds = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.1):
            total, cpu = 0, 0.0
            for child in psutil.Process().children(recursive=True):
                try:
                    total += child.memory_info().rss
                    cpu += sum(child.cpu_times()[:2])
                except psutil.Error:
                    continue
            self.cpu_seconds = max(self.cpu_seconds, cpu)
            self.peak_bytes = max(self.peak_bytes, total)


FORMS = ("jsonl", "json", "csv", "txt", "parquet")


def write_large(folder: Path, form: str, mebibytes: int) -> Path:
    """200 small rows and one of so many MiB, in its middle."""
    draw = random.Random(0)
    rows = [{"prompt": f"question {number}?", "completion": f"answer {number}."} for number in range(200)]
    page = " ".join(draw.choices(WORDS, k=2**17))[: 2**19] + ("\n" if form != "txt" else " ")
    rows.insert(100, {"prompt": "tell it all", "completion": page * (2 * mebibytes)})
    path = folder / f"rows.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif form == "json":
        path.write_text(json.dumps(rows))
    elif form == "txt":
        path.write_text("".join(row["completion"] + "\n" for row in rows))
    elif form == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["prompt", "completion"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def largest_row(mebibytes: int) -> int:
    """Memory of the worker beyond that of the same rows with a small one in the large one's place."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "words.jsonl", 2000)
        model = make_model(folder / "model", folder / "words.jsonl")
        for form in FORMS:
            peaks, kinds = [], {}
            for size in (0, mebibytes):
                path = write_large(folder, form, size)
                values = {"model.id": str(model), "dataset.path": str(path), "training.max_length": 2048}
                watcher = Peak()
                watcher.start()
                kinds = inspect_dataset(with_values(Plan(), values))["problem_counts"]
                watcher.done.set()
                peaks.append(watcher.peak_bytes)
            more = peaks[1] - peaks[0]
            told = "too large, named" if kinds.get("too-large") else "read"
            print(
                f"{form:<8} row of {mebibytes} MiB: {told:<17} {more / 2**20:6.0f} MiB more, "
                f"{more / (mebibytes * 2**20):5.1f} bytes a byte"
            )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument(
        "--model", default="", help="whose tokenizer is used; default: one of 8,000 tokens made from the rows"
    )
    parser.add_argument("--largest-row", type=int, default=0, metavar="MIB", help="what a row of so many MiB costs")
    given = parser.parse_args()
    if given.largest_row:
        return largest_row(given.largest_row)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, given.rows)
        model = given.model or str(make_model(Path(folder) / "model", path))
        plan = with_values(Plan(), {"model.id": model, "dataset.path": str(path), "training.max_length": 2048})
        first: dict[str, float] = {}
        watcher = Peak()
        watcher.start()
        start = time.monotonic()
        result = inspect_dataset(
            plan, on_message=lambda message: first.setdefault(message["type"], time.monotonic() - start)
        )  # type: ignore[func-returns-value]
        seconds = time.monotonic() - start
        watcher.done.set()
        size_bytes = path.stat().st_size
    print(f"{given.rows:,} rows, {size_bytes / 1e6:.0f} MB, {result['tokens']['total']:,} tokens")
    print(f"first finding (how rows are read)   {first['recognised']:7.2f} s")
    print(f"first tokens counted                {first.get('partial', seconds):7.2f} s")
    print(
        f"result                              {seconds:7.2f} s   {given.rows / seconds:,.0f} rows/s, "
        f"{size_bytes / 1e6 / seconds:.1f} MB/s"
    )
    print(f"processor time of the worker        {watcher.cpu_seconds:7.2f} s   (what matters on a busy machine)")
    print(f"peak of the worker's memory         {watcher.peak_bytes / 2**20:7.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
