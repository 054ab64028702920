"""The search's reasons in words: each sentence is made of points that were weighed, and carries them as claims."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from loratui.core import rules_of_thumb
from loratui.core.division import shares
from loratui.core.memory import budget, verdict
from loratui.core.recommend.context import evaluates, remembered_estimate
from loratui.core.recommend.search import Fit, Search
from loratui.core.recommendation import METHOD_NAMES, Claim, amount, two_sizes
from loratui.core.schedule import make_schedule
from loratui.core.time import predict

SHOWN_POINTS = 6
LEAST_PERCENT = 0.5
"""A difference of time below it is none."""
TIMES_PERCENT = 50
"""From here a time is told as so many times as long."""


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
    tight = ", tight" if point.verdict == "tight" else ""
    return Said(f"{two_sizes(point.total_bytes, point.room.bytes)}{tight}", (memory_claim(point),))


def lost(point: Fit, verb: str = "would need ", at: str = "") -> Said:
    """Why a point lost: by how much it is too large, or that it is too tight. at: under which condition."""
    total, room, claims = point.total_bytes, point.room.bytes, (memory_claim(point),)
    if point.verdict == "too big":
        return Said(f"{verb}{amount(total)}{at}, {amount(total - room)} more than there is", claims)
    return Said(f"{verb}{two_sizes(total, room)}{at}{', too tight' if point.verdict == 'tight' else ''}", claims)


def weighed(search: Search, *, batches: bool = False) -> str:
    """What was tried, in few words: one point a rung, or with `batches` every batch on the rung that was taken."""
    found = search.found

    def point_words(point: Fit) -> str:
        return f"{rows(point.batch)}{' with checkpointing' if point.checkpointing else ''}: {amount(point.total_bytes)}"

    if batches:
        told = [point_words(point) for point in search.tried if point.rung == found.rung]
    else:
        told = [
            f"{_name(search, rung)}: the weights alone {amount(search.weights_bytes(rung))}" for rung in search.hopeless
        ]
        for rung in dict.fromkeys(point.rung for point in search.tried):
            points = (point for point in search.tried if point.rung == rung)
            best = found if rung == found.rung else min(points, key=lambda point: point.total_bytes)
            told.append(f"{_name(search, rung)}, {point_words(best)}")
    return f"{'; '.join(told[-SHOWN_POINTS:])}; {amount(search.room.bytes)} to be had"


def as_method(search: Search) -> str:
    """The method that a sentence speaks of, where another was in question: a plan in which more is fixed may have that
    one.
    """
    several = len({values["method.kind"] for values in search.rungs}) > 1
    return f" as {METHOD_NAMES[search.found.changes['method.kind']]}" if several else ""


def _name(search: Search, rung: int) -> str:
    values = search.rungs[rung]
    full = values["method.kind"] == "full"
    kind = f"full in {values['model.dtype']}" if full else METHOD_NAMES[values["method.kind"]]
    device = search.context.device
    count = shares(values["hardware.parallelism"], device.count, device.nodes)
    divided = f" divided by {count}" if count > 1 else ""
    return f"{kind}{divided}{' with 8-bit states' if '8bit' in values['training.optimizer'] else ''}"


def optimizer(search: Search) -> Said:
    """Why this optimizer."""
    found = search.found
    if search.context.calculation == "rules-of-thumb":
        return Said("the folk rule: torch's own AdamW")
    states = found.needed.states_bytes
    size = (Claim("states", states, "=", states, found.changes),)
    if "8bit" not in found.changes["training.optimizer"]:
        return Said(f"fused AdamW is the fastest; its states take {amount(states)}", size)
    alike = [point for point in search.tried if point.rung != found.rung and search.alike(point.rung, found.rung)]
    if not alike:
        return Said(f"8-bit states take {amount(states)}", size)
    packed = Said(f"; in 8 bits they take {amount(states)}", size)
    return joined("with AdamW's whole states it ", lost(min(alike, key=lambda point: point.total_bytes)), packed)


def _slower(search: Search, batch: int, checkpointing: bool, words: str) -> Said:
    """How much slower another batch on the same rung is, in words with a place for it; empty where it is not."""
    found = search.found
    now = search.seconds(found.rung, found.batch, found.checkpointing)
    percent = (search.seconds(found.rung, batch, checkpointing) / now - 1) * 100
    if percent < LEAST_PERCENT:
        return Said("")
    changes = search.changes_at(found.rung, batch, checkpointing)
    if percent < TIMES_PERCENT:
        return Said(words.format(f"{percent:,.0f} % slower"), (Claim("more time", percent, ">", 0, changes),))
    times = 1 + percent / 100
    return Said(words.format(f"{times:,.1f} times as long"), (Claim("times as long", times, ">", 1, changes),))


def need(count: int) -> str:
    """The verb of so many rows."""
    return "needs " if count == 1 else "need "


def fit(count: int) -> str:
    """The verb of so many rows."""
    return "fits" if count == 1 else "fit"


def batch(search: Search, feeding: Said) -> Said:
    """Why so many rows a forward pass. feeding: how busy several GPUs are with the wanted rows."""
    found, context = search.found, search.context
    count, largest = context.device.count, search.batches[0]
    passes = int(found.changes["training.accumulation"])
    if not found.fits:
        return joined(
            "the smallest; even so ", rows(found.batch), as_method(search), " ", lost(found, need(found.batch))
        )
    most = search.largest(found.rung, found.checkpointing).batch
    if found.batch < most:
        slower = _slower(search, most, found.checkpointing, ", but {} by the prediction")
        beside = f"{rows(most)} fit, too" if slower.text else f"{rows(most)} fit, too, and are no faster"
        kept = "; rows of unlike length are padded to the longest" if _padded(search) else ""
        return joined(
            f"{beside}", slower, kept, f": {rows(found.batch)} {'takes' if found.batch == 1 else 'take'} ", taken(found)
        )
    if found.batch < largest:
        point = search.at(found.rung, 2 * found.batch, found.checkpointing)
        return joined(
            "" if found.checkpointing else "without checkpointing ",
            f"{point.batch:,} rows{as_method(search)} ",
            lost(point),
        )
    total = found.batch * passes * count
    claim = Said("", (Claim("rows", total, "=", total, found.changes),))
    fixed = context.pinned.get("training.accumulation")
    if fixed is not None:
        gpus = f" × {count} GPUs" if count > 1 else ""
        words = f"{fixed} pass{'' if fixed == 1 else 'es'}{gpus}"
        return joined(f"{found.batch:,} × {words} = {rows(total)} a step", claim, _twice(search, total))
    if count > 1:
        again = f" × {passes} passes" if passes > 1 else ""
        if total > search.wanted:
            above = Claim("rows", total, ">", search.wanted, found.changes)
            feeding = Said(f", more than the {search.wanted} wanted", (above,))
        return joined(f"{found.batch:,} on each of {count} GPUs{again}: {rows(total)} a step", claim, feeding)
    if passes > 1:
        return joined(f"{found.batch:,} × {passes} passes = {rows(total)} a step; ", taken(found), claim)
    return joined(f"all {rows(total)} of a step in one pass: ", taken(found), claim)


def _twice(search: Search, total: int) -> Said:
    """Why not twice the batch, where the accumulation is fixed. total: rows of a step."""
    found, wanted = search.found, search.wanted
    if total >= wanted:
        return Said("")
    changes = {**found.changes, "training.batch_size": 2 * found.batch}
    more = Claim("rows", 2 * total, ">", wanted, changes)
    return Said(f"; {2 * found.batch:,} would make {2 * total:,}, more than the {wanted} wanted", (more,))


def _padded(search: Search) -> bool:
    data, training = search.context.data, search.context.plan().training
    apart = training.packing or training.padding_free or training.group_by_length
    return data.lengths[0] < data.longest and not apart


def fewer_gpus(search: Search) -> Said:
    """What half as many GPUs would do with the same rows of a step; empty where that is no question."""
    found, context = search.found, search.context
    count, half = context.device.count, context.device.count // 2
    if half < 1 or count % 2 or not found.fits or found.divided or found.batch < search.batches[0]:
        return Said("")
    changes = {**found.changes, "training.batch_size": 2 * found.batch, "evaluation.batch_size": 2 * found.batch}
    plan, other = context.plan(found.changes), context.plan(changes)
    device = replace(context.device, count=half)
    if verdict(remembered_estimate(context.spec, other, context.data, device), budget(device)) != "fits":
        return Said("")
    now = predict(context.spec, plan, context.data, context.device, make_schedule(plan, context.data, count))
    then = predict(context.spec, other, context.data, device, make_schedule(other, context.data, half))
    if now is None or then is None:
        return Said("")
    pairs = (
        ("seconds", then.low_seconds_per_step, now.low_seconds_per_step),
        ("most seconds", then.high_seconds_per_step, now.high_seconds_per_step),
    )
    factors = "–".join(dict.fromkeys(sorted(f"{after / before:.1f}" for _, after, before in pairs)))
    gpus, away = f"{half} GPU{'s' if half > 1 else ''}", {**changes, "devices": half}
    return Said(
        f"; {gpus} with {rows(2 * found.batch)} each would take {factors} times as long",
        tuple(Claim(kind, after, ">=" if after >= before else "<", before, away) for kind, after, before in pairs),
    )


def folk_batch(search: Search) -> Said:
    """What the folk rule's batch rests on: its cap, or its own count of memory."""
    found = search.found
    capped = found.batch == rules_of_thumb.BATCH_SIZE_CAP
    cap = f"the folk rule stops at {rules_of_thumb.BATCH_SIZE_CAP} rows, whatever fits"
    words = cap if capped else "by the folk rule's own count of memory"
    return joined(words, Said(": " if found.fits else "; it "), taken(found) if found.fits else lost(found, "needs "))


def rows_of_a_step(search: Search, passes: int) -> Said:
    """What accumulation reaches."""
    count, wanted, size = search.context.device.count, search.wanted, search.found.batch
    total = size * passes * count
    changes = {"training.batch_size": size, "training.accumulation": passes}
    folk = search.context.calculation == "rules-of-thumb"
    near = (
        ""
        if total == wanted
        else f"; the folk rule counts {wanted}, for one GPU"
        if folk
        else f": more than the {wanted} wanted, and one pass is the least there is"
        if passes == 1 and total > wanted
        else f", nearest to the {wanted} wanted"
    )
    return Said(
        f"{size:,} × {passes:,}{f' × {count} GPUs' if count > 1 else ''} = {rows(total)} a step{near}",
        (Claim("rows", total, "=" if total == wanted else ">" if total > wanted else "<", wanted, changes),),
    )


def evaluation(search: Search) -> Said:
    """Why evaluations take as many rows as training."""
    found = search.found
    if not evaluates(search.context):
        return Said("as large as the training batch; nothing is held out yet")
    if search.context.pinned.get("evaluation.every_steps") == 0:
        return Said("as large as the training batch; nothing is evaluated while training")
    if found.needed.peak_phase == "evaluation":
        return joined("as large as the training batch; evaluations make the peak: ", taken(found))
    never = {**found.changes, "evaluation.every_steps": 0}
    alone = Claim("memory", found.total_bytes, found.verdict, found.room.bytes, never)
    return Said("as large as the training batch; it stays below the peak of training", (alone,))
