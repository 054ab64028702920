"""The model that was found for the draft's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loratui.models.name import resolved_name
from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.signal import Signal

if TYPE_CHECKING:
    from loratui.core.architecture import ModelSpec
    from loratui.models.found import FoundModel


class ChosenModel:
    """Owner of the model. `changed` is published when it was found, or cannot be, or is better known."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._found: FoundModel | None = None
        self._problem = ""
        self.changed = Signal()
        choices.model_chosen.subscribe(self._forget)

    @property
    def found(self) -> FoundModel | None:
        """The model; None until it was found."""
        return self._found

    @property
    def problem(self) -> str:
        """Why there is none."""
        return self._problem

    @property
    def spec(self) -> ModelSpec | None:
        """Its shape, once it was found."""
        return self._found.spec if self._found is not None else None

    def take(self, found: FoundModel | None, problem: str = "") -> None:
        """Take up the model that was found for the draft's choice, or why there is none."""
        self._found, self._problem = found, problem
        self.changed.publish()

    def take_shape(self, identifier: str, spec: ModelSpec) -> None:
        """Take up the exact shape of the chosen model, once a worker has read it from the real class."""
        if self._found is not None and self._found.id == identifier:
            self._found = self._found._replace(spec=spec)
            self.changed.publish()

    def is_chosen(self, name: str) -> bool:
        """Whether this id, or this path however a person writes it, is the model that was found."""
        if self._found is None:
            return False
        now = self._choices.draft.model
        return name in (self._found.id, now) or resolved_name(name) == resolved_name(now)

    def _forget(self) -> None:
        self._found, self._problem = None, ""
