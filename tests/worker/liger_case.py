"""Liger's own kernels on a processor: Triton's interpreter runs them, in a process of its own, since it has to be asked
for before Triton is imported.

Two things that a card's compiler does are wanting there (Triton 3.9, liger-kernel 0.8.5), and are added: numbers handed
to a kernel are float32 (the interpreter leaves them Python's), and the reciprocal root comes from a library of CUDA's.
The kernels themselves are as they are.

    TRITON_INTERPRET=1 python tests/worker/liger_case.py FOLDER METHOD CHECKPOINTING

    … liger_case.py campaign FOLDER

prints JSON: what was found wrong with the table of kernels, what was said, losses and the difference of weights.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import numpy
import triton
import triton.language as tl
import triton.runtime.interpreter as interpreter

_converted = interpreter._implicit_cvt


def _as_compiled(argument: Any) -> Any:
    if not isinstance(argument, float):
        return _converted(argument)
    handle = interpreter.TensorHandle(numpy.array([argument], dtype=numpy.float32), tl.float32)
    return tl.tensor(handle, tl.float32)


@triton.jit
def _rsqrt(x):  # type: ignore[no-untyped-def]
    return 1.0 / tl.sqrt(x)


def spared_bytes() -> tuple[int, int]:
    """What a frozen block of Llama in bfloat16 keeps less by Liger's kernels than without: measured, and counted."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig
    from transformers.integrations.liger import apply_liger_kernel

    from loratui.core.architecture import Linear
    from loratui.core.liger import fused, liger_config
    from loratui.core.memory.block import Attention, block
    from loratui.core.memory.block import roles as sort
    from loratui.core.memory.formats import formats
    from loratui.core.memory.ops import Layers
    from loratui.core.memory.tape import Tape
    from loratui.core.memory.traits import traits
    from loratui.core.plan import Plan
    from loratui.core.plan_text import with_values
    from loratui.worker.shape import shape_of

    tokens = 24
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=4,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16).requires_grad_(False)
    weights = {one.untyped_storage().data_ptr() for one in model.parameters()}

    def kept() -> int:
        found: dict[int, tuple[int, Any]] = {}

        def pack(one: Any) -> Any:
            if one.untyped_storage().data_ptr() not in weights:
                found[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes(), one
            return one

        x, places = torch.randn(1, tokens, 32, dtype=torch.bfloat16, requires_grad=True), torch.arange(tokens)[None]
        turned = model.model.rotary_emb(x, places)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one):
            model.model.layers[0](x, position_embeddings=turned, position_ids=places)
        return sum(size for size, _ in found.values())

    before = kept()
    apply_liger_kernel(model, liger_config("llama"))
    measured = before - kept()
    plan = with_values(Plan(), {"model.dtype": "bf16", "training.precision": "bf16", "training.liger": True})
    spec = shape_of(config.to_dict(), "tiny")
    none: frozenset[Linear] = frozenset()

    def counted(form: Any) -> int:
        run = Layers(Tape(), form, tokens, none, 0)
        source = run.tensor(32, 2)
        block(run, source, spec, sort(spec), traits("llama"), Attention(masked=False, mask_bytes=0))
        walk = run.tape.walk(source)
        return walk.kept + walk.source_kept

    plain = formats(plan)
    return measured, counted(plain) - counted(plain._replace(fused=fused(plan, "llama")))


def main(folder: Path, method: str, checkpointing: bool) -> dict[str, Any]:
    """Trains twice, plainly and by Liger's kernels, and compares."""
    interpreter._implicit_cvt = _as_compiled
    from liger_kernel.ops import rms_norm
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN as KNOWN

    rms_norm.rsqrt = _rsqrt
    from loratui.core.liger import KERNELS

    unknown = {
        family: [name for name in names if name not in inspect.signature(KNOWN[family]).parameters]
        if family in KNOWN
        else ["the family"]
        for family, names in KERNELS.items()
    }
    found: dict[str, Any] = {"unknown": {family: names for family, names in unknown.items() if names}}
    from test_liger_kernels import findings, planned, session, trained

    from loratui.worker.training.liger import liger_modules

    changes = {"method__kind": method, "training__checkpointing": checkpointing}
    plain, _ = session(folder, folder / "plain", planned(folder, training__liger=False, **changes)).build()
    wanted, weights = trained(plain)
    one = session(folder, folder / "liger", planned(folder, **changes))
    trainer, _ = one.build()
    found["said"] = findings(one)
    losses, own = trained(trainer)
    found |= {"modules": liger_modules(trainer.model), "plain": wanted, "liger": losses}
    found["asked"] = trainer.args.liger_kernel_config
    found["apart"] = max(float((own[name] - weight).abs().max()) for name, weight in weights.items())
    found["moved"] = max(float(weight.abs().max()) for weight in weights.values())
    evaluated = [
        [entry["eval_loss"] for entry in one.state.log_history if "eval_loss" in entry] for one in (plain, trainer)
    ]
    return found | {"evaluated": evaluated}


def spared() -> dict[str, Any]:
    """`spared_bytes` in a process that trains nothing: what Liger writes over holds for models that are built later."""
    interpreter._implicit_cvt = _as_compiled
    from liger_kernel.ops import rms_norm

    rms_norm.rsqrt = _rsqrt
    measured, counted = spared_bytes()
    return {"measured": measured, "counted": counted}


def campaign(folder: Path) -> dict[str, Any]:
    """What the campaign on a card measures of the side with Liger's kernels (`benchmarks/gpu/speed.py`)."""
    interpreter._implicit_cvt = _as_compiled
    from liger_kernel.ops import rms_norm

    rms_norm.rsqrt = _rsqrt
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    sys.path[:0] = [str(benchmarks / "gpu"), str(benchmarks)]
    import speed
    from test_liger_kernels import planned

    from loratui.core.plan_text import plan_to_toml

    rows = [{"instruction": f"Count to {n}.", "output": " ".join(map(str, range(n)))} for n in range(2, 10)]
    (folder / "alpaca.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    plan = planned(
        folder, training__liger=False, training__batch_size=1, training__max_length=64, dataset__eval_fraction=0.0,
        evaluation__every_steps=0,
    )  # fmt: skip
    asked = {"name": speed.CASES[0][0], "tiny": True, "rows": str(folder / "alpaca.jsonl"), "seconds": 0.01}
    return speed.measure(asked | {"plan": plan_to_toml(plan), "side": "liger"})


def asked_for(what: str, *arguments: str) -> dict[str, Any]:
    """What a command line asks for."""
    if what == "spared":
        return spared()
    if what == "campaign":
        return campaign(Path(arguments[0]))
    return main(Path(what), arguments[0], arguments[1] == "yes")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print("\n" + json.dumps(asked_for(*sys.argv[1:])))
