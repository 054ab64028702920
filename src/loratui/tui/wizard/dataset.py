"""The dataset that was found for the draft's choice, and its counts: read now, or known from the last session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from loratui.models.name import resolved_name
from loratui.paths import is_there, without_tilde
from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.draft import Draft, KnownFacts
from loratui.tui.wizard.signal import Signal

if TYPE_CHECKING:
    from loratui.core.dataset import DataFacts
    from loratui.data.preview import Preview
    from loratui.tui.wizard.loading import DatasetView


class ChosenDataset:
    """Owner of the dataset.

    Signals. changed: it was read, or cannot be. counted: its exact lengths came. remembered: what the next session is
    to know has changed.
    """

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._view: DatasetView | None = None
        self._problem = ""
        self._known: KnownFacts | None = None
        self.preset_values: Callable[[], Mapping[str, Any]] = dict
        """What the chosen preset fixes: it may say what is learnt."""
        self.recall: Callable[[str, str], KnownFacts | None] = lambda choice, fingerprint: None
        """What a check, whosever it was, counted of a choice whose files have this fingerprint."""
        self.changed = Signal()
        self.counted = Signal()
        self.remembered = Signal()
        choices.dataset_chosen.subscribe(self._forget)

    @property
    def view(self) -> DatasetView | None:
        """Its first rows, how they are read, and its counts; None until it was read."""
        return self._view

    @property
    def problem(self) -> str:
        """Why there is none."""
        return self._problem

    @property
    def known(self) -> KnownFacts | None:
        """What is remembered of a dataset, whichever it is."""
        return self._known

    @property
    def known_facts(self) -> DataFacts | None:
        """What the last session knew of the chosen dataset; None where it knew another one, or read it another way."""
        known = self._known
        return known.facts if known is not None and known.choice == self._rests_on(exact=known.facts.exact) else None

    def facts(self) -> DataFacts | None:
        """Counts and lengths of the dataset; None until one is chosen and read."""
        if self._view is None:
            return self.known_facts
        return self._view.counted(self.objective)

    @property
    def shown(self) -> Preview | None:
        """Its first rows as what is learnt reads them; None until it was read."""
        return self._view.shown(self.objective) if self._view is not None else None

    def no_pairs(self) -> bool:
        """Whether preferences are to be learnt, and the rows are none."""
        return self._view is not None and self.objective != "sft" and self.objective not in self._view.preferences

    @property
    def objective(self) -> str:
        """What is to be learnt (`training.objective`), as the person or the preset says."""
        return self._asked(self._choices.draft, "training.objective", "sft")

    @property
    def learns_preferences(self) -> bool:
        """Whether preferences are to be learnt, and not answers alone."""
        return self.objective != "sft"

    def _asked(self, draft: Draft, key: str, otherwise: str) -> str:
        return str({**self.preset_values(), **draft.by_hand}.get(key, otherwise))

    def unanswered(self, draft: Draft) -> bool:
        """Whether its rows are preferences, and nobody has said yet what they are taken for."""
        if self._view is None:
            return False
        from loratui.data.preferences import unanswered

        return unanswered(
            self._view.preview.recognition,
            self._asked(draft, "dataset.preference", "ask"),
            self._asked(draft, "training.objective", "sft"),
        )

    def restore(self, known: KnownFacts | None) -> None:
        """Take up what the last session knew."""
        self._known = known

    def take(self, view: DatasetView | None, problem: str = "") -> None:
        """Take up the dataset that was found for the draft's choice, or why there is none."""
        self._view, self._problem = view, problem
        if view is not None:
            known, fingerprint, choice = self._known, view.fingerprint, self._rests_on(exact=True)
            if known is None or not known.facts.exact or (known.choice, known.fingerprint) != (choice, fingerprint):
                known = self.recall(choice, fingerprint)
            if known is not None:
                self._view = view.with_exact(known.facts, self.objective)
                self._known = known
            else:
                self._remember(view.counted(self.objective), fingerprint)
        self.changed.publish()

    def take_exact(self, facts: DataFacts, objective: str = "sft") -> None:
        """Take up the lengths that the model's own tokenizer counted; they replace the guessed ones. objective: the
        rows were read as it reads them.
        """
        if self._view is not None and facts != self._view.counted(objective):
            self._view = self._view.with_exact(facts, objective)
            if objective == self.objective:
                self._remember(facts, self._view.fingerprint)
            self.counted.publish()

    def _rests_on(self, *, exact: bool) -> str:
        """What the facts rest on: the path, how it is read and what is learnt of it; exact lengths also on the model's
        tokenizer. However a folder or file is written, it is the same.
        """
        draft = self._choices.draft
        given = self._choices.reading() if exact else self._choices.reading("dataset.")
        learnt = (self.objective,) if self.learns_preferences else ()
        model = resolved_name(draft.model) if exact else ""
        return repr((self._place(), model, sorted(given.items()), *learnt))

    def _place(self) -> str:
        """Where the dataset lies: of one of the hub its id, of a mix nothing."""
        chosen = self._choices.draft.dataset
        return str(without_tilde(chosen).resolve()) if chosen and is_there(chosen) else chosen

    def _remember(self, facts: DataFacts, fingerprint: str) -> None:
        self._known = KnownFacts(self._rests_on(exact=facts.exact), fingerprint, facts)
        self.remembered.publish()

    def _forget(self) -> None:
        self._view, self._problem = None, ""
