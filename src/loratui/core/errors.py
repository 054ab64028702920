"""What goes wrong for a person: one sentence of what, where, and what to do."""

from __future__ import annotations


class LoratuiError(Exception):
    """The root of every error that a person can cause or mend.

    `message` says what is wrong, `where` names the place (file, line, field), `hint` says what to do next.
    `code` is stable, for scripts and tests. `exit_status` is what the command line ends with: 1 could not be done,
    2 wrong usage or invalid input.
    """

    code = "error"
    exit_status = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        self.message = message
        self.where = where
        self.hint = hint
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """Place, fault and remedy on one line."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text} {self.hint}" if self.hint else text


class InputError(LoratuiError):
    """What was given cannot be used."""

    code = "input"
    exit_status = 2


class PlanError(InputError):
    """A plan, a preset or a `--set` names an unknown key or a value that is not allowed."""

    code = "plan"


class DatasetError(InputError):
    """A dataset cannot be found, read or understood."""

    code = "dataset"


class ModelError(InputError):
    """A model cannot be found, read or understood."""

    code = "model"


class MachineError(LoratuiError):
    """The hardware or its driver does not answer as it should."""

    code = "machine"


class RunError(LoratuiError):
    """A run cannot be created, found, started, stopped or resumed."""

    code = "run"


class WorkerError(LoratuiError):
    """A worker process failed; its traceback is in its log."""

    code = "worker"
