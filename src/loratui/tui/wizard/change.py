"""What the last change of the choices moved in the plan, and its cause in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from loratui.format import in_gib, lowered, one_line, signed_size, size, value_text

if TYPE_CHECKING:
    from loratui.core.moves import Move, Moves
    from loratui.core.proposal import Proposal

METHODS = {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}
"""The methods as screens name them."""
NOUGHT = {
    "training.max_steps": "no limit",
    "training.max_grad_norm": "never",
    "evaluation.every_steps": "never",
    "evaluation.patience": "never",
    "saving.every_steps": "only at the end",
    "preference.sft_weight": "none",
    "dataset.split_seed": "as the seed",
    "cluster.cpus_per_gpu": "as the cluster gives",
    "cluster.memory_gib": "as the cluster gives",
    "cluster.time_limit_minutes": "the partition's own",
}
"""What a 0 means, of keys whose 0 is no amount (as their descriptions say)."""
MACHINE = ("hardware.gpu", "hardware.devices", "hardware.cpu")
PATHS = ("model.id", "dataset.path", "lora.adapter")
"""Keys whose values are told by the ends of their paths."""
OWN_WORDS = ("dataset.path", *MACHINE)
"""Keys of which the cause tells in words of its own."""


LIMIT_MOVES = 0.01
"""Share of the device's memory by which the limit must move to be told beside what a person changed."""


class Standing(NamedTuple):
    """A plan with what it was proposed from."""

    proposal: Proposal
    preset: str
    given: Mapping[str, Any]
    held: Mapping[str, Any]
    dataset: str = ""
    """As it was chosen; empty where the rows are supposed."""
    told_limit: int = 0
    """Bytes that the plan might take when that was told last; 0: as the proposal has it."""

    @property
    def limit(self) -> int:
        """The limit that a person knows of, in bytes."""
        return self.told_limit or self.proposal.budget.bytes


class Change(NamedTuple):
    """One change. cause: what was done or found out, in words."""

    cause: str
    moves: Moves
    limit: str = ""
    """What became of the limit, in words; empty where it stays, or is the cause."""

    @property
    def was(self) -> dict[str, str]:
        """The value before, in words, of every key that moved."""
        return {key: value_words(key, move.before) for key, move in self.moves.keys.items()}

    @property
    def followed(self) -> list[str]:
        """What followed, each as `method LoRA → QLoRA`, the weightiest first."""
        return [lowered(move_words(move)) for move in self.moves.also if move.key not in OWN_WORDS]

    @property
    def price(self) -> str:
        """What it does to memory and time: `memory +1.30 GiB, 12 % less time`; empty where nothing."""
        memory = f"memory {signed_size(self.moves.memory_bytes)}" if self.moves.memory_bytes else ""
        return ", ".join(part for part in (memory, self.moves.time, self.limit) if part)

    def as_it_came(self, before: Proposal, now: Proposal) -> Change:
        """The same change, with what it did to memory and time by figures that are exact now."""
        from loratui.core.moves import moves

        return self._replace(moves=moves(before, now, [move.key for move in self.moves.asked]))


def change_between(before: Standing, now: Standing, found: str = "") -> Change | None:
    """What moved between two standings; None where nobody asked for anything, and neither a key of the plan nor a
    figure of its memory moved.

    found: what was found out meanwhile, in words; empty where a person changed something.
    """
    from loratui.core.moves import moves

    asked = [
        key for key in {**before.given, **now.given} if before.given.get(key, _NOTHING) != now.given.get(key, _NOTHING)
    ]
    by_hand = not found or bool(asked) or before.preset != now.preset or before.held != now.held
    moved = moves(before.proposal, now.proposal, asked)
    limit, band = limit_words(before, now), now.proposal.memory.band
    if not by_hand and not moved.also and not limit and _figures(before.proposal) == _figures(now.proposal):
        return None
    own = _cause(before, now, moved)
    if not own and found and band is not None and band != before.proposal.memory.band:
        return Change(f"Measured here: ±{round(band * 100)} %", moved, limit)
    if not own and limit:
        return Change(f"{limit[0].upper()}{limit[1:]}", moved)
    return Change(own or found, moved, limit.partition(":")[0])


def settled(before: Standing | None, now: Standing) -> Standing:
    """What the next change is compared with. A limit that was not told of stays the one that a person knows."""
    if before is None or limit_words(before, now) or not _same_device(before, now):
        return now
    return now._replace(told_limit=before.limit)


def _same_device(before: Standing, now: Standing) -> bool:
    one, other = before.proposal.device, now.proposal.device
    return (one.name, one.count) == (other.name, other.count)


def limit_words(before: Standing, now: Standing) -> str:
    """`limit 22.2 → 21.0 GiB: other programs hold 1.20 GiB more`; empty where it stays, or the machine is another."""
    least = LIMIT_MOVES * now.proposal.budget.total_bytes
    more, after = before.limit - now.proposal.budget.bytes, now.proposal.budget.bytes
    if not _same_device(before, now) or abs(more) <= least or in_gib(before.limit) == in_gib(after):
        return ""
    why = f"other programs hold {size(abs(more))} {'more' if more > 0 else 'less'}"
    return f"limit {in_gib(before.limit)} → {in_gib(after)} GiB: {why}"


def _figures(proposal: Proposal) -> tuple[str, float | None]:
    """What a screen tells of the memory that the plan takes."""
    return in_gib(proposal.memory.total_bytes), proposal.memory.band


def _cause(before: Standing, now: Standing, moved: Moves) -> str:
    parts = []
    if before.preset != now.preset:
        parts.append(f"Preset {one_line(before.preset, 30)} → {one_line(now.preset, 30)}")
    devices = before.proposal.device.name, now.proposal.device.name
    if devices[0] != devices[1]:
        parts.append(f"Machine {one_line(devices[0], 30)} → {one_line(devices[1], 30)}")
    if before.dataset != now.dataset:
        was, now_is = _ends(before.dataset, now.dataset)
        parts.append(f"Dataset {was or 'none'} → {now_is or 'none'}")
    parts += [move_words(move) for move in moved.asked if move.key not in OWN_WORDS]
    for key in {**before.held, **now.held}:
        if key not in now.held and key not in now.given:
            parts.append(f"{title(key)} no longer held")
        elif key not in before.held:
            parts.append(f"{title(key)} held at {value_words(key, now.held[key])}")
    return ", ".join(parts)


def title(key: str) -> str:
    """The name of a plan key on screens."""
    from loratui.core.plan_text import label_of

    return label_of(key)


def value_words(key: str, value: Any) -> str:
    """A value of a plan as it is told in a sentence: `on`, `LoRA`, `2e-4`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if key in NOUGHT and value == 0:
        return NOUGHT[key]
    if key == "method.kind":
        return METHODS.get(str(value), str(value))
    if key in PATHS:
        return _ends(str(value or ""))[0] or "–"
    return one_line(value_text(value), 40)


def move_words(move: Move) -> str:
    """`Rank 16 → 32`."""
    if move.key in PATHS:
        before, after = (one or "–" for one in _ends(str(move.before or ""), str(move.after or "")))
    else:
        before, after = value_words(move.key, move.before), value_words(move.key, move.after)
    return f"{title(move.key)} {before} → {after}"


def _ends(*paths: str) -> list[str]:
    """The last name of each path; where that does not tell two of them apart, as many folders before it as do."""
    parts = [PurePath(path).parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        ends = [str(PurePath(*part[-length:])) if part else "" for part in parts]
        if len(set(ends)) == len(set(paths)):
            break
    else:
        ends = list(paths)
    return [one_line(end, 40) for end in ends]


_NOTHING = object()
