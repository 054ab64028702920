"""The first step: what this machine is, and what to train on."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from loratui.tui.screens.step import StepScreen


class MachineScreen(StepScreen):
    """GPUs and host."""

    STEP = "machine"
    HEADING = "Machine"
    EXPLANATION = "Where the training will run."

    def body(self) -> ComposeResult:
        yield Static("Looking at the GPUs …", id="machine")
