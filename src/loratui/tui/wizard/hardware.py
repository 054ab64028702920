"""The machine as it was last seen, and what of it a training would run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.signal import Signal

if TYPE_CHECKING:
    from loratui.core.hardware import Device, Machine


class Hardware:
    """Owner of the look at the machine. `looked` is published at each new one, about once a second."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._machine: Machine | None = None
        self.looked = Signal()

    @property
    def machine(self) -> Machine | None:
        """The machine; None until it was looked at."""
        return self._machine

    def take(self, machine: Machine) -> None:
        """Take a new look at the machine."""
        self._machine = machine
        self.looked.publish()

    def device(self) -> Device | None:
        """What a training process would run on; None until the machine was looked at."""
        if self._machine is None:
            return None
        from loratui.core.errors import LoratuiError
        from loratui.tui.wizard.loading import choose_device

        try:
            return choose_device(self._machine, self._choices.draft)
        except LoratuiError:
            return None

    def automatic(self) -> str:
        """What is taken where nothing was chosen: `gpu:NUMBER`, or `cpu`; empty until the machine was looked at."""
        if self._machine is None:
            return ""
        from loratui.tui.wizard.loading import automatic_device

        return automatic_device(self._machine)

    def disk_free_bytes(self, device: Device) -> int | None:
        """Free where runs go; None when planning for another machine."""
        return None if self._machine is None or device.simulated else self._machine.host.disk_free_bytes
