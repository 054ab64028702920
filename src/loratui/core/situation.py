"""What a proposal starts from: model, data, device, and what was measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts, uniform
from loratui.core.hardware import Device
from loratui.core.measured import Measurement, learned_memory
from loratui.core.recommend.evaluation import USUAL_SHARE
from loratui.core.recommend.from_adapter import AdapterShape

ROWS_WITHOUT_DATA, TOKENS_WITHOUT_DATA = 1_000, 1_024


@dataclass(frozen=True)
class Situation:
    """What the calculation starts from.

    data None: 1,000 rows of `training.max_length` tokens to train on, and beside them those that are held out.
    """

    spec: ModelSpec
    data: DataFacts | None
    device: Device
    disk_free_bytes: int | None = None
    """Free on the disk where runs go; None where that is not this machine's, or not known."""
    measurements: tuple[Measurement, ...] = ()
    """What runs on this machine reached."""
    adapter: AdapterShape | None = None
    """The adapter that is trained further; None for a new one."""


def stand_in(pinned: Mapping[str, Any]) -> DataFacts:
    """Rows for planning without data: 1,000 to train on, and as many beside them as would be held out."""
    share = float(pinned.get("dataset.eval_fraction", USUAL_SHARE))
    held = int(pinned.get("dataset.eval_count", 0)) or round(ROWS_WITHOUT_DATA * share / (1 - share))
    rows = uniform(ROWS_WITHOUT_DATA, int(pinned.get("training.max_length", TOKENS_WITHOUT_DATA)))
    return replace(rows, eval_examples=held, eval_taken=True)


def informed(situation: Situation) -> Situation:
    """The situation with what runs of the model's family showed of this device's memory."""
    device = situation.device
    if device.simulated or device.learned is not None or not situation.measurements:
        return situation
    learned = learned_memory(situation.measurements, device=device.name, family=situation.spec.family)
    return situation if learned is None else replace(situation, device=replace(device, learned=learned))
