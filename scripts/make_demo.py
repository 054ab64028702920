"""Make the demo anew: its rows, its tokenizer and its base model, from a seed and nothing else.

    python scripts/make_demo.py --rows-only     only the rows and the pairs (seconds)
    python scripts/make_demo.py                 all of it (minutes, two cores)

Nothing is downloaded. The rows come out the same on any machine; the weights do on the same processor with the same
number of threads and the same torch, and within rounding elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from demo.orders import make_rows
from demo.preferences import HELD_OUT_PAIRS, TRAIN_PAIRS, make_pairs

DEMO = Path(__file__).resolve().parents[1] / "src" / "loratui" / "demo"
SEED = 7
STEPS = 1300


def rows_text(rows: list[dict[str, str]]) -> str:
    """The rows as the text of a JSONL file."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_rows(folder: Path) -> None:
    """Write train.jsonl and heldout.jsonl, and the pairs that are made of their first rows."""
    train, held_out = make_rows()
    for name, rows, count in (
        ("preferences", train, TRAIN_PAIRS),
        ("preferences-heldout", held_out, HELD_OUT_PAIRS),
    ):
        (folder / f"{name}.jsonl").write_text(rows_text(make_pairs(rows, count)), encoding="utf-8")
    (folder / "train.jsonl").write_text(rows_text(train), encoding="utf-8")
    (folder / "heldout.jsonl").write_text(rows_text(held_out), encoding="utf-8")


def write_model(folder: Path, steps: int, threads: int) -> None:
    """Make the tokenizer and the base model, and write both to folder/model."""
    import torch
    from demo.pretrain import make_model, school
    from demo.tokenizer import TURN_END, make_tokenizer, write_tokenizer
    from transformers import GenerationConfig

    torch.set_num_threads(threads)
    tokenizer = make_tokenizer(SEED)
    model = make_model(tokenizer, SEED)
    print(f"{len(tokenizer)} tokens, {model.num_parameters():,} parameters", flush=True)
    school(model, tokenizer, steps, SEED)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.convert_tokens_to_ids(TURN_END), pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    model.save_pretrained(folder / "model")
    write_tokenizer(tokenizer, folder / "model")


def main() -> None:
    """Make what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=DEMO, help="folder to write to")
    parser.add_argument("--rows-only", action="store_true", help="write the dataset, leave the model")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimizer steps of the base's schooling")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_rows(arguments.output)
    if not arguments.rows_only:
        write_model(arguments.output, arguments.steps, arguments.threads)


if __name__ == "__main__":
    main()
