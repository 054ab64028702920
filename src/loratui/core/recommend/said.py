"""The search's reasons in words: each sentence is made of points that were weighed, and carries them as claims."""

from __future__ import annotations

from typing import NamedTuple

from loratui.core import rules_of_thumb
from loratui.core.recommend.context import evaluates
from loratui.core.recommend.search import BUSY_TOKENS, Fit, Search
from loratui.core.recommendation import Claim, amount, two_sizes

SHOWN_POINTS = 6


class Said(NamedTuple):
    """Words, and the claims they make."""

    text: str
    claims: tuple[Claim, ...] = ()

    @property
    def sentence(self) -> str:
        """The words as a sentence."""
        return f"{self.text[:1].upper()}{self.text[1:]}."


def joined(*parts: str | Said) -> Said:
    """Words in a row, with all their claims."""
    return Said(
        "".join(part if isinstance(part, str) else part.text for part in parts),
        tuple(claim for part in parts if isinstance(part, Said) for claim in part.claims),
    )


def rows(count: int) -> str:
    """A number of rows in words."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def memory_claim(point: Fit) -> Claim:
    """What was weighed: the peak, the room, and the verdict."""
    return Claim("memory", point.total_bytes, point.verdict, point.room.bytes, point.changes)


def taken(point: Fit) -> Said:
    """What a point takes of the room: "3.7 of 173.0 GiB", or by how much it is too large."""
    if point.verdict == "too big":
        return lost(point, "")
    return Said(f"{two_sizes(point.total_bytes, point.room.bytes)}{', tight' if point.verdict == 'tight' else ''}", (memory_claim(point),))


def lost(point: Fit, verb: str = "would need ") -> Said:
    """Why a point lost: by how much it is too large, or that it is too tight."""
    total, room = point.total_bytes, point.room.bytes
    if point.verdict == "too big":
        return Said(f"{verb}{amount(total)}, {amount(total - room)} more than there is", (memory_claim(point),))
    return Said(f"{verb}{two_sizes(total, room)}, too tight" if point.verdict == "tight" else f"{verb}{two_sizes(total, room)}", (memory_claim(point),))


def weighed(search: Search, *, batches: bool = False) -> str:
    """What was tried, in few words: one point a rung, or with `batches` every batch on the rung that was taken."""
    found = search.found
    if batches:
        points = [point for point in search.tried if point.rung == found.rung]
        told = [f"{rows(point.batch)}{' with checkpointing' if point.checkpointing else ''} {amount(point.total_bytes)}" for point in points]
    else:
        told = [f"{_name(search, rung)}: the weights alone {amount(search.weights_bytes(rung))}" for rung in search.hopeless]
        for rung in dict.fromkeys(point.rung for point in search.tried):
            best = found if rung == found.rung else min((point for point in search.tried if point.rung == rung), key=lambda point: point.total_bytes)
            told.append(f"{_name(search, rung)}, {rows(best.batch)}{' with checkpointing' if best.checkpointing else ''}: {amount(best.total_bytes)}")
    return f"{'; '.join(told[-SHOWN_POINTS:])}; {amount(search.room.bytes)} to be had"


def _name(search: Search, rung: int) -> str:
    values = search.rungs[rung]
    kind = {"lora": "LoRA", "qlora": "QLoRA", "full": f"full in {values['model.dtype']}"}[values["method.kind"]]
    divided = f" divided by {search.context.device.count}" if values["hardware.parallelism"] == "fsdp" else ""
    return f"{kind}{divided}{' with 8-bit states' if '8bit' in values['training.optimizer'] else ''}"


def _divided(point: Fit, search: Search) -> str:
    return f", divided among {search.context.device.count} GPUs" if point.divided else ""


def _unquantised_lost(search: Search) -> Said | None:
    """Why LoRA on an unquantised base lost; None where it was not tried."""
    point = search.leanest(quantised=False)
    if point is not None:
        return joined("unquantised LoRA ", lost(point), f" at {rows(point.batch)} a pass")
    return _weights_too_large(search, "unquantised, the weights alone take ")


def _weights_too_large(search: Search, words: str) -> Said | None:
    if not search.hopeless:
        return None
    rung = search.hopeless[-1]
    size, room = search.weights_bytes(rung), search.room.bytes
    return Said(f"{words}{two_sizes(size, room)}", (Claim("weights", size, ">", room, search.rungs[rung]),))


def method(search: Search) -> Said:
    """Why this method."""
    found, context = search.found, search.context
    kind, fixed = found.changes["method.kind"], context.pinned.get("method.quantization", "none")
    if kind == "full":
        return Said("all weights are trained, as chosen")
    if context.calculation == "rules-of-thumb" and kind == "lora":
        return joined("the folk rule is LoRA: ", taken(found))
    if not found.fits:
        return joined(f"even {'LoRA' if kind == 'lora' else 'QLoRA'} ", lost(found, "needs "))
    if fixed != "none":
        return joined(f"weights in {fixed} are trained by QLoRA: ", taken(found))
    if kind == "qlora":
        return _unquantised_lost(search) or joined("the base in 4 bits fits: ", taken(found))
    if context.device.kind == "cpu":
        return joined("on a CPU quantising would slow each step, and LoRA fits: ", taken(found))
    return joined(f"LoRA fits unquantised{_divided(found, search)}: ", taken(found), "; it forgets less than full fine-tuning")


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
        return joined("unquantised the base ", lost(found, "needs "), "; in 4 bits no less was found")
    return joined("the base fits unquantised, which is faster and exact: ", taken(found))


def weights(search: Search) -> Said:
    """Why the weights have this format."""
    found = search.found
    dtype = found.changes["model.dtype"]
    if found.changes["method.kind"] != "full":
        return Said("a CPU computes in float32" if dtype == "fp32" else "the base is frozen: 16 bits are enough for it")
    if dtype == "fp32":
        states = " with 8-bit states" if "8bit" in found.changes["training.optimizer"] else ""
        if not found.fits:
            return joined(f"float32 weights keep small updates; even{states or ' so'} it ", lost(found, "needs "))
        return joined(f"float32 weights keep small updates, and fit{states}{_divided(found, search)}: ", taken(found))
    alike = [point for point in search.tried if point.changes["model.dtype"] == "fp32"]
    vanish = "; in 16 bits updates below 0.4 % of a weight can vanish"
    if alike:
        point = min(alike, key=lambda one: one.total_bytes)
        eight = " with 8-bit states" if "8bit" in point.changes["training.optimizer"] else ""
        return joined(f"float32 weights{eight} ", lost(point), vanish)
    return joined(_weights_too_large(search, "in float32 the weights alone take ") or Said("in float32 they were not tried"), vanish)


def optimizer(search: Search) -> Said:
    """Why this optimizer."""
    found = search.found
    if search.context.calculation == "rules-of-thumb":
        return Said("the folk rule: torch's own AdamW")
    states = found.needed.parts["optimizer"]
    if "8bit" not in found.changes["training.optimizer"]:
        return Said(f"fused AdamW is the fastest; its states take {amount(states)}", (Claim("states", states, "=", states, found.changes),))
    alike = [
        point for point in search.tried
        if {**search.rungs[point.rung], "training.optimizer": ""} == {**search.rungs[found.rung], "training.optimizer": ""} and point.rung != found.rung
    ]
    if not alike:
        return Said(f"8-bit states take {amount(states)}", (Claim("states", states, "=", states, found.changes),))
    return joined("AdamW's whole states ", lost(min(alike, key=lambda point: point.total_bytes)), "; in 8 bits they are a quarter")


def checkpointing(search: Search) -> Said:
    """Why activations are computed again, or kept."""
    found, length = search.found, search.length
    if found.checkpointing:
        without = search.largest(found.rung, False)
        if not found.fits:
            return joined("it is the leanest way; even so ", rows(found.batch), " ", lost(found, _need(found.batch)))
        if not without.comfortable:
            even = "even " if without.batch == 1 else ""
            return joined(f"without it {even}{rows(without.batch)} ", lost(without, _need(without.batch)))
        tokens = without.batch * length
        claim = Claim("tokens", tokens, "<", BUSY_TOKENS, {"training.batch_size": without.batch, "rows": "longest"})
        more = search.at(found.rung, 2 * without.batch, False)
        return joined(
            f"without it {rows(without.batch)} a pass are all that fit", Said("", (memory_claim(without), memory_claim(more))),
            Said(f" ({tokens:,} of the {BUSY_TOKENS:,} tokens that keep a device busy); with it {found.batch:,} fit", (claim, memory_claim(found))),
        )
    if found.verdict == "fits":
        return joined(f"{rows(found.batch)} a pass fit without it: ", taken(found), "; it would cost time")
    if found.fits:
        return joined(f"{rows(found.batch)} a pass just fit without it: ", taken(found))
    with_it = search.at(found.rung, found.batch, True)
    return joined(
        "nothing fits, and it would not lower the peak of ", amount(found.total_bytes), Said("", (memory_claim(found), memory_claim(with_it))),
    )


def _need(count: int) -> str:
    return "needs " if count == 1 else "need "


def batch(search: Search, more: Said | None) -> Said:
    """Why so many rows a forward pass. more: what speaks against feeding several GPUs with more rows a step."""
    found, context = search.found, search.context
    count, largest = context.device.count, search.batches[0]
    passes = int(found.changes["training.accumulation"])
    if not found.fits:
        return joined("the smallest; even so ", rows(found.batch), " ", lost(found, _need(found.batch)))
    if found.batch < largest:
        point = search.at(found.rung, 2 * found.batch, found.checkpointing)
        return joined(f"{point.batch:,} rows ", lost(point), "" if found.checkpointing else " without checkpointing")
    total = found.batch * passes * count
    claim = Said("", (Claim("rows", total, "=", total, found.changes),))
    fixed = context.pinned.get("training.accumulation")
    if fixed is not None:
        return joined(f"{found.batch:,} × {fixed} passes{f' × {count} GPUs' if count > 1 else ''} make {rows(total)} a step", claim)
    if count > 1:
        return joined(f"{found.batch:,} on each of {count} GPUs{f' × {passes} passes' if passes > 1 else ''}: {rows(total)} a step", claim, _idle(search, more))
    if passes > 1:
        return joined(f"{found.batch:,} × {passes} passes make {rows(total)} a step; ", taken(found), claim)
    return joined(f"all {rows(total)} of a step in one pass: ", taken(found), claim)


def _idle(search: Search, more: Said | None) -> Said:
    """What to know of GPUs that so few rows do not keep busy."""
    return joined("; ", more) if more else Said("")


def folk_batch(search: Search) -> Said:
    """What the folk rule's batch rests on: its cap, or its own count of memory."""
    found = search.found
    capped = found.batch == rules_of_thumb.BATCH_SIZE_CAP
    words = f"the folk rule stops at {rules_of_thumb.BATCH_SIZE_CAP} rows, whatever fits" if capped else "by the folk rule's own count of memory"
    return joined(words, Said(": " if found.fits else "; it "), taken(found) if found.fits else lost(found, "needs "))


def rows_of_a_step(search: Search, passes: int) -> Said:
    """What accumulation reaches."""
    count, wanted, size = search.context.device.count, search.wanted, search.found.batch
    total = size * passes * count
    changes = {"training.batch_size": size, "training.accumulation": passes}
    near = "" if total == wanted else f", nearest to the {wanted} wanted"
    return Said(f"{size:,} × {passes:,}{f' × {count} GPUs' if count > 1 else ''} = {rows(total)} a step{near}", (
        Claim("rows", total, "=" if total == wanted else ">" if total > wanted else "<", wanted, changes),
    ))


def evaluation(search: Search) -> Said:
    """Why evaluations take as many rows as training."""
    found = search.found
    if not evaluates(search.context):
        return Said("as large as the training batch; nothing is held out yet")
    if found.needed.peak_phase == "evaluation":
        return joined("as large as the training batch; evaluations make the peak: ", taken(found))
    alone = Claim("memory", found.total_bytes, found.verdict, found.room.bytes, {**found.changes, "evaluation.every_steps": 0})
    return Said("as large as the training batch; it stays below the peak of training", (alone,))
