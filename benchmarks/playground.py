"""The playground's speed beside plain `model.generate` with a streamer: first token, steady speed, switching adapters.

    python benchmarks/playground.py [--model FOLDER] [--pairs 7] [--tokens 200]

Both run in this process, in turn, on the same loaded model, so that what else the machine does falls on both alike. The
figures are medians over the pairs. Goals: first token within 1.5 times, steady speed at least 0.95 of plain generate,
switching under 0.2 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, TextIteratorStreamer
from transformers.utils import logging

from loratui.core.generation import GenerationSettings
from loratui.paths import demo_model_path
from loratui.worker.generation.answer import StopFlags, answer
from loratui.worker.generation.load import LoadedModels
from loratui.workers.protocol import Ask, Done, Load

MESSAGES = [{"role": "user", "content": "Nadia Weber called on Monday and ordered 4 green lamps for 52 euros."}]


def make_adapter(model: Path, folder: Path, seed: int) -> Path:
    """A random adapter: speed does not depend on what it learnt."""
    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    get_peft_model(
        base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", init_lora_weights=False)
    ).save_pretrained(folder)
    return folder


def plain(models: LoadedModels, tokens: int) -> tuple[float, float]:
    """Seconds to the first text, and tokens a second after it, of plain generate in a thread with a streamer."""
    model = models.use("adapter")
    inputs = models.tokenizer.apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(models.device)
    streamer = TextIteratorStreamer(models.tokenizer, skip_prompt=True, skip_special_tokens=True)
    options: dict[str, Any] = {
        **inputs,
        "do_sample": False,
        "min_new_tokens": tokens,
        "max_new_tokens": tokens,
        "streamer": streamer,
        "pad_token_id": models.pad_id,
        "eos_token_id": models.stop_ids,
    }
    began = time.perf_counter()
    thread = threading.Thread(target=model.generate, kwargs=options)
    thread.start()
    first = 0.0
    for _ in streamer:
        first = first or time.perf_counter() - began
    thread.join()
    return first, (tokens - 1) / (time.perf_counter() - began - first)


def ours(models: LoadedModels, tokens: int) -> tuple[float, float]:
    """The same through the playground's engine, which tells its own figures."""
    events: list[Any] = []
    stop_ids, models.stop_ids = models.stop_ids, []
    began = time.perf_counter()
    try:
        answer(
            models,
            Ask(1, ["adapter"], MESSAGES, settings=GenerationSettings(max_tokens=tokens).model_dump()),
            events.append,
            StopFlags(),
        )
    finally:
        models.stop_ids = stop_ids
    seconds = time.perf_counter() - began
    done = next(event for event in events if isinstance(event, Done))
    assert done.tokens == tokens, done
    return done.first_token_seconds, (tokens - 1) / (seconds - done.first_token_seconds)


def switching(models: LoadedModels, rounds: int = 20) -> float:
    """Median seconds from one adapter to the other."""
    taken = []
    for number in range(rounds):
        began = time.perf_counter()
        models.use("second" if number % 2 else "adapter")
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", type=Path, default=demo_model_path())
    options.add_argument("--pairs", type=int, default=7)
    options.add_argument("--tokens", type=int, default=150)
    given = options.parse_args()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        one, two = (make_adapter(given.model, Path(folder) / name, seed) for seed, name in enumerate(("one", "two")))
        models = LoadedModels(Load(str(given.model), {"base": "", "adapter": str(one), "second": str(two)}))
        plain(models, 20)
        ours(models, 20)
        pairs = []
        for number in range(given.pairs):
            first, second = (plain, ours) if number % 2 else (ours, plain)
            figures = {first.__name__: first(models, given.tokens)}
            figures[second.__name__] = second(models, given.tokens)
            pairs.append((figures["plain"], figures["ours"]))
        print(
            json.dumps(
                {
                    "model": given.model.name,
                    "device": str(models.device),
                    "pairs": given.pairs,
                    "tokens": given.tokens,
                    "plain_tokens_per_second": round(statistics.median(one[1] for one, _ in pairs), 1),
                    "ours_tokens_per_second": round(statistics.median(two[1] for _, two in pairs), 1),
                    "steady_speed_ratio": round(statistics.median(two[1] / one[1] for one, two in pairs), 3),
                    "plain_first_token_seconds": round(statistics.median(one[0] for one, _ in pairs), 4),
                    "ours_first_token_seconds": round(statistics.median(two[0] for _, two in pairs), 4),
                    "first_token_ratio": round(statistics.median(two[0] / one[0] for one, two in pairs), 3),
                    "switch_seconds": round(switching(models), 5),
                },
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
