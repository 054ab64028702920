"""The machine as it was last seen, and what of it a training would run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loratui.tui.wizard.choices import Choices
from loratui.tui.wizard.signal import Signal

if TYPE_CHECKING:
    from loratui.cluster.facts import Cluster
    from loratui.core.hardware import Device, Machine
    from loratui.core.processor_formats import Gains


class Hardware:
    """Owner of the look at the machine. `looked` is published at each new one, about once a second."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._machine: Machine | None = None
        self._cluster: Cluster | None = None
        self.cluster_problem = ""
        """Why the cluster does not answer; empty where it does, or there is none."""
        self.preset_values: Callable[[], Mapping[str, Any]] = dict
        """What the chosen preset fixes: it may say where the run is placed."""
        self.looked = Signal()

    @property
    def machine(self) -> Machine | None:
        """The machine; None until it was looked at."""
        return self._machine

    def take(self, machine: Machine) -> None:
        """Take a new look at the machine."""
        self._machine = machine
        self.looked.publish()

    @property
    def cluster(self) -> Cluster | None:
        """The cluster that this machine belongs to; None where there is none, or it was not read yet."""
        return self._cluster

    def take_gains(self, gains: Gains) -> None:
        """Take up what was measured of the processor."""
        if self._machine is not None:
            self.take(replace(self._machine, host=replace(self._machine.host, bf16_gains=gains)))

    def take_cluster(self, cluster: Cluster | None, problem: str = "") -> None:
        """Take a new look at the cluster."""
        self._cluster, self.cluster_problem = cluster or self._cluster, problem
        self.looked.publish()

    def placed(self) -> dict[str, Any]:
        """The `cluster` values that the person, or the preset, chose: none where the run is for this machine."""
        values = {**self.preset_values(), **self._choices.draft.by_hand}
        found = {key: value for key, value in values.items() if key.startswith("cluster.")}
        return found if found.get("cluster.engine") and not self._choices.draft.gpu else {}

    def device(self) -> Device | None:
        """What a training process would run on; None until the machine, or the cluster that was chosen, was looked
        at.
        """
        if placed := self.placed():
            return self._of_cluster(placed)
        if self._machine is None:
            return None
        from loratui.core.errors import LoratuiError
        from loratui.tui.wizard.loading import choose_device

        try:
            return choose_device(self._machine, self._choices.draft)
        except LoratuiError:
            return None

    def _of_cluster(self, placed: Mapping[str, Any]) -> Device | None:
        if self._cluster is None:
            return None
        from loratui.core.errors import LoratuiError
        from loratui.tui.wizard.loading import cluster_device

        try:
            return cluster_device(self._cluster, placed)
        except LoratuiError as error:
            self.cluster_problem = error.sentence
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
