"""Which known name was meant by one that is not known."""

from __future__ import annotations

from collections.abc import Iterable

ALIKE = 0.7
"""Share of the letters that two names have in common, in order, from which one may have been meant for the other: at
less, they share letters and nothing else."""
LEAST_BEGINNING = 3
"""Letters of a beginning that tell which name was meant."""


def near(name: str, names: Iterable[str], most: int = 1) -> list[str]:
    """The known names that were probably meant, the likeliest first and at most so many; none where nothing is alike.

    Capitals do not count, nor does the section or the file's ending that both have.
    """
    found = [(-share, known) for known in dict.fromkeys(names) if (share := _alike(name, known)) >= ALIKE]
    return [known for _, known in sorted(found)[:most]]


def _alike(name: str, known: str) -> float:
    """Share (0..1) of what two names have in common; 1 where one begins with the other."""
    from difflib import SequenceMatcher

    one, other = name.casefold(), known.casefold()
    (section, _, rest), (same, _, own) = one.partition("."), other.partition(".")
    shared = bool(rest and own) and section == same
    if shared:
        one, other = rest, own
    elif rest and rest == own:
        one, other = section, same
    shorter = min(one, other, key=len)
    least = 1 if shared and shorter == other else LEAST_BEGINNING
    if len(shorter) >= least and one.startswith(shorter) and other.startswith(shorter):
        return 1.0
    return SequenceMatcher(None, one, other).ratio() if shorter else 0.0
