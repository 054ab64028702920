"""Piece 8: the playground's speed of decoding beside plain `model.generate`, on the same loaded model."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from random_models import folder_of, loading_seconds, provide

MODELS = ("qwen3-0.6b", "llama-8b")
TOKENS, PAIRS = 128, 4
EXPECTED_SECONDS = 30.0


def run(results: Any, processes: Any, settings: dict[str, Any]) -> None:
    """Each model in a process of its own."""
    tiny = settings["rehearsal"]
    for name in MODELS[: settings["cases"] or None]:
        asked = {"name": name, "tiny": tiny, "rows": settings["rows"]}
        if not provide(results, processes, name, settings):
            continue
        results.case(
            name,
            EXPECTED_SECONDS + 2 * loading_seconds(name, tiny=tiny),
            lambda asked=asked: processes.run("decoding:measure", asked, limit_seconds=120),
        )


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """First token, tokens a second and switching, by both, in turns."""
    import playground
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from loratui.worker.generation.load import LoadedModels
    from loratui.workers.protocol import Load

    folder = folder_of(asked["name"])
    tokens, pairs = (8, 1) if asked["tiny"] else (TOKENS, PAIRS)
    with tempfile.TemporaryDirectory(prefix="loratui-decoding-") as place:
        where = "cuda" if torch.cuda.is_available() else "cpu"
        adapters = {}
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map={"": where})
        for name in ("adapter", "second"):
            config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", init_lora_weights=False)
            adapted = get_peft_model(base, config)
            adapted.save_pretrained(Path(place) / name)
            base = adapted.unload()
            adapters[name] = str(Path(place) / name)
        del base, adapted
        if where == "cuda":
            torch.cuda.empty_cache()
        models = LoadedModels(Load(str(folder), {"base": "", **adapters}))
        playground.plain(models, tokens // 2)
        playground.ours(models, tokens // 2)
        found: dict[str, list[tuple[float, float]]] = {"plain": [], "ours": []}
        for number in range(pairs):
            for side in ("plain", "ours")[:: 1 if number % 2 else -1]:
                found[side].append(getattr(playground, side)(models, tokens))
        medians = {
            side: {
                "first_token_seconds": round(statistics.median(first for first, _ in pairs), 4),
                "tokens_per_second": round(statistics.median(rate for _, rate in pairs), 2),
            }
            for side, pairs in found.items()
        }
        return {
            **medians,
            "ratio": round(medians["ours"]["tokens_per_second"] / medians["plain"]["tokens_per_second"], 4),
            "first_token_ratio": round(
                medians["ours"]["first_token_seconds"] / medians["plain"]["first_token_seconds"], 4
            ),
            "switching_seconds": round(playground.switching(models, 6), 5),
            "dtype": str(next(models.use("base").parameters()).dtype),
            "device": str(models.device),
        }
