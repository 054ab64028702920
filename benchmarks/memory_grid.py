"""How far the memory estimate is from a traced training step, over a generated grid.

    python benchmarks/memory_grid.py                      # the whole grid, about ten minutes on one core
    python benchmarks/memory_grid.py --cases 20 --family qwen3
    python benchmarks/memory_grid.py --preferences        # DPO, ORPO and KTO: 72 cases
    python benchmarks/memory_grid.py --preferences --kept # the formulas of now against the peaks that were traced

Each case is a random plan for a random model of one family (real widths, few blocks: memory is linear in blocks). The
traced step is the real class with real adapters and the trainer's loss on fake tensors (`loratui.worker.tracing`); the
estimate is what the wizard shows, without context and allocator slack, which fake tensors do not have. Prints a report
and, for a whole grid, keeps it as `benchmarks/results/memory_grid.json`.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import random
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loratui.core.dataset import DataFacts
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.lora_targets import attention_names, mlp_names
from loratui.core.memory import estimate
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

RESULTS = Path(__file__).parent / "results" / "memory_grid.json"
PREFERENCES = RESULTS.with_name("memory_grid_preferences.json")
DEVICE = Device(name="any", memory_total_bytes=2**40, memory_free_bytes=2**40, compute_capability=(9, 0))
WITHIN, WORST = 0.03, 0.08
"""What the estimate is to reach: 3 % for 95 % of the cases, never off by more than 8 %."""

SIZES = (
    (512, 2048),
    (768, 2304),
    (1024, 2816),
    (1024, 4096),
    (1536, 4608),
    (2048, 8192),
    (2560, 9728),
    (3072, 8192),
    (4096, 14336),
)
HEAD_DIMS = (64, 128)
VOCABULARIES = (32000, 50304, 128256, 151936, 262144)

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": None},
    "qwen2": {},
    "qwen3": {},
    "gemma": {"hidden_activation": "gelu_pytorch_tanh"},
    "gemma2": {"sliding_window": 4096},
    "gemma3_text": {"sliding_window": 512},
    "phi3": {"pad_token_id": 0, "sliding_window": None},
    "olmo": {},
    "olmo2": {},
    "granite": {},
    "smollm3": {"pad_token_id": 0},
    "glm4": {"pad_token_id": 0},
    "gpt2": {},
    "gpt_neox": {},
    "qwen3_moe": {"num_experts": 16, "num_experts_per_tok": 4},
    "mixtral": {"num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": None},
    "gpt_oss": {"num_local_experts": 8, "num_experts_per_tok": 4},
}
MIXTURES = ("qwen3_moe", "mixtral", "gpt_oss")


def random_config(family: str, dice: random.Random) -> dict[str, Any]:
    """A config.json of this family with widths that real models have."""
    hidden, wide = dice.choice(SIZES[:6] if family in MIXTURES else SIZES)
    head_dim = dice.choice(HEAD_DIMS)
    heads = hidden // head_dim
    groups = dice.choice([group for group in (1, 2, 4, 8) if heads % group == 0])
    layers = dice.randint(2, 6)
    vocabulary = dice.choice(VOCABULARIES)
    tied = dice.random() < 0.5
    if family == "gpt2":
        return {
            "model_type": family,
            "n_embd": hidden,
            "n_layer": layers,
            "n_head": heads,
            "n_positions": 8192,
            "vocab_size": vocabulary,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        }
    config = {
        "model_type": family,
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // groups,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 32768,
        **FAMILIES[family],
    }
    if family in ("qwen3", "gemma", "gemma2", "gemma3_text", "glm4", "qwen3_moe", "gpt_oss"):
        config["head_dim"] = head_dim
    if family == "qwen3_moe":
        config["moe_intermediate_size"] = max(128, wide // 4)
    if family in ("mixtral", "gpt_oss"):
        config["intermediate_size"] = hidden
    if family == "gpt_neox":
        del config["num_key_value_heads"]
        config["rotary_pct"] = dice.choice([0.25, 1.0])
    return config


def random_values(config: dict[str, Any], dice: random.Random) -> tuple[dict[str, Any], DataFacts, float]:
    """Settings of a plan, the lengths of its data, and the share of tokens that bear loss."""
    spec = read_config(config)
    kind = dice.choices(["lora", "qlora", "full"], [5, 3, 2])[0]
    dtype, precision = dice.choices(
        [("bf16", "bf16"), ("fp16", "fp16"), ("fp32", "fp32"), ("fp32", "bf16")], [8, 1, 1, 2]
    )[0]
    values: dict[str, Any] = {"method.kind": kind, "model.dtype": dtype, "training.precision": precision}
    if kind == "qlora":
        quantization = dice.choice(["nf4", "nf4", "fp4", "int8"])
        values["method.quantization"] = quantization
        values["method.double_quantization"] = dice.random() < 0.5
        values["method.compute_dtype"] = "bf16" if precision != "fp16" else "fp16"
    if kind != "full":
        values["lora.r"] = dice.choice([4, 8, 16, 32, 64, 128])
        values["lora.dropout"] = dice.choice([0.0, 0.0, 0.05])
        attention, mlp = list(attention_names(spec)), list(mlp_names(spec))
        values["lora.targets"] = dice.choice(["all-linear", "all-linear", attention, mlp or attention])
    rows, tokens = dice.choice(
        [(1, 512), (1, 2048), (1, 4096), (2, 1024), (2, 512), (4, 256), (4, 1024), (4, 2048), (8, 512), (1, 8192)]
    )
    values |= {
        "training.batch_size": rows,
        "training.max_length": tokens,
        "training.checkpointing": dice.random() < 0.5,
        "training.accumulation": dice.choice([1, 4]),
        "training.optimizer": dice.choice(["adamw_torch_fused", "adamw_torch_fused", "adamw_torch"]),
    }
    padded = rows > 1 and dice.random() < 0.25
    share = dice.choice([1.0, 1.0, 0.3])
    data = (
        DataFacts(1000, (max(1, tokens // 2), tokens), True, share)
        if padded
        else DataFacts(1000, (tokens,), True, share)
    )
    return values, data, share


OBJECTIVES = ("dpo", "kto", "orpo")


def preference_values(values: dict[str, Any], objective: str, dice: random.Random) -> dict[str, Any]:
    """The settings of a plan that learns preferences instead."""
    values = values | {"training.objective": objective, "lora.dropout": 0.0}
    if objective != "orpo":
        values["preference.reference"] = dice.choice(["each-step", "precomputed"])
    if objective == "kto":
        values["preference.kto_loss"] = dice.choice(["kto", "kto", "apo_zero_unpaired"])
        values["training.batch_size"] = max(2, values["training.batch_size"])
    return values


def cases(count: int, families: list[str], seed: int, *, preferences: bool = False) -> Iterator[dict[str, Any]]:
    """The grid: families in turn, everything else random. preferences: objectives in turn, too."""
    dice = random.Random(seed)
    for number in range(count):
        family = families[number % len(families)]
        config = random_config(family, dice)
        values, data, share = random_values(config, dice)
        if preferences:
            turn = number + number // len(families)  # so that each family meets every objective
            values = preference_values(values, OBJECTIVES[turn % len(OBJECTIVES)], dice)
        yield {"family": family, "config": config, "values": values, "lengths": list(data.lengths), "share": share}


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """One case: what the estimate says and what the traced step needed."""
    from loratui.worker.tracing.step import trace_step

    plan = with_values(Plan(), case["values"])
    data = DataFacts(1000, tuple(case["lengths"]), True, case["share"])
    spec = read_config(case["config"])
    found = estimate(spec, plan, data, DEVICE)
    batch = found.batch
    traced = trace_step(
        case["config"],
        plan,
        rows=batch.rows,
        tokens=batch.tokens_per_row,
        padded=batch.masked,
        trained_share=case["share"],
        accumulates=plan.training.accumulation > 1,
    )
    exact = {
        "weights": found.parts["weights"] - traced.weights_bytes,
        "adapter": found.parts["adapter"] - traced.adapter_bytes,
        "gradients": found.parts["gradients"] - traced.gradients_bytes,
    }
    if found.peak_phase == "load":  # nothing but weights is there yet
        exact = {}
    error = found.tensors_bytes / traced.peak_bytes - 1
    return {
        **case,
        "estimated": found.tensors_bytes,
        "traced": traced.peak_bytes,
        "error": error,
        "where": found.peak_where,
        "static": traced.weights_bytes + traced.adapter_bytes + traced.gradients_bytes + traced.optimizer_bytes,
        "off_by_bytes": {name: size for name, size in exact.items() if size},
        "traced_phases": {
            "forward": traced.forward_bytes,
            "backward": traced.backward_bytes,
            "optimizer": traced.step_bytes,
        },
    }


def estimated_anew(case: dict[str, Any]) -> dict[str, Any]:
    """A case that was traced before, with what the formulas say of it now."""
    plan, data = with_values(Plan(), case["values"]), DataFacts(1000, tuple(case["lengths"]), True, case["share"])
    found = estimate(read_config(case["config"]), plan, data, DEVICE)
    error = found.tensors_bytes / case["traced"] - 1
    return {
        **case,
        "estimated": found.tensors_bytes,
        "error": error,
        "where": found.peak_where,
        "off_by_bytes": {},
    }


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Median, 95th percentile and worst of the errors, over all and by family."""

    def of(rows: list[dict[str, Any]]) -> dict[str, Any]:
        errors = sorted(abs(row["error"]) for row in rows)
        return {
            "cases": len(errors),
            "median": statistics.median(errors),
            "p95": errors[max(0, -(-95 * len(errors) // 100) - 1)],
            "worst": errors[-1],
            "within": sum(error <= WITHIN for error in errors) / len(errors),
        }

    names = sorted({row["family"] for row in found})
    learnt = sorted({row["values"].get("training.objective", "sft") for row in found})
    by_family = {name: of([row for row in found if row["family"] == name]) for name in names}
    if learnt == ["sft"]:
        return {"all": of(found), "families": by_family}
    by_objective = {
        name: of([row for row in found if row["values"].get("training.objective", "sft") == name]) for name in learnt
    }
    return {"all": of(found), "objectives": by_objective, "families": by_family}


def report(found: list[dict[str, Any]], failed: list[dict[str, Any]]) -> str:
    """The summary as text."""
    table = summary(found)
    lines = ["family        cases   median      p95    worst   within 3 %"]
    for name, row in [*table["families"].items(), *table.get("objectives", {}).items(), ("all", table["all"])]:
        lines.append(
            f"{name:<12} {row['cases']:>6} {row['median']:>8.2%} {row['p95']:>8.2%} {row['worst']:>8.2%} "
            f"{row['within']:>12.1%}"
        )
    whole = table["all"]
    reached = whole["within"] >= 0.95 and whole["worst"] < WORST and not failed
    lines.append(
        f"target: 95 % within {WITHIN:.0%}, worst under {WORST:.0%}: {'reached' if reached else 'NOT reached'}; "
        f"{len(failed)} cases could not be traced"
    )
    return "\n".join(lines)


def main() -> int:
    """Trace the cases, tell how far the estimates are off, and keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, help="216, of preferences 72")
    parser.add_argument("--preferences", action="store_true", help="plans that learn preferences (DPO, ORPO, KTO)")
    parser.add_argument("--kept", action="store_true", help="trace nothing: judge the peaks that are kept anew")
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES))
    parser.add_argument("--seed", type=int, default=20261120)
    parser.add_argument("--worst", type=int, default=8, help="how many of the worst cases to print")
    parser.add_argument("--save", action="store_true", help=f"keep the report in {RESULTS.parent}")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    found: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    started = time.time()
    asked.cases = asked.cases or (72 if asked.preferences else 216)
    families = asked.family or sorted(FAMILIES)
    results = PREFERENCES if asked.preferences else RESULTS
    kept = json.loads(results.read_text(encoding="utf-8")) if asked.kept else {"cases": ()}
    found += [estimated_anew(case) for case in kept["cases"]]
    for case in () if asked.kept else cases(asked.cases, families, asked.seed, preferences=asked.preferences):
        try:
            found.append(measure(case))
        except Exception as error:  # noqa: BLE001 - a case that cannot be traced is counted and shown, never hidden
            failed.append(
                {**case, "problem": f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"}
            )
        if sys.stderr.isatty():
            print(f"\r{len(found) + len(failed)}/{asked.cases}", end="", file=sys.stderr, flush=True)
    for row in sorted(found, key=lambda row: -abs(row["error"]))[: asked.worst]:
        print(
            f"{row['error']:+.2%} {row['family']} {row['traced'] / 2**30:.2f} GiB {json.dumps(row['values'])} "
            f"{row['lengths']} share={row['share']} {row['where']} {json.dumps(row['config'])}"
        )
    for row in [row for row in found if row["off_by_bytes"]][: asked.worst]:
        print(
            f"states not exact: {row['family']} {row['off_by_bytes']} {json.dumps(row['values'])} "
            f"{json.dumps(row['config'])}"
        )
    for row in failed[: asked.worst]:
        print(f"failed: {row['family']} {row['problem']} {json.dumps(row['values'])}")
    print(report(found, failed))
    if asked.save:
        results.parent.mkdir(exist_ok=True)
        results.write_text(
            json.dumps(
                {
                    "date": time.strftime("%Y-%m-%d"),
                    "seconds": round(time.time() - started),
                    "python": platform.python_version(),
                    "versions": {
                        name: version(name) for name in ("torch", "transformers", "trl", "peft", "bitsandbytes")
                    },
                    "seed": asked.seed,
                    "summary": summary(found),
                    "failed": failed,
                    "cases": [
                        {
                            name: row[name]
                            for name in (
                                "family",
                                "config",
                                "values",
                                "lengths",
                                "share",
                                "estimated",
                                "traced",
                                "error",
                            )
                        }
                        for row in found
                    ],
                },
                indent=1,
            )
            + "\n",
            encoding="utf-8",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
