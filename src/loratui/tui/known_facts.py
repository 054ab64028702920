"""What is remembered of the draft's dataset between two sessions: its counts and lengths, so that the first picture shows
the right estimate and the lengths of a check need not be counted again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from loratui.core.dataset import DataFacts
from loratui.files import write_whole


@dataclass(frozen=True)
class KnownFacts:
    """Facts of one dataset.

    choice: what they rest on (path, reading, and for exact lengths the model). fingerprint: the files' state then.
    """

    choice: str
    fingerprint: str
    facts: DataFacts


def read_known_facts(path: Path) -> KnownFacts | None:
    """The facts that were kept; None where there are none, or the file is not of this form (it is only a memory)."""
    try:
        kept = json.loads(path.read_bytes())
        facts = kept["facts"]
        lengths = tuple(int(length) for length in facts.pop("lengths"))
        return KnownFacts(str(kept["choice"]), str(kept["fingerprint"]), DataFacts(lengths=lengths, **facts)) if lengths else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_known_facts(path: Path, known: KnownFacts) -> None:
    """Keep the facts. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(asdict(known)) + "\n")
