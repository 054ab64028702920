"""How far the check of the dataset is, what it rests on, and whether its counts stand behind the plan."""

from __future__ import annotations

from loratui.tui.check import Check
from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.dataset import ChosenDataset
from loratui.tui.wizard.model import ChosenModel
from loratui.tui.wizard.plan import ProposedPlan
from loratui.tui.wizard.signal import Signal

AGAIN = "F4, then r, checks again."
"""How the check is begun anew from another step."""


class DatasetCheck:
    """Owner of the check with the model's own tokenizer. `changed` is published at each step of it."""

    def __init__(self, choices: Choices, model: ChosenModel, dataset: ChosenDataset, plan: ProposedPlan) -> None:
        self._choices, self._model, self._dataset, self._plan = choices, model, dataset, plan
        self._now = Check()
        self.changed = Signal()

    @property
    def now(self) -> Check:
        """The check as it stands."""
        return self._now

    def key(self) -> str:
        """What a check would rest on; empty where it cannot be done yet."""
        view, model = self._dataset.view, self._model.found
        if view is None or model is None or model.path is None or self._plan.proposal is None:
            return ""
        given = sorted((key, repr(value)) for key, value in self._choices.reading().items())
        return repr((model.id, view.preview.found.fingerprint, given))

    @property
    def doubt(self) -> str:
        """One sentence where a check that was stopped or failed leaves the plan on guesses; else an empty text."""
        ended = self._now.stopped or bool(self._now.problem)
        if not ended or self._dataset.view is None or self._dataset.facts().exact or self._now.key != self.key():
            return ""
        what = "was stopped" if self._now.stopped else "failed"
        return f"The check of the dataset {what}: this rests on lengths guessed from characters. {AGAIN}"

    def take(self, check: Check) -> None:
        """Take up how far the check is; its exact lengths replace the guessed ones."""
        self._now = check
        if check.result is not None and self._dataset.view is not None:
            from loratui.tui.loading import exact_facts

            facts = exact_facts(check.result, taken=self._dataset.view.facts.eval_taken)
            if facts is not None:
                self._dataset.take_exact(facts)
        self.changed.publish()
