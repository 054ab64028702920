"""Models of real shapes with random weights, made where they are needed, and a tokenizer made from the rows.

Nothing is downloaded: the shapes are those of the catalogue that the program ships. What they learn means nothing;
memory and speed do not depend on it.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))
HERE = Path(__file__).resolve().parent
KEPT = Path(os.environ.get("LORATUI_GPU_MODELS", Path(tempfile.gettempdir()) / "loratui-gpu" / "models"))
"""Where models lie while they are measured."""

MODELS = {
    "qwen2-0.5b": "Qwen/Qwen2.5-0.5B",
    "qwen3-0.6b": "Qwen/Qwen3-0.6B",
    "llama-1b": "meta-llama/Llama-3.2-1B",
    "gemma3-1b": "google/gemma-3-1b-pt",
    "smollm3-3b": "HuggingFaceTB/SmolLM3-3B",
    "phi3-3.8b": "microsoft/Phi-3-mini-4k-instruct",
    "qwen3-4b": "Qwen/Qwen3-4B",
    "mistral-7b": "mistralai/Mistral-7B-v0.3",
    "llama-8b": "meta-llama/Llama-3.1-8B",
    "qwen3-8b": "Qwen/Qwen3-8B",
}
"""Names of the campaign, and whose shapes they have."""
TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 8192,
    "max_position_embeddings": 4096,
}
TINY_LAYERS = 2
SHARD_BYTES = 2 * 2**30
WRITERS = 8
START_SECONDS, BYTES_A_SECOND = 6.0, 1.5e9
"""Of a process that makes weights, and of the weights themselves."""


def config_of(name: str, *, tiny: bool = False) -> dict[str, Any]:
    """The config.json of a model. tiny: of its family, but small enough for a processor."""
    from loratui.models.catalogue import find_entry

    entry = find_entry(MODELS[name])
    assert entry is not None, name
    config = {key: value for key, value in entry.config.items() if key != "quantization_config"}
    config |= {"torch_dtype": "bfloat16", "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
    if tiny:
        config |= {key: value for key, value in TINY.items() if key in config or key == "vocab_size"}
        config["num_hidden_layers"] = TINY_LAYERS
        for per_layer in ("layer_types", "no_rope_layers"):
            if config.get(per_layer):
                config[per_layer] = config[per_layer][:TINY_LAYERS]
        if config.get("rope_scaling") and "short_factor" in config["rope_scaling"]:
            config["rope_scaling"] = None
    return config


def parameters_of(config: dict[str, Any]) -> int:
    """Parameters of a config, as the program counts them."""
    from loratui.core.families import read_config

    return read_config(config).total_parameters


def folder_of(name: str) -> Path:
    """Where a model lies."""
    return KEPT / name


def make(asked: dict[str, Any]) -> dict[str, Any]:
    """Write the model `name` with a tokenizer of the rows in `rows`, unless it is there. For a process of its own."""
    folder = folder_of(asked["name"])
    if (folder / "model.safetensors.index.json").exists():
        return {"made": False}
    import torch
    from transformers import AutoModelForCausalLM

    from loratui.worker.tracing.build import load_config

    config = load_config(config_of(asked["name"], tiny=asked["tiny"]))
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.generation_config.save_pretrained(folder)
    tokenizer_of(Path(asked["rows"])).save_pretrained(folder)
    config.architectures = [type(model).__name__]
    config.dtype = torch.bfloat16
    config.save_pretrained(folder)
    model.tie_weights()
    tied = set(getattr(model, "all_tied_weights_keys", None) or ()) if config.tie_word_embeddings else set()
    tensors = {key: value for key, value in model.state_dict().items() if key not in tied}
    write_weights(folder, tensors)
    return {"made": True, "bytes": sum(value.nbytes for value in tensors.values())}


def write_weights(folder: Path, tensors: dict[str, Any]) -> None:
    """The weights as shards of safetensors, written side by side (format: safetensors 0.3, README)."""
    shards: list[dict[str, Any]] = [{}]
    held = 0
    for name, tensor in tensors.items():
        if held and held + tensor.nbytes > SHARD_BYTES:
            shards.append({})
            held = 0
        shards[-1][name] = tensor
        held += tensor.nbytes
    files = [f"model-{number + 1:05}-of-{len(shards):05}.safetensors" for number in range(len(shards))]
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(_write_shard, (folder / file for file in files), shards))
    index = {name: file for file, shard in zip(files, shards, strict=True) for name in shard}
    size = sum(tensor.nbytes for tensor in tensors.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": size}, "weight_map": index}), encoding="utf-8"
    )


def _write_shard(path: Path, tensors: dict[str, Any]) -> None:
    import torch

    kinds = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": kinds[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + tensor.nbytes],
        }
        at += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb", buffering=0) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            data = memoryview(tensor.detach().contiguous().cpu().view(torch.uint8).numpy()).cast("B")
            while data:
                data = data[file.write(data) :]


def loading_seconds(name: str, *, tiny: bool) -> float:
    """How long its weights take to make, or to read."""
    return parameters_of(config_of(name, tiny=tiny)) * 2 / BYTES_A_SECOND


def provide(results: Any, processes: Any, name: str, settings: dict[str, Any]) -> bool:
    """Make a model for the cases that follow; whether it is there. A failure stays among the results.

    processes: what runs cases in processes of their own; None: it is started as a script.
    """
    asked = {"name": name, "tiny": settings["rehearsal"], "rows": settings["rows"]}
    label = f"{name} made"

    def measure() -> dict[str, Any]:
        if processes is not None:
            found: dict[str, Any] = processes.run("random_models:make", asked, limit_seconds=180)
            return found
        script = [sys.executable, str(HERE / "make_model.py"), json.dumps(asked)]
        subprocess.run(script, check=True, capture_output=True, timeout=300)
        return {"made": True}

    made = results.case(label, START_SECONDS + loading_seconds(name, tiny=asked["tiny"]), measure)
    if made is not None:
        results.cases.pop(label)
    return made is not None


def tokenizer_of(rows: Path) -> Any:
    """A tokenizer of 8,000 pieces with ChatML, made from the rows; made once."""
    from inspection import make_tokenizer
    from transformers import AutoTokenizer

    folder = KEPT.parent / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        lines = rows.read_text(encoding="utf-8").splitlines()[:2000]
        make_tokenizer([" ".join(map(str, json.loads(line).values())) for line in lines]).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def drop(name: str) -> None:
    """Make room on the disk."""
    shutil.rmtree(folder_of(name), ignore_errors=True)
