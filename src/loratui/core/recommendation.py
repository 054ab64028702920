"""One proposed value with its reason, and the figures on which the reason rests."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from loratui.format import size

Origin = Literal["proposed", "preset", "mine", "held"]
Relation = Literal["=", "<", "<=", ">", ">=", "fits", "tight", "too big"]

METHOD_NAMES = {"lora": "LoRA", "qlora": "QLoRA", "full": "full fine-tuning"}
"""The methods as sentences call them."""
_HOLDS = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a reason says, as data: `left relation right`. A test computes both sides anew.

    kind: what is counted, which also says how. "memory": bytes of the predicted peak against the budget ("fits",
    "tight", "too big": `core.memory.verdict`). "weights", "states": bytes of one GPU's unquantised weights, of its
    optimizer. "rows": of an optimizer step. "tokens": of one device's forward pass. "steps": of the run. "seconds",
    "most seconds": shortest and longest predicted time of a step. "more time": per cent by which a row takes longer
    than in the plan, by the middle of the prediction; "times as long": the same as a factor. "shortest run", "longest
    run": per cent by which the run's shortest and longest time is more than the plan's; "… as a factor": the same as a
    factor. changes: plan keys in which what is counted differs from the plan that is proposed; `devices` and `rows`
    where no key stands for them.
    """

    kind: str
    left: float
    relation: Relation
    right: float
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether the relation is true of the two figures; a verdict on memory needs the estimate to be judged."""
        return bool(_HOLDS[self.relation](self.left, self.right)) if self.relation in _HOLDS else self.kind == "memory"


class Recommendation(NamedTuple):
    """The best available value of one plan key, and everything a person may ask about it."""

    key: str
    """Dotted plan key, e.g. `training.learning_rate`."""
    value: Any
    why: str
    """One line: the reason in words."""
    formula: str = ""
    """The formula with this situation's inputs filled in."""
    source: str = ""
    """Paper, page, or file with version."""
    rule_of_thumb: Any = None
    """What the folk rule (the first seed) says; None where it says nothing."""
    up: str = ""
    """What moving the value up does."""
    down: str = ""
    """What moving the value down does."""
    disagreement: str = ""
    """What the sources disagree about; empty where they agree."""
    claims: tuple[Claim, ...] = ()
    """Every figure and comparison in `why`."""


class Reasons(Mapping[str, Recommendation]):
    """Each key's recommendation.

    own: those of this proposal. later: makes those whose reason is told last, once each, when it is first asked for.
    elsewhere: the recommendation of a key that was fixed, as it is without that; None for one that was not.
    """

    def __init__(
        self,
        own: dict[str, Recommendation],
        later: dict[str, Callable[[], Recommendation]],
        elsewhere: Callable[[str], Recommendation | None],
    ) -> None:
        self._own, self._later, self._elsewhere = own, later, elsewhere

    def __getitem__(self, key: str) -> Recommendation:
        if (other := self._elsewhere(key)) is not None:
            return other
        if (make := self._later.get(key)) is not None:
            self._own[key] = make()
            self._later.pop(key, None)  # another thread may have made the same one meanwhile
        return self._own[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


class Instead(NamedTuple):
    """What taking the proposed value in place of a fixed one would change, everything that follows from it counted."""

    yours: Any
    proposed: Any
    memory_bytes: int
    """Of the predicted peak; negative: less."""
    time_factors: tuple[float, float] | None
    """The run's shortest and longest time as a factor of what they are now; None where the speed is not known."""
    rows: tuple[int, int] | None = None
    """Rows of a step, yours and then, where they differ: then the result differs, too."""
    untimed: bool = False
    """Whether it changes something whose time no prediction counts."""
    methods: tuple[str, str] | None = None
    """The method, yours and then, where it differs and is not what was asked for."""

    @property
    def free(self) -> bool:
        """Whether it changes neither memory nor time, as far as that is known."""
        same = not self.memory_bytes and self.rows is None and self.methods is None and not self.untimed
        return same and (self.time_factors is None or time_words(self.time_factors) == _SAME)

    @property
    def cost(self) -> str:
        """The price in a few words: "1.2 GiB more memory, 25 % less time"."""
        other = f"{amount(self.memory_bytes)} {'more' if self.memory_bytes > 0 else 'less'} memory"
        memory = other if self.memory_bytes else "the same memory"
        if self.methods is not None:
            yours, then = (METHOD_NAMES[kind] for kind in self.methods)
            memory = f"with {then} in place of {yours}, {memory}"
        if self.rows is not None:
            memory += f", {self.rows[1]:,} rows a step instead of {self.rows[0]:,}"
        if self.untimed:
            return f"{memory}, time not predicted"
        if self.time_factors is None:
            return memory
        return "the same memory and time" if self.free else f"{memory}, {time_words(self.time_factors)}"


TIMES = 1.5
"""From this factor on a time is told as so many times as long."""
FAST = 0.1
"""Below this factor a time is told as so many times as fast: of "100 % less time" nothing would be left."""
_SAME, _NEAR_PERCENT = "the same time", 2
"""Closer than this no prediction of time tells two plans apart."""


def time_words(factors: tuple[float, float]) -> str:
    """Two factors of a time in words: "12 % less time", "the same time", "1.5–2.0 times as long", "240 times as
    fast".
    """
    low, high = sorted(factors)
    if low >= TIMES:
        words = [f"{factor:.1f}" for factor in (low, high)]
        return f"{words[0] if words[0] == words[1] else '–'.join(words)} times as long"
    if low < FAST:
        return _faster(low, high)
    percents = [round((factor - 1) * 100) for factor in (low, high)]
    if max(map(abs, percents)) <= _NEAR_PERCENT:
        return _SAME
    if percents[0] < 0 < percents[1]:
        return f"from {-percents[0]} % less to {percents[1]} % more time"
    least, most = sorted(map(abs, percents))
    return f"{least if least == most else f'{least}–{most}'} % {'more' if percents[1] > 0 else 'less'} time"


def _faster(low: float, high: float) -> str:
    most, least = (1 / factor for factor in (low, high))
    if high > 1:
        return f"from {most:,.0f} times as fast to {_times(high)} times as long"
    words = [_times(factor) for factor in (least, most)]
    return f"{words[0] if words[0] == words[1] else '–'.join(words)} times as fast"


def _times(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.1f}"


def amount(size_bytes: float) -> str:
    """A size (bytes) with the unit that suits it, without its sign: "7.90 GiB", "312 MiB", "40.0 KiB"."""
    return size(abs(size_bytes))


def two_sizes(needed_bytes: float, room_bytes: float) -> str:
    """Two sizes (bytes) in GiB with as many decimals as tell them apart: "26.1 of 21.3 GiB"."""
    small = 0 < min(needed_bytes, room_bytes) < 2**30
    for decimals in (2, 3) if small else (1, 2, 3):
        first, second = (f"{one / 2**30:,.{decimals}f}" for one in (needed_bytes, room_bytes))
        if first != second or decimals == 3:
            break
    return f"{first} of {second} GiB"
