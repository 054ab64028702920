"""How the rows of a dataset are read: a format, which column plays which part, and what that leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loratui.core.columns import write_columns
from loratui.data.cells import every


@dataclass(frozen=True)
class Recognition:
    """How rows are read.

    columns: part → column, or a path, a template or a constant (see `cells`). guess: True where names and contents do
    not settle it. doubts: why, and what else the person should know, one sentence each. others: the other readings
    that would be possible. unused: columns that play no part. left: characters of text that they hold within the rows
    of the trial. tried, used: rows of the trial, and how many of them the reading could use. pairs: both sides of
    preferences are read, not the chosen one alone. judged: each row (of pairs: each side) is an answer that is wanted
    or not, and both kinds are learnt from. verdict: a column of flags that may say so, where no part does.
    unwanted: rows of the trial whose label says that their answer is not wanted.
    """

    format: str
    columns: Mapping[str, str]
    why: str
    guess: bool = False
    others: tuple[Recognition, ...] = ()
    unused: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    left: Mapping[str, int] = field(default_factory=dict)
    tried: int = 0
    used: int = 0
    pairs: bool = False
    judged: bool = False
    verdict: str = ""
    unwanted: int = 0

    @property
    def setting(self) -> str:
        """The reading as a value for `--set dataset.columns=`."""
        return write_columns(self.columns)

    @property
    def unfold(self) -> str:
        """Path of the list whose items are rows of their own; empty where a row is one example. Of preferences whose
        chosen side alone is read a row is one, however many answers were rejected.
        """
        return every({part: column for part, column in self.columns.items() if part != "rejected" or self.pairs})
