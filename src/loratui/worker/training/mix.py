"""The rows of a mix in the stored tokens of its parts: what is drawn of each, and whose a row is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loratui.core.errors import DatasetError
from loratui.core.mix import Part
from loratui.core.plan import Plan
from loratui.data.draw import Drawn, Usable, draw
from loratui.worker.token_store import Stored
from loratui.worker.token_table import Ints, JoinedTable
from loratui.worker.training.rows import Rows, Severity

EVALUATION_FILE = "evaluation file"
"""What events call the rows of `dataset.eval_path` beside a mix's parts."""
ALIKE = "A mix that learns preferences needs pairs in all of its parts, or labelled answers in all."


@dataclass(frozen=True)
class Source:
    """Stored tokens of a part. part: its number. path: as the person named it. divides: long rows become pieces."""

    part: int
    stored: Stored
    path: str
    divides: bool


@dataclass(frozen=True)
class Mixed:
    """All rows of a mix as one table, and which of them are drawn.

    names: of the parts. owners: the part of each table that was joined. train, held_out: numbers of rows, as often as
    an epoch draws them. drawn: of each part. sides: stored rows that make one.
    """

    names: tuple[str, ...]
    chosen: tuple[Part, ...]
    owners: Ints
    stored: Stored
    train: Ints
    held_out: Ints
    drawn: list[Drawn]
    sides: int
    divided: NDArray[np.bool_] | None

    @classmethod
    def of(
        cls,
        plan: Plan,
        chosen: tuple[Part, ...],
        names: tuple[str, ...],
        sources: Sequence[Source],
        held: Sequence[Source],
        *,
        sides: int,
    ) -> Mixed:
        """Draw the rows. sources: of each part, in their order. held: rows that are held out whole."""
        every = (*sources, *held)
        table = JoinedTable([one.stored.table for one in every], [len(one.stored.files) for one in every])
        apart = {one.part for one in held}
        elsewhere = len(chosen) in apart
        usable = [
            Usable(
                part.weight,
                part.cap,
                source.stored.table.identities[::sides],
                source.stored.table.leaders[::sides].tolist(),
                apart=elsewhere or number in apart,
                held=[key for one in held if one.part == number for key in one.stored.table.identities[::sides]],
            )
            for number, (part, source) in enumerate(zip(chosen, sources, strict=True))
        ]
        if elsewhere:  # the file's rows are nobody's own: any part may know them
            first = usable[0]
            more = [key for one in held if one.part == len(chosen) for key in one.stored.table.identities[::sides]]
            usable[0] = Usable(first.weight, first.cap, first.identities, first.leaders, True, [*first.held, *more])
        forms = {one.stored.form for one in every}
        drawn = draw(plan.dataset, plan.split_seed, usable)
        starts = table.first_rows // sides
        out = [one.held_out + start for one, start in zip(drawn, starts, strict=False)]
        out += [np.arange(starts[at], starts[at + 1]) for at in range(len(sources), len(every))]
        divided = np.concatenate([np.full(len(one.stored.table), one.divides) for one in every])
        return cls(
            names,
            chosen,
            np.array([one.part for one in every], dtype=np.int64),
            Stored(
                table,
                True,
                forms.pop() if len(forms) == 1 else "mix",
                [name for one in every for name in one.stored.files],
                [],
            ),
            np.concatenate([one.train + start for one, start in zip(drawn, starts, strict=False)]),
            np.concatenate(out),
            drawn,
            sides,
            divided if divided.any() else None,
        )

    def of_rows(self, rows: Ints) -> Ints:
        """Number of the part of each row of the table."""
        table = self.stored.table
        assert isinstance(table, JoinedTable)
        return self.owners[table.table_of(rows)]

    def require_rows(self, train: Rows, first_error: str) -> None:
        """DatasetError where a part has nothing to train on."""
        counts = np.bincount(self.of_rows(train.row), minlength=len(self.chosen))
        for number, part in enumerate(self.chosen):
            if not counts[number]:
                kept = self.drawn[number].kept_out
                why = f"{kept:,} of its rows are held out by other parts." if kept else ""
                hint = f"The first fault: {first_error}" if first_error else why
                raise DatasetError("this part has no row to train on.", where=f"dataset.parts: {part.name}", hint=hint)

    def documents(self, train: Rows, held_out: Rows) -> list[dict[str, Any]]:
        """What each part comes to, for the run's events: sequences and tokens of an epoch and of what is held out."""
        found = []
        parts = [self.of_rows(rows.row) for rows in (train, held_out)]
        for number, name in enumerate(self.names):
            mine, out = (part == number for part in parts)
            drawn = self.drawn[number] if number < len(self.drawn) else None
            found.append(
                {
                    "name": name,
                    "weight": self.chosen[number].weight if drawn else 0.0,
                    "rows": drawn.base if drawn else 0,
                    "examples": int(mine.sum()),
                    "eval_examples": int(out.sum()),
                    "tokens": int(train.lengths[mine].sum()),
                    "trained_tokens": int(train.trained[mine].sum()),
                    "capped": drawn.capped if drawn else 0,
                    "kept_out": drawn.kept_out if drawn else 0,
                    "shared": drawn.shared if drawn else 0,
                }
            )
        return found

    def findings(self, train: Rows) -> Iterator[tuple[str, Severity, str]]:
        """What a person should know of how the parts go together: kind, severity, words."""
        for part, drawn in zip(self.chosen, self.drawn, strict=True):
            if drawn.kept_out:
                yield (
                    "mix-kept-out",
                    "info",
                    f"{drawn.kept_out:,} rows of {part.name} say the same as rows that another part holds out: "
                    "they are not trained on.",
                )
            if drawn.shared:
                yield (
                    "mix-shared",
                    "info",
                    f"{drawn.shared:,} rows of {part.name} are in an earlier part, too: they are drawn for both.",
                )
