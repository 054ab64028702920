"""The draft: what a person has chosen so far, and what is known of its dataset, kept as files between sessions."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from loratui.core.dataset import DataFacts
from loratui.files import make_folder, read_object, write_whole

STEPS = ("machine", "model", "dataset", "recipe", "review", "training", "playground")


@dataclass(frozen=True)
class Draft:
    """The choices of a person in the wizard. Everything else follows from them and is computed again."""

    step: str = "machine"
    """The screen that was open."""
    visited: list[str] = field(default_factory=list)
    """Steps that were open once, in the order of the first visit."""
    devices: list[int] = field(default_factory=list)
    """Numbers of the chosen GPUs; empty: the free one, or the CPU where there is none."""
    cpu: bool = False
    """Train on the CPU although there may be a GPU."""
    gpu: str = ""
    """Name of a GPU of the catalogue to plan for; empty: this machine."""
    model: str = ""
    """Model id as `loratui plan -m` takes it; empty: none chosen."""
    dataset: str = ""
    """Path as `loratui plan -d` takes it; empty: none chosen."""
    preset: str = "auto"
    by_hand: dict[str, Any] = field(default_factory=dict)
    """Plan keys that were set by hand, with their values."""
    held: dict[str, Any] = field(default_factory=dict)
    """Plan keys that were proposed and are held, with the values at which they stay."""
    varied: dict[str, str] = field(default_factory=dict)
    """Plan keys of which several values are to be tried, with the values as they were typed."""
    run: str = ""
    """Folder of the run that was started last from this draft."""
    run_for: str = ""
    """What was chosen when that run was started, as `choices_mark` tells it."""
    theme: str = ""


DEMO = Draft(model="demo", dataset="demo", preset="demo")
"""The built-in model and dataset."""


def draft_from_json(text: str) -> Draft:
    """A draft from its file. Unknown keys and values of a wrong type are left out.

    Raises ValueError where the text is no JSON object.
    """
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("the draft is no JSON object")
    if "mine" in document:  # what `by_hand` was called first
        document = {"by_hand": document["mine"], **document}
    pattern = Draft()
    known = {
        item.name: document[item.name]
        for item in fields(Draft)
        if item.name in document and type(document[item.name]) is type(getattr(pattern, item.name))
    }
    draft = Draft(**known)
    return replace(
        draft,
        devices=[number for number in draft.devices if isinstance(number, int)],
        visited=[step for step in draft.visited if step in STEPS],
        step=draft.step if draft.step in STEPS else STEPS[0],
        varied={key: text for key, text in draft.varied.items() if isinstance(text, str)},
    )


def draft_to_json(draft: Draft, *, session: str = "", after: str = "") -> str:
    """The draft as its file holds it. session: the wizard's that writes it. after: hash of the file it went on from."""
    return json.dumps({**asdict(draft), "session": session, "after": after}, indent=1, ensure_ascii=False) + "\n"


def step_to_open(draft: Draft) -> str:
    """The step at which a draft is gone on with: that where it was left, or the review where the run that was watched
    there has no folder any more.
    """
    if draft.step == "training" and draft.run and not Path(draft.run).is_dir():
        return "review"
    return draft.step


def same_choices(one: Draft, other: Draft) -> bool:
    """Whether two drafts choose the same, wherever in the wizard they stand."""
    return _without_place(one) == _without_place(other)


def _without_place(draft: Draft) -> Draft:
    return replace(draft, step="", visited=[], varied={}, run="", run_for="", theme="")


def choices_mark(draft: Draft) -> str:
    """A short text that is another one where something else is chosen."""
    chosen = asdict(_without_place(draft))
    del chosen["varied"]  # it decides nothing, and marks of before it know nothing of it
    text = json.dumps(chosen, sort_keys=True, default=str)
    return f"{crc32(text.encode()):08x}"


@dataclass(frozen=True)
class KnownFacts:
    """Facts of one dataset.

    choice: what they rest on (path, reading, and for exact lengths the model). fingerprint: the files' state then.
    """

    choice: str
    fingerprint: str
    facts: DataFacts


CHECKED_BEFORE = 12
"""Datasets whose checks are remembered beside the newest facts."""


def read_known_facts(path: Path) -> KnownFacts | None:
    """The facts that were kept last; None where there are none, or the file is not of this form (it is only a
    memory).
    """
    return next(iter(_kept(path)), None)


def find_known_facts(path: Path, choice: str, fingerprint: str) -> KnownFacts | None:
    """What any wizard's check counted of this choice, the files being as they were; None where none did."""
    same = (one for one in _kept(path) if (one.choice, one.fingerprint) == (choice, fingerprint))
    return next((one for one in same if one.facts.exact), None)


def _kept(path: Path) -> list[KnownFacts]:
    """Everything that was kept, the newest first."""
    try:
        document = read_object(path)
        return [_known(document), *map(_known, document.get("earlier", ()))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _known(kept: dict[str, Any]) -> KnownFacts:
    facts = _facts(kept["facts"])
    if not facts.lengths:
        raise ValueError("no lengths")
    return KnownFacts(str(kept["choice"]), str(kept["fingerprint"]), facts)


def _facts(kept: dict[str, Any]) -> DataFacts:
    lengths = tuple(int(length) for length in kept.pop("lengths"))
    parts = tuple(_facts(part) for part in kept.pop("parts", ()))
    return DataFacts(lengths=lengths, parts=parts, **kept)


def write_known_facts(path: Path, known: KnownFacts) -> None:
    """Keep the facts, and behind them those of earlier checks. Raises OSError."""
    make_folder(path.parent)
    earlier = [one for one in _kept(path) if one.facts.exact and one.choice != known.choice][:CHECKED_BEFORE]
    document = asdict(known) | {"earlier": [asdict(one) for one in earlier]}
    write_whole(path, json.dumps(document) + "\n")
