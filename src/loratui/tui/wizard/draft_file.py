"""The draft's file, and beside it what is known of its dataset.

Several wizards may have one draft open. Each knows which file it went on from: where another one has changed the
choices since, the newer ones win, and the others are kept aside as `draft.other-….json`, to be taken up again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from loratui.files import make_folder, read_document, set_aside, write_whole
from loratui.format import first_line, one_line
from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.dataset import ChosenDataset
from loratui.tui.wizard.draft import (
    DEMO,
    Draft,
    KnownFacts,
    draft_from_json,
    draft_to_json,
    find_known_facts,
    read_known_facts,
    same_choices,
    write_known_facts,
)
from loratui.tui.wizard.mixing import dataset_named
from loratui.tui.wizard.signal import Signal

LOCK_SECONDS = 0.2
"""How long another wizard that is just writing is waited for."""
BEFORE = "before"
"""Stands for the session of a file that names none."""


class OtherDraft(NamedTuple):
    """A draft that was kept aside."""

    path: Path
    draft: Draft
    changed: float
    """Unix seconds."""

    @property
    def words(self) -> str:
        """What tells it from others: model and dataset."""
        chosen = [part for part in (self.draft.model, dataset_named(self.draft)) if part]
        values = len(self.draft.by_hand)
        by_hand = f"{values} value{'s' if values > 1 else ''} set by hand" if values else ""
        return one_line(" · ".join([*chosen, *([by_hand] if by_hand else [])]) or "nothing chosen", 120)


class DraftFile:
    """Where choices and known facts are kept. `changed` is published when there is something to save. path: None keeps
    nothing, as tests want it."""

    def __init__(self, path: Path | None, choices: Choices, dataset: ChosenDataset) -> None:
        self._path = path
        self._choices, self._dataset = choices, dataset
        self._session = uuid4().hex[:8]
        self._seen = ""
        """Which file these choices went on from, or last were: the hash of its text."""
        self._base: Draft | None = choices.draft
        """Its choices; None where these took the place of others that nobody wanted gone."""
        self._unsaved = False
        self._facts_saved: KnownFacts | None = None
        self._problem = ""
        self._notice = ""
        self.changed = Signal()
        dataset.recall = self._recall
        for signal in (*choices.signals, dataset.remembered):
            signal.subscribe(self._mark)

    @property
    def path(self) -> Path | None:
        """The draft's file; None where nothing is kept."""
        return self._path

    @property
    def problem(self) -> str:
        """Why the last saving failed."""
        return self._problem

    def take_notice(self) -> str:
        """What a person should know of the last saving, once; empty for nothing."""
        notice, self._notice = self._notice, ""
        return notice

    def _recall(self, choice: str, fingerprint: str) -> KnownFacts | None:
        """What another wizard's check counted meanwhile, or an earlier one's of another dataset."""
        return find_known_facts(self._facts_path(self._path), choice, fingerprint) if self._path is not None else None

    def _mark(self) -> None:
        self._unsaved = True
        self.changed.publish()

    def restore(self, *, demo: bool = False) -> str:
        """Take up the draft of the last session; a sentence where its file cannot be used (it is then kept aside).

        demo: take up its theme alone, unless it was the demo's draft, too.
        """
        if self._path is None or not self._path.exists():
            return ""
        self._dataset.restore(read_known_facts(self._facts_path(self._path)))
        try:
            kept = self._read(self._path)
        except (OSError, ValueError) as error:
            return self._begin_anew(self._path, error)
        if demo and not kept.model == kept.dataset == "demo":
            kept = replace(DEMO, theme=kept.theme)
            self._seen, self._base = "", None
        self._choices.restore(kept)
        return ""

    def others_words(self) -> str:
        """Of a draft that was kept aside, in one sentence; empty where there is none."""
        others = self.others()
        if not others:
            return ""
        return f"Another draft was kept aside ({others[0].words}). The palette takes it up: ctrl+o, then type draft."

    def _read(self, path: Path) -> Draft:
        text = read_document(path)
        draft = draft_from_json(text)
        self._seen, self._base = _hash(text.encode()), draft
        return draft

    def _begin_anew(self, path: Path, error: Exception) -> str:
        """Keep a draft that cannot be used beside the one that will be written."""
        try:
            kept = set_aside(path)
        except OSError as fault:
            self._path = None
            return (
                f"The draft {path} could not be read ({_why(error)}) nor kept aside ({fault.strerror or fault}): "
                "it stays as it is, and nothing of this session is saved."
            )
        self._unsaved = True
        return f"The draft {path} could not be read ({_why(error)}). It is kept as {kept.name}, and a new one is begun."

    def save(self) -> bool:
        """Write the draft now, where there is something to save; False where that failed (`problem` says why)."""
        if self._path is None or not self._unsaved:
            self._unsaved = False
            return True
        known = self._dataset.known
        try:
            make_folder(self._path.parent)
            with _locked(self._path):
                self._write(self._path, self._choices.draft)
                if known is not None and known != self._facts_saved:
                    write_known_facts(self._facts_path(self._path), known)
                    self._facts_saved = known
        except OSError as error:
            self._problem = f"The draft could not be saved in {self._path}: {error.strerror or error}."
            return False
        self._problem, self._unsaved = "", False
        return True

    def _write(self, path: Path, draft: Draft) -> None:
        """Write the draft, unless another wizard's is newer; keep that one's choices where they differ from these."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        if data and _hash(data) != self._seen:
            theirs = _draft_or_none(data)
            mine_changed = self._base is None or not same_choices(draft, self._base)
            if theirs is None:
                set_aside(path)
            elif not same_choices(theirs, draft) and (self._base is None or not same_choices(theirs, self._base)):
                if not mine_changed:
                    return  # only moved about: theirs is the newer one
                kept = path.with_name(f"{path.stem}.other-{_session_of(data)}{path.suffix}")
                write_whole(kept, data.decode("utf-8"))
                why = "Another wizard has changed the draft since" if self._base is not None else "There was a draft"
                self._notice = f"{why}: ctrl+o, then type draft, takes it up ({kept.name})."
        text = draft_to_json(draft, session=self._session, after=self._seen)
        write_whole(path, text)
        self._seen, self._base = _hash(text.encode()), draft

    def others(self) -> list[OtherDraft]:
        """The drafts that were kept aside, the newest first."""
        if self._path is None:
            return []
        found = []
        for path in self._path.parent.glob(f"{self._path.stem}.other-*{self._path.suffix}"):
            try:
                draft = _draft_or_none(path.read_bytes()) if path.is_file() else None
                if draft is not None and not same_choices(draft, self._choices.draft):
                    found.append(OtherDraft(path, draft, path.stat().st_mtime))
            except OSError:
                continue
        return sorted(found, key=lambda one: -one.changed)

    def take_up(self, other: OtherDraft, *, where_left: bool = False) -> bool:
        """Go on with a draft that was kept aside; the present one is kept aside in its place. False where the disk does
        not take it (`problem` says why).

        where_left: at the step where it was left, not at the present one.
        """
        if not self._go_on_with(other.draft, self._choices.begin if where_left else self._choices.take_up, other.path):
            return False
        with contextlib.suppress(OSError):
            other.path.unlink(missing_ok=True)
        return True

    def begin(self, draft: Draft) -> bool:
        """Go on with these choices; the present ones are kept aside, where anything was chosen. False where the disk
        does not take that (`problem` says why): nothing has changed then.
        """
        return self._go_on_with(draft, self._choices.begin)

    def _go_on_with(self, draft: Draft, take: Callable[[Draft], None], beside: Path | None = None) -> bool:
        present, session = self._choices.draft, self._session
        needless = any(same_choices(present, one) for one in (Draft(), DEMO, draft))
        if self._path is not None and not needless:
            kept = self._path.with_name(f"{self._path.stem}.other-{session}{self._path.suffix}")
            while kept == beside or kept.exists():
                kept = kept.with_name(f"{self._path.stem}.other-{uuid4().hex[:8]}{self._path.suffix}")
            try:
                write_whole(kept, draft_to_json(present, session=session, after=self._seen))
            except OSError as error:
                self._problem = f"The draft could not be kept in {self._path.parent}: {error.strerror or error}."
                return False
        self._session = uuid4().hex[:8]
        take(draft)
        return self.save()

    @staticmethod
    def _facts_path(draft: Path) -> Path:
        return draft.with_name("dataset-facts.json")


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _draft_or_none(data: bytes) -> Draft | None:
    try:
        return draft_from_json(data.decode("utf-8"))
    except ValueError:
        return None


def _session_of(data: bytes) -> str:
    session = json.loads(data).get("session")
    return session if isinstance(session, str) and session.isalnum() and len(session) <= 16 else BEFORE


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """No other wizard writes meanwhile; where the file system knows no locks, it may."""
    with path.with_name(f".{path.name}.lock").open("a") as file:
        until = time.monotonic() + LOCK_SECONDS
        while time.monotonic() < until:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                break
        yield


def _why(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
