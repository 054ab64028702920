"""What the wizard knows: what a person chose, what was found for it, and the proposal that follows. No screen is needed
to use it.

Each question has an object of its own (`tui.wizard`), which alone writes its fields and publishes signals. They are
made in the order in which one rests on another; so what follows from a change has followed before a screen hears of it.
"""

from __future__ import annotations

from pathlib import Path

from loratui.tui.wizard.check import DatasetCheck
from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.dataset import ChosenDataset
from loratui.tui.wizard.draft import DEMO, STEPS, Draft, choices_mark, same_choices
from loratui.tui.wizard.draft_file import DraftFile
from loratui.tui.wizard.hardware import Hardware
from loratui.tui.wizard.missing import Problem, missing
from loratui.tui.wizard.model import ChosenModel
from loratui.tui.wizard.plan import ProposedPlan
from loratui.tui.wizard.run import ShownRun
from loratui.tui.wizard.words import SeenWords


class WizardState:
    """The wizard's questions with their answers.

    path: the draft's file. draft: what is chosen at the beginning. demo: the built-in model and dataset are.
    """

    def __init__(self, path: Path | None = None, *, demo: bool = False, draft: Draft | None = None) -> None:
        self._demo = demo
        self.choices = Choices(DEMO if demo else draft)
        self.hardware = Hardware(self.choices)
        self.model = ChosenModel(self.choices)
        self.dataset = ChosenDataset(self.choices)
        self.plan = ProposedPlan(self.choices, self.hardware, self.model, self.dataset)
        self.check = DatasetCheck(self.choices, self.model, self.dataset, self.plan)
        self.run = ShownRun(self.choices)
        self.file = DraftFile(path, self.choices, self.dataset)
        self.words = SeenWords(path.with_name("words-seen.json") if path is not None else None)

    @property
    def draft(self) -> Draft:
        """What a person chose."""
        return self.choices.draft

    def restore(self) -> str:
        """Take up the draft of the last session; a sentence where its file cannot be used."""
        return self.file.restore(demo=self._demo)

    def problems(self, step: str) -> list[Problem]:
        """What stands between `step` and the next one, the first to mend first."""
        found = missing(step, self.draft, self.model, self.dataset, self.plan)
        if step == "dataset" and not found and self.check.finds_nothing:
            found.append(Problem("No row of the dataset can be trained on: e on its step lists why.", "#row"))
        return found

    def ready(self) -> list[Problem]:
        """What stands between the draft and a training, over all steps: the keys that some of it names are those of its
        own step, which is told.
        """
        found = []
        for number, step in enumerate(STEPS[:5], start=1):
            where = f"Step {number}: " if step in ("model", "dataset") else ""
            for problem in self.problems(step):
                if problem.blocking:
                    found.append(problem._replace(sentence=f"{where}{problem.sentence}"))
        return found

    @property
    def apart(self) -> str:
        """That the steps hold another plan than the one of the run that is shown; empty where they do not."""
        if not self.run.path or same_choices(self.draft, Draft()):
            return ""
        own = self.run.path == self.draft.run and self.draft.run_for == choices_mark(self.draft)
        return "" if own else "Steps 1 to 5 hold another plan than that of this run."

    def done(self, step: str) -> bool:
        """Whether a step was visited and nothing blocks it; of training and playground, whether a run was started for
        what is chosen now, and is the one that they show.
        """
        if step not in self.draft.visited:
            return False
        if step in ("training", "playground"):
            started = bool(self.draft.run) and self.draft.run_for == choices_mark(self.draft)
            return started and self.run.path == self.draft.run
        return not any(problem.blocking for problem in self.problems(step))
