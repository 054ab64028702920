"""Looking at all runs of this machine for a list: slow work for a thread, and little of it at each look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from loratui.core.plan import Plan
from loratui.runs.directory import Run
from loratui.runs.listing import RunList, RunSummary
from loratui.runs.merges import OLDER
from loratui.runs.outcome import Outcome, OutcomeTail
from loratui.runs.verdict import Ruin
from loratui.tui.home.differences import KIN, Kin, differences, kin_of, setting_words, varying
from loratui.tui.training.history import loss_glimpse

GLIMPSE_POINTS = 16
FIRST_RUNS = 40
"""How many are read at the first look: what a screen can show; the rest follows at the next."""
NO_OUTCOME = Outcome()
BAD = ("failed", "lost", "diverged", "spoilt")
THE_SAME = "the same"
"""Said of a run that was set as the one that it is held against."""
LOOK_BYTES = 64 << 20
"""Events read at one look, over all runs: of longer histories the figures come a look later."""


@dataclass(frozen=True)
class Line:
    """What the list shows of one run."""

    summary: RunSummary
    losses: tuple[float, ...] = ()
    outcome: Outcome = NO_OUTCOME
    taken: tuple[str, ...] = ()
    """What was made of its result in its own folder: merged, GGUF."""

    @property
    def state(self) -> str:
        """Its state; `diverged` or `spoilt` where it is over and its weights are worth nothing."""
        if self.summary.ruin is not None:
            return self.summary.ruin.word
        if self.outcome.spoilt and self.summary.state in ("failed", "stopped"):
            return Ruin(self.outcome.spoilt, "").word
        return self.summary.state


def held_against(lines: Sequence[Line]) -> dict[str, Line]:
    """For each run's name the one that it is held against: of those before it the last of the same model and dataset
    that went well, the last of these, the last. lines: the newest first.
    """
    against: dict[str, Line] = {}
    sound: dict[Kin, Line] = {}
    alike: dict[Kin, Line] = {}
    last: Line | None = None
    for line in reversed(lines):
        plan = line.summary.plan
        kin = kin_of(plan) if plan is not None else None
        found = (sound.get(kin) or alike.get(kin) or last) if kin is not None else last
        if found is not None:
            against[line.summary.name] = found
        if kin is not None:
            last = alike[kin] = line
            if line.state not in BAD:
                sound[kin] = line
    return against


@dataclass(frozen=True)
class Look:
    """The runs as they were at one look. varying: for each kin, the plan keys that have not the same value in all of
    its runs; where there is one run alone, those by which it is no kin of the others. more: there is more to read at
    once.
    """

    lines: tuple[Line, ...]
    varying: Mapping[Kin, tuple[str, ...]]
    more: bool = False

    def sets_apart(self, line: Line) -> list[str]:
        """What sets a run apart: from its kin its settings, from all others what makes it none of them; of the only
        one, what it is made of.
        """
        plan = line.summary.plan
        if plan is None:
            return []
        if line.summary.name in self._repeats:
            return [THE_SAME]
        alone = sum(one.summary.plan is not None for one in self.lines) < 2
        return setting_words(plan, KIN if alone else self.varying.get(kin_of(plan), ()))

    @cached_property
    def _repeats(self) -> frozenset[str]:
        """Names of the runs that were set the same as the ones that they are held against."""
        against = held_against(self.lines)
        return frozenset(line.summary.name for line in self.lines if self._repeated(line, against))

    def _repeated(self, line: Line, against: Mapping[str, Line]) -> bool:
        plan, older = line.summary.plan, against.get(line.summary.name)
        its = older.summary.plan if older is not None else None
        if plan is None or its is None or kin_of(plan) != kin_of(its):
            return False
        return not differences(its, plan)


def taken_away(run: Run) -> tuple[str, ...]:
    """What was made of a run's result in its own folder, by the names there; nothing where there is no folder."""
    try:
        names = [path.name for path in run.path.iterdir()]
    except OSError:
        return ()
    merged = ("merged" if run.merged_is_current else f"merged ▲ {OLDER}",) if run.merged_path.name in names else ()
    return merged + (("as GGUF",) if any(name.endswith(".gguf") for name in names) else ())


class Looker:
    """Looks at the runs, again and again; what was read once is kept."""

    def __init__(self) -> None:
        self._runs = RunList()
        self._glimpses: dict[str, tuple[tuple[int, int, int], tuple[float, ...]]] = {}
        self._tails: dict[str, OutcomeTail] = {}
        self._looked = False
        self._plans: list[Plan] = []
        self._varying: dict[Kin, tuple[str, ...]] = {}

    def look(self) -> Look:
        """The runs as they are now, the newest first. Raises LoratuiError."""
        first, self._looked = not self._looked, True
        summaries = self._runs.look(FIRST_RUNS if first else None)
        left = LOOK_BYTES
        lines = []
        for summary in summaries:
            tail = self._tails.setdefault(summary.name, OutcomeTail(summary.run.events_path))
            left -= tail.look(left)
            taken = taken_away(summary.run) if summary.status.over else ()
            lines.append(Line(summary, self._losses(summary, tail.outcome.begins), tail.outcome, taken))
        self._tails = {line.summary.name: self._tails[line.summary.name] for line in lines}
        more = left <= 0 or (first and len(lines) == FIRST_RUNS)
        return Look(tuple(lines), self._what_varies([one.plan for one in summaries if one.plan is not None]), more)

    def _what_varies(self, plans: list[Plan]) -> dict[Kin, tuple[str, ...]]:
        if [id(plan) for plan in plans] != [id(plan) for plan in self._plans]:
            kin: dict[Kin, list[Plan]] = {}
            for plan in plans:
                kin.setdefault(kin_of(plan), []).append(plan)
            between = tuple(key for at, key in enumerate(KIN) if len({of[at] for of in kin}) > 1)
            self._plans = plans
            self._varying = {of: tuple(varying(alike)) if len(alike) > 1 else between for of, alike in kin.items()}
        return self._varying

    def _losses(self, summary: RunSummary, since: int) -> tuple[float, ...]:
        try:
            found = summary.run.events_path.stat()
        except OSError:
            return ()
        mark = (found.st_size, found.st_mtime_ns, since)
        known = self._glimpses.get(summary.name)
        if known is None or known[0] != mark:
            known = (mark, tuple(loss_glimpse(summary.run.events_path, GLIMPSE_POINTS, since=since)))
            self._glimpses[summary.name] = known
        return known[1]
