"""Liger's kernels (the package liger-kernel, in Triton): which model takes which, and where they are not for a plan.

Read from liger-kernel 0.8.5 `transformers/monkey_patch.py`. Only what lies inside the blocks is asked of it: norms,
rotary positions and gated products. Its fused cross entropy stays off: it replaces the model's forward pass, where TRL
1.16 has put its own head, whose loss is computed in tiles and never holds all logits either; TRL refuses both together
(`SFTTrainer.__init__`, likewise DPO's and KTO's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loratui.core.triton import Reasons, against
from loratui.format import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loratui.core.architecture import ModelSpec
    from loratui.core.hardware import Device
    from loratui.core.plan import Plan

PACKAGE = "liger-kernel"

_SILU, _GELU = ("rope", "rms_norm", "swiglu"), ("rope", "rms_norm", "geglu")
KERNELS: dict[str, tuple[str, ...]] = {
    "gemma": _GELU,
    "gemma2": _GELU,
    "gemma3_text": _GELU,
    "glm4": ("rms_norm", "swiglu"),
    "gpt_oss": ("rope", "rms_norm"),
    "granite": _SILU,
    "hunyuan_v1_dense": _SILU,
    "llama": _SILU,
    "ministral": _SILU,
    "mistral": _SILU,
    "mixtral": ("rope", "rms_norm"),
    "olmo2": _SILU,
    "olmo3": _SILU,
    "phi3": _SILU,
    "qwen2": _SILU,
    "qwen3": _SILU,
    "qwen3_moe": ("rope", "rms_norm"),
    "smollm3": _SILU,
}
"""Of each family that Liger knows (`MODEL_TYPE_TO_APPLY_LIGER_FN`) and this program trains, the kernels that are asked
for, by the names of Liger's switches. Of mixtures its kernel of the experts is not: it takes the place of the grouped
products, beside which PEFT computes an expert's adapter. GLM 4's rotary positions are refused by Liger itself."""
HEAD_NORMS = frozenset(("gemma3_text", "qwen3", "qwen3_moe"))
"""Families whose norms of queries and keys are replaced, too."""
SWITCHES = ("rope", "rms_norm", "swiglu", "geglu", "cross_entropy", "fused_linear_cross_entropy")
"""Every switch that decides something here. Each is written out: Granite's cross entropy is on by default."""

LEAST_GAIN = 0.05
"""Share of a run's time by which it must be shorter, with them or without, to be spoken of: a few passes are timed."""
REASONS = Reasons(
    maker="its kernels were written for NVIDIA's cards first, and no run here has tried them elsewhere",
    capability="Triton needs a card of compute capability 7.0 or newer",
    several="it is tried on one device only",
    objective="a preference is the difference of two models' figures, which have to come from the same kernels",
)

AXOLOTL_PLUGIN = "axolotl.integrations.liger.LigerPlugin"
AXOLOTL_SWITCHES = ("liger_rope", "liger_rms_norm", "liger_glu_activation")
"""Axolotl's names of the same (`integrations/liger/args.py`)."""


def liger_config(family: str) -> dict[str, bool]:
    """`liger_kernel_config` of TrainingArguments for a family: every switch, on or off."""
    return {name: name in KERNELS.get(family, ()) for name in SWITCHES}


def fused(plan: Plan, family: str) -> frozenset[str]:
    """What of this plan's blocks Liger computes: `rope`, `norm`, `head_norm` and `gate`."""
    if not plan.training.liger:
        return frozenset()
    asked = KERNELS.get(family, ())
    parts = {"rope": "rope", "rms_norm": "norm", "swiglu": "gate", "geglu": "gate"}
    found = {parts[name] for name in asked}
    return frozenset(found | {"head_norm"} if family in HEAD_NORMS else found)


def why_no_liger(plan: Plan) -> str:
    """Why Liger's kernels cannot be used for this plan, as a sentence; empty where nothing is known against it."""
    if plan.training.liger and plan.processes > 1:
        return "training.liger = true is for one device: what one process finds of its kernels others would not know."
    if plan.training.liger and plan.training.compile:
        return "training.liger and training.compile do the same work: a compiled block has fused its small operations."
    return ""


def why_not_proposed(plan: Plan, device: Device, spec: ModelSpec) -> str:
    """Why Liger's kernels are not proposed, as the end of a sentence; empty where they are."""
    if reason := against(plan, device, REASONS):
        return reason
    if not device.liger:
        return f"the package {PACKAGE} is not installed here, or Triton is not"
    if spec.family not in KERNELS:
        return f"they are not used here for models of the kind {spec.family}"
    if plan.training.compile:
        return "the blocks are compiled, which fuses the same operations"
    return ""


def verdict(plan: Plan, found: Mapping[str, Any], compiled: Mapping[str, Any]) -> tuple[str, dict[str, bool]] | None:
    """A sentence with what the rehearsal measured of Liger's kernels, and the plan's keys and values that do better;
    None where what is planned is as fast, or the kernels were not tried or refused.

    found: `plain_seconds` and `liger_seconds` of one pass. compiled: as `compiling.verdict` takes it, of a plan whose
    blocks are compiled. Nothing of what is learnt changes, but for rounding.
    """
    if not found or found.get("refused"):
        return None
    plain, fused = found["plain_seconds"], found["liger_seconds"]
    measured = f"Measured on this run's longest batch: a pass takes {_pass(fused)} with Liger's kernels and "
    if plan.training.liger:
        if plain > fused * (1 - LEAST_GAIN):
            return None
        return f"{measured}{_pass(plain)} without: here they spare memory alone.", {"training.liger": False}
    if compiled and not compiled.get("refused"):
        passes = plan.training.accumulation * compiled["steps"]
        whole = compiled["seconds"] + passes * compiled["compiled_seconds"]
        if passes * fused > whole * (1 - LEAST_GAIN):
            return None
        message = (
            f"{measured}{_pass(compiled['compiled_seconds'])} with compiled blocks, which take "
            f"{duration(compiled['seconds'])} to compile: with Liger's the run ends sooner."
        )
        return message, {"training.compile": False, "training.liger": True}
    if fused > plain * (1 - LEAST_GAIN):
        return None
    return f"{measured}{_pass(plain)} without: with them the run ends sooner.", {"training.liger": True}


def _pass(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms"
