"""Make src/loratui/models/catalogue.json from a table of model facts: `python scripts/make_model_catalogue.py
FACTS.json`.

The catalogue lets a training be planned for a model that is not on this machine and without the hub. Each entry's
config is written as the model's own config.json writes it, and the count of parameters computed from it must equal the
table's.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from loratui.core.families import read_config

TARGET = Path(__file__).resolve().parents[1] / "src" / "loratui" / "models" / "catalogue.json"
COPIED = (
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "tie_word_embeddings",
    "max_position_embeddings",
)
ARCHITECTURES = {
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "gemma3": "Gemma3ForConditionalGeneration",
    "phi3": "Phi3ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
    "glm4": "Glm4ForCausalLM",
    "granite": "GraniteForCausalLM",
}
LONGER = {
    "Qwen/Qwen3-4B-Instruct-2507": 262144,
    "Qwen/Qwen3-4B-Thinking-2507": 262144,
    "Qwen/Qwen3-30B-A3B-Instruct-2507": 262144,
}
"""Siblings whose context differs from the row they share."""
EXTRA = {"zai-org/GLM-4-32B-0414": {"attention_bias": False}, "THUDM/GLM-4-32B-0414": {"attention_bias": False}}
"""Keys that the table lacks and the count of parameters shows."""


def config_of(row: dict[str, Any], id: str) -> dict[str, Any]:
    """The row's sizes under the names of config.json."""
    config = {"architectures": [ARCHITECTURES[row["model_type"]]], **{key: row[key] for key in COPIED}}
    config["max_position_embeddings"] = LONGER.get(id, config["max_position_embeddings"])
    if row["num_experts"]:
        name = "num_local_experts" if row["model_type"] == "gpt_oss" else "num_experts"
        config |= {name: row["num_experts"], "num_experts_per_tok": row["num_experts_per_tok"]}
        if row["model_type"] != "gpt_oss":
            config["moe_intermediate_size"] = row["moe_intermediate_size"]
    return config | EXTRA.get(id, {})


def main(source: str) -> int:
    facts = json.loads(Path(source).read_text(encoding="utf-8"))
    entries = []
    for row in facts["models"]:
        for id in (row["repo_id"], *row["also"]):
            config = config_of(row, id)
            parameters = read_config(config, id).total_parameters
            if parameters != row["params_computed"]:
                print(f"{id}: {parameters} parameters computed, {row['params_computed']} in the table")
            entries.append(
                {
                    "id": id,
                    "licence": row["licence"],
                    "gated": row["gated"],
                    "parameters": parameters,
                    "read": row["status"] == "read",
                    "source": re.sub(r" in the docs corpus.*", "", row["source"][0]),
                    "config": config,
                }
            )
    text = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    TARGET.write_text(f'{{"generated": "{facts["generated"]}", "models": [\n{text}\n]}}\n', encoding="utf-8")
    print(f"{len(entries)} models in {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
