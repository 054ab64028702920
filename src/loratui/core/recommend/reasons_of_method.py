"""Why this method, and why the base's weights have their format: what was tried in place of it, and by how much that
lost."""

from __future__ import annotations

from collections.abc import Sequence

from loratui.core.recommend.reasons import Said, joined, lost, memory_claim, rows, taken
from loratui.core.recommend.search import Fit, Search
from loratui.core.recommendation import Claim, amount


def method(search: Search) -> Said:
    """Why this method."""
    found, context = search.found, search.context
    kind, fixed = found.changes["method.kind"], context.pinned.get("method.quantization", "none")
    if kind == "full":
        return Said("all weights are trained, as chosen")
    if context.calculation == "rules-of-thumb" and kind == "lora":
        return joined("the folk rule is LoRA: ", taken(found))
    if not found.fits:
        return _nothing_fits(search, kind, fixed)
    if fixed != "none":
        return joined(f"weights in {fixed} are trained by QLoRA: ", taken(found))
    if kind == "qlora":
        return _unquantised_lost(search) or joined("the base in 4 bits fits: ", taken(found))
    if context.device.kind == "cpu":
        return joined("on a CPU quantising would slow each step, and LoRA fits: ", taken(found))
    fits = f"LoRA fits unquantised{_divided(found, search)}: "
    return joined(fits, taken(found), "; it forgets less than full fine-tuning")


def _nothing_fits(search: Search, kind: str, fixed: str) -> Said:
    """Why this method, where none fits. fixed: the format of the weights that is fixed, "none" where none is."""
    found, cpu = search.found, search.context.device.kind == "cpu"
    needs = lost(found, "needs ")
    if fixed != "none":
        return joined(f"weights in {fixed} are trained by QLoRA; it ", needs)
    if kind == "lora":
        why = "on a CPU quantising would slow each step" if cpu else "the base is to stay unquantised"
        return joined(f"{why}; LoRA ", needs)
    context, others = search.context, []
    for rung, values in enumerate(search.rungs):
        if values["method.quantization"] == "none":
            changes = search.changes_at(rung, found.batch, found.checkpointing)
            others.append(Fit(changes, context.estimate(context.plan(changes)), search.room, rung))
    other = min(others, key=lambda point: point.total_bytes, default=None)
    if other is None or other.total_bytes <= found.total_bytes:
        return joined("QLoRA ", needs)
    return joined("unquantised LoRA ", lost(other), "; QLoRA comes nearer, and ", needs)


def quantisation(search: Search) -> Said:
    """Why the base is quantised, or not."""
    found, context = search.found, search.context
    if found.changes["method.quantization"] != "none":
        levels = "NF4's levels follow the normal distribution of weights"
        why = _unquantised_lost(search)
        return joined(levels, "; ", why) if why else Said(f"QLoRA quantises the base, and {levels}")
    if found.changes["method.kind"] == "full" or context.pinned.get("method.kind") == "lora":
        return Said("only QLoRA trains on quantised weights")
    if context.calculation == "rules-of-thumb":
        return Said("the folk rule leaves the base unquantised")
    if context.device.kind == "cpu":
        return Said("on a CPU quantised weights slow each step")
    if not found.fits:
        packed = search.leanest(quantised=True)
        beside = Said(f"; in 4 bits {amount(packed.total_bytes)}", (memory_claim(packed),)) if packed else ""
        return joined("unquantised the base ", lost(found, "needs "), beside)
    return joined("the base fits unquantised, which is faster and exact: ", taken(found))


def weights(search: Search) -> Said:
    """Why the weights have this format."""
    found = search.found
    dtype = found.changes["model.dtype"]
    if found.changes["method.kind"] != "full":
        packed = found.changes["method.quantization"] != "none"
        kept = "what the frozen base has unquantised" if packed else "the frozen base"
        same = f"{kept} is kept in the float32 that it is computed in"
        return Said(same if dtype == "fp32" else "the base is frozen: 16 bits are enough for it")
    if dtype == "fp32":
        states = " with 8-bit states" if "8bit" in found.changes["training.optimizer"] else ""
        if not found.fits:
            return joined(f"float32 weights keep small updates; even{states or ' so'} ", lost(found, "they need "))
        return joined(f"float32 weights keep small updates, and fit{states}{_divided(found, search)}: ", taken(found))
    alike = [point for point in search.tried if point.changes["model.dtype"] == "fp32"]
    vanish = "; in 16 bits updates below 0.4 % of a weight can vanish"
    if alike:
        point = min(alike, key=lambda one: one.total_bytes)
        eight = " with 8-bit states" if "8bit" in point.changes["training.optimizer"] else ""
        return joined(f"float32 weights{eight} ", lost(point), vanish)
    hopeless = [rung for rung in search.hopeless if search.rungs[rung]["model.dtype"] == "fp32"]
    too_large = _weights_too_large(search, hopeless, "in float32 the weights alone ")
    return joined(too_large or "16-bit weights, as chosen", vanish)


def _divided(point: Fit, search: Search) -> str:
    device = search.context.device
    if not point.divided or device.count < 2:
        return ""
    if point.changes["hardware.parallelism"] == "hybrid":
        return f", divided among the {device.count // device.nodes} GPUs of a node"
    return f", divided among {device.count} GPUs"


def _unquantised_lost(search: Search) -> Said | None:
    """Why LoRA on an unquantised base lost; None where it was not tried."""
    point = search.leanest(quantised=False)
    if point is not None:
        return joined("unquantised LoRA ", lost(point, at=f" at {rows(point.batch)} a pass"))
    return _weights_too_large(search, search.hopeless, "unquantised, the weights alone ")


def _weights_too_large(search: Search, hopeless: Sequence[int], words: str) -> Said | None:
    if not hopeless:
        return None
    rung = hopeless[-1]
    size, room = search.weights_bytes(rung), search.room.bytes
    needed = f"{words}need {amount(size)}, there are {amount(room)}"
    return Said(needed, (Claim("weights", size, ">", room, search.rungs[rung]),))
