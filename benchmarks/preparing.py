"""How fast rows become tokens, and in how much memory: loratui's preparing against `datasets.map`, and a resume.

    python benchmarks/preparing.py [--rows 50000] [--pairs 3] [--form plain|chats|short] [--template qwen3] [--save]
                                   [--data FILE] [--model ID] [--sides start,again] [--folder FOLDER]
    python benchmarks/preparing.py --largest-row 24

Each side works in a fresh process on the same rows, one after the other, round by round. "map" is `datasets.map` with
a function that applies the chat template and keeps ids and labels; "trl" is what TRL's SFTTrainer does with the same
rows. Ours also finds the answers in what the template writes, proves their stop token, groups near duplicates and
splits, and writes the store of tokens; "resume" takes them out of it. Memory is what the process's peak has beyond
where it stood with its libraries and its tokenizer loaded. "first" is a training on a tiny model up to its first step,
"start" another one, which finds the tokens stored, and "again" the resume of that up to the next step, all timed from
where the libraries are loaded; what of it goes for tokens is told apart. `--folder` keeps what is made for a later
call. The aims: no slower than map, less than 0.7 GB for 200,000 rows; 1,000,000 rows start in less than 1.5 GiB, and
the first step of a resume comes in 1.2 of the time that a start takes without its tokens. `--largest-row` adds a row
of so many MiB to 200 and prints what it costs beyond them, form by form: at most 12 bytes a byte of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from inspection import FORMS, WORDS, make_model, write_large, write_rows

SIDES = ("ours", "resume", "map", "trl")
STARTS = ("first", "start", "again")
RESULT = Path(__file__).parent / "results" / "preparing.json"

MEASURE = """
import json, os, resource, sys, time

def standing():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

def begin():
    global before, began, cpu
    before, began, cpu = standing(), time.perf_counter(), time.process_time()

def end(rows, tokens):
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "cpu_seconds": used, "peak_bytes": peak - before, "rows": rows,
                      "tokens": tokens}))

settings = json.loads(sys.argv[1])
"""
OURS = (
    MEASURE
    + """
import datasets, torch, transformers, trl
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.worker.inspecting.model import load_text_model
from loratui.worker.training.dataset import prepare

plan = with_values(Plan(), {"model.id": settings["model"], "dataset.path": settings["data"]})
tokeniser = load_text_model(plan).tokeniser(plan, plan.training.max_length)
begin()
found = prepare(plan, tokeniser)
train, held = found.train.as_dataset(), found.held_out.as_dataset()
first = train[0]
found.train.fingerprint()
end(len(train) + len(held), found.train.tokens + found.held_out.tokens)
"""
)
START = (
    MEASURE
    + """
import datasets, pathlib, torch, transformers, trl
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.directory import Run
from loratui.runs.start import create_run
from loratui.worker.training import session
from loratui.worker.training.journal import Journal
from loratui.worker.training.signals import Requests

plan = with_values(Plan(), {
    "model.id": settings["model"], "dataset.path": settings["data"], "model.dtype": "fp32", "training.precision":
    "fp32", "training.batch_size": 2, "training.accumulation": 1, "training.max_steps": 100, "hardware.cpu": True,
    "training.group_by_length": True})
place = pathlib.Path(settings["output"])
run = Run(place) if place.exists() else create_run(plan, output=place)
requests, found = Requests(), {"tokenising": 0.0, "tokenising_cpu": 0.0}
make, prepare = session.make_trainer, session.prepare

class Look(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **more):
        if "rows" not in found:
            found.update(rows=state.num_train_epochs, seconds=time.perf_counter() - began,
                         first_step_cpu=time.process_time() - cpu)
        requests.stop, requests.reason = True, "measured"

def watched(*given, **more):
    trainer = make(*given, **more)
    trainer.add_callback(Look())
    return trainer

def timed(*given, **more):
    since, used = time.perf_counter(), time.process_time()
    done = prepare(*given, **more)
    found.update(tokenising=time.perf_counter() - since, tokenising_cpu=time.process_time() - used,
                 rows_read=done.train.read, tokens=done.train.tokens)
    return done

session.make_trainer, session.prepare = watched, timed
begin()
journal = Journal(run)
outcome = session.Session(run, run.plan(), journal, requests).execute()
journal.close(outcome.state)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
kept = {name: found[name] for name in ("seconds", "tokenising", "tokenising_cpu", "first_step_cpu", "tokens")}
print(json.dumps({**kept, "cpu_seconds": time.process_time() - cpu, "peak_bytes": peak - before,
                  "rows": found["rows_read"]}))
"""
)
THEIRS = (
    MEASURE
    + """
import datasets, torch, transformers, trl
from datasets import load_dataset

datasets.disable_progress_bars()
tokenizer = transformers.AutoTokenizer.from_pretrained(settings["model"])

def messages_of(row):
    if "messages" in row:
        return row["messages"]
    return [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}]

def tokenise(row):
    messages = messages_of(row)
    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"]
    asked = len(tokenizer.apply_chat_template(messages[:-1], tokenize=True, add_generation_prompt=True,
                                              return_dict=True)["input_ids"])
    return {"input_ids": ids, "labels": [-100] * asked + ids[asked:]}

begin()
rows = load_dataset("json", data_files=settings["data"], split="train", cache_dir=settings["cache"])
if settings["side"] == "map":
    done = rows.map(tokenise, remove_columns=rows.column_names)
else:
    from trl import SFTConfig, SFTTrainer

    def pair(row):
        messages = messages_of(row)
        return {"prompt": messages[:-1], "completion": messages[-1:]}

    rows = rows.map(pair, remove_columns=rows.column_names)
    config = SFTConfig(output_dir=settings["cache"], max_length=1024, use_cpu=True, bf16=False, report_to="none")
    trainer = SFTTrainer.__new__(SFTTrainer)
    trainer.completion_only_loss, trainer.chat_template, trainer._is_vision_dataset = True, None, False
    trainer._tokenizer = tokenizer
    done = trainer._prepare_dataset(rows, tokenizer, config, False, None, "train")
first = done[0]
end(len(done), 0)
"""
)


def write_chats(path: Path, count: int, seed: int = 0) -> None:
    """Conversations of two to four answers, each with thinking in its text."""
    draw = random.Random(seed)

    def words(least: int, most: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(least, most)))

    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            turns = []
            for turn in range(draw.randint(2, 4)):
                turns.append({"role": "user", "content": f"{words(8, 30)} {number}.{turn}?"})
                thought = f"<think>\n{words(10, 60)}\n</think>\n\n"
                turns.append({"role": "assistant", "content": f"{thought}{words(10, 60)}."})
            file.write(json.dumps({"messages": turns}) + "\n")


def write_short(path: Path, count: int, seed: int = 0) -> None:
    """Questions and answers of 8 to 40 words."""
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            asked, answered = (" ".join(draw.choices(WORDS, k=draw.randint(4, 20))) for _ in range(2))
            file.write(json.dumps({"question": f"{asked} {number}?", "answer": f"{answered}."}) + "\n")


WRITERS = {"plain": write_rows, "chats": write_chats, "short": write_short}


def use_template(model: Path, name: str) -> None:
    """Give the model one of the chat templates that TRL ships."""
    import trl

    text = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")
    (model / "chat_template.jinja").write_text(text, encoding="utf-8")


def write_weights(model: Path) -> None:
    """Random weights of a model of two small layers, for the tokenizer that lies there."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(model)
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 32}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    config = Qwen3Config(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **shape, **heads)
    Qwen3ForCausalLM(config).save_pretrained(model)


SCRIPTS = {"ours": OURS, "resume": OURS, "first": START, "start": START, "again": START}


def measured(side: str, settings: dict[str, Any], home: Path) -> dict[str, float]:
    """One side in a process of its own."""
    command = [sys.executable, "-c", SCRIPTS.get(side, THEIRS)]
    environment = os.environ | {"LORATUI_HOME": str(home), "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*command, json.dumps({**settings, "side": side})], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def largest_row(mebibytes: int) -> int:
    """What a row of so many MiB takes of this machine's memory while it is prepared for training."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "words.jsonl", 2000)
        model = str(make_model(folder / "model", folder / "words.jsonl"))
        for form in FORMS:
            peaks, rows = [], 0.0
            for size in (0, mebibytes):
                data = write_large(folder, form, size)
                found = measured("ours", {"model": model, "data": str(data)}, folder / f"home-{form}-{size}")
                peaks.append(found["peak_bytes"])
                rows = found["rows"]
            more = peaks[1] - peaks[0]
            print(
                f"{form:<8} row of {mebibytes} MiB, {rows:,.0f} rows used: {more / 2**20:6.0f} MiB more, "
                f"{more / (mebibytes * 2**20):5.1f} bytes a byte; {peaks[1] / 2**20:6.0f} MiB in all",
                flush=True,
            )
    return 0


def measure_rounds(
    folder: Path, given: argparse.Namespace, sides: list[str]
) -> tuple[dict[str, list[dict[str, float]]], int]:
    """What each side measured, round by round, and the size of the rows' file in bytes."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(given.data).absolute() if given.data else folder / "rows.jsonl"
    if not data.exists():
        WRITERS[given.form](data, given.rows)
    model = Path(given.model) if given.model else folder / "model"
    if not given.model and not model.exists():
        make_model(model, data)
        if given.template:
            use_template(model, given.template)
        if set(STARTS) & set(sides):
            write_weights(model)
    for number in range(given.pairs):
        for side in sides:
            if side == "first" and number:
                continue
            settings = {"model": str(model), "data": str(data), "cache": str(folder / f"cache-{side}-{number}")}
            settings["output"] = str(folder / f"run-{'first' if side == 'first' else number}")
            if side in ("first", "start"):
                shutil.rmtree(settings["output"], ignore_errors=True)
            one = measured(side, settings, folder / ("home" if side in STARTS else f"home-{number}"))
            found[side].append(one)
            print(
                f"{side:<7} {one['seconds']:7.1f} s  {one['cpu_seconds']:7.1f} CPU s  "
                f"{one['peak_bytes'] / 2**20:7.0f} MiB  {one['rows']:,.0f} rows"
                + (
                    f"  first step {one['first_step_cpu']:.2f} CPU s, {one['tokenising_cpu']:.2f} of it for tokens"
                    if "tokenising" in one
                    else ""
                ),
                flush=True,
            )
    return found, data.stat().st_size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--form", choices=tuple(WRITERS), default="plain")
    parser.add_argument("--template", default="", help="one of TRL's chat templates; default: ChatML")
    parser.add_argument("--data", default="", help="real rows instead: JSON lines with question and answer")
    parser.add_argument("--model", default="", help="whose tokenizer is used; default: one made from the rows")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--folder", type=Path, default=None, help="where rows, model and tokens stay; default: nowhere")
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULT.name}")
    parser.add_argument("--largest-row", type=int, default=0, metavar="MIB", help="what a row of so many MiB costs")
    given = parser.parse_args()
    if given.largest_row:
        return largest_row(given.largest_row)
    sides = [side for side in (*SIDES, *STARTS) if side in given.sides.split(",")]
    with nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory() as name:
        found, size = measure_rounds(Path(name).absolute(), given, sides)
    medians = {
        side: {key: statistics.median(one[key] for one in ones) for key in ones[0]} for side, ones in found.items()
    }
    if {"ours", "map"} <= set(sides):
        for key in ("seconds", "cpu_seconds"):
            ratios = [ours[key] / theirs[key] for ours, theirs in zip(found["ours"], found["map"], strict=True)]
            medians["ours"][f"{key}_against_map"] = statistics.median(ratios)
            print(f"ours takes {statistics.median(ratios):.2f} of map's {key} (median of {len(ratios)} pairs)")
    if {"start", "again"} <= set(sides):
        pairs = zip(found["start"], found["again"], strict=True)
        ratios = [again["seconds"] / (start["seconds"] - start["tokenising"]) for start, again in pairs]
        medians["again"]["seconds_against_start_without_tokenising"] = statistics.median(ratios)
        print(f"a resume's first step takes {statistics.median(ratios):.2f} of a start's without its tokenising")
        pairs = zip(found["start"], found["again"], strict=True)
        ratios = [one["first_step_cpu"] / (start["first_step_cpu"] - start["tokenising_cpu"]) for start, one in pairs]
        medians["again"]["cpu_against_start_without_tokenising"] = statistics.median(ratios)
        print(f"of processor time, which others on the machine change little: {statistics.median(ratios):.2f}")
    if given.save:
        kept = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        name = f"{given.form}-{given.rows if not given.data else Path(given.data).name}"
        kept[f"{name}-{given.template}" if given.template else name] = {
            "when": time.strftime("%Y-%m-%d"),
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
            "file_bytes": size,
            "pairs": given.pairs,
            "sides": medians,
        }
        RESULT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
