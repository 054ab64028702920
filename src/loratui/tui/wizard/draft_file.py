"""The draft's file, and beside it what is known of its dataset."""

from __future__ import annotations

from pathlib import Path

from loratui.files import make_folder, read_document, set_aside, write_whole
from loratui.format import first_line
from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.dataset import ChosenDataset
from loratui.tui.wizard.draft import (
    Draft,
    KnownFacts,
    draft_from_json,
    draft_to_json,
    read_known_facts,
    write_known_facts,
)
from loratui.tui.wizard.signal import Signal


class DraftFile:
    """Where choices and known facts are kept. `changed` is published when there is something to save. path: None keeps
    nothing, as tests want it."""

    def __init__(self, path: Path | None, choices: Choices, dataset: ChosenDataset) -> None:
        self._path = path
        self._choices, self._dataset = choices, dataset
        self._unsaved = False
        self._facts_saved: KnownFacts | None = None
        self._problem = ""
        self.changed = Signal()
        for signal in (*choices.signals, dataset.remembered):
            signal.subscribe(self._mark)

    @property
    def path(self) -> Path | None:
        """The draft's file; None where nothing is kept."""
        return self._path

    @property
    def unsaved(self) -> bool:
        """Whether there is something to save."""
        return self._unsaved

    @property
    def problem(self) -> str:
        """Why the last saving failed."""
        return self._problem

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
            kept = draft_from_json(read_document(self._path))
        except (OSError, ValueError) as error:
            return self._begin_anew(self._path, error)
        if demo and not kept.model == kept.dataset == "demo":
            kept = Draft(model="demo", dataset="demo", preset="demo", theme=kept.theme)
        self._choices.restore(kept)
        return ""

    def _begin_anew(self, path: Path, error: Exception) -> str:
        """Keep a draft that cannot be used beside the one that will be written."""
        try:
            kept = set_aside(path)
        except OSError as fault:
            self._path = None
            return (
                f"The draft {path} could not be read ({first_line(error)}) nor kept aside ({fault.strerror or fault}): "
                "it stays as it is, and nothing of this session is saved."
            )
        return (
            f"The draft {path} could not be read ({first_line(error)}). It is kept as {kept.name}, and a new one is "
            "begun."
        )

    def save(self) -> bool:
        """Write the draft now; False where that failed (`problem` says why)."""
        self._unsaved = False
        if self._path is None:
            return True
        known = self._dataset.known
        try:
            make_folder(self._path.parent)
            write_whole(self._path, draft_to_json(self._choices.draft))
            if known is not None and known != self._facts_saved:
                write_known_facts(self._facts_path(self._path), known)
                self._facts_saved = known
        except OSError as error:
            self._problem = f"The draft could not be saved in {self._path}: {error.strerror or error}."
            return False
        self._problem = ""
        return True

    @staticmethod
    def _facts_path(draft: Path) -> Path:
        return draft.with_name("dataset-facts.json")
