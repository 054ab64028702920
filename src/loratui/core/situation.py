"""What a proposal starts from: model, data, device, and what was measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.measured import Measurement, learned_memory
from loratui.core.recommend.evaluation import USUAL_SHARE
from loratui.core.recommend.from_adapter import AdapterShape

ROWS_WITHOUT_DATA, TOKENS_WITHOUT_DATA = 1_000, 1_024
SPREAD_WITHOUT_DATA = (
    *(0.19, 0.21, 0.23, 0.25, 0.27, 0.30, 0.32, 0.35, 0.38, 0.43),
    *(0.46, 0.51, 0.56, 0.62, 0.68, 0.74, 0.82, 0.90, 1.00, 1.00),
)
"""Lengths of supposed rows, a twentieth of them each, as shares of the longest: the mean of Alpaca's and GSM8K's rows,
cut where 95 % of them are whole."""


class Situation(NamedTuple):
    """What the calculation starts from.

    data None: no dataset is chosen, and rows are supposed (`supposed_rows`).
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


def supposed_rows(values: Mapping[str, Any], spec: ModelSpec) -> DataFacts:
    """The rows by which a plan without a dataset is judged, here and in other trainers: uneven ones, as real rows are.

    1,000 to train on, and as many beside them as would be held out; the longest as long as `training.max_length`, where
    that is not set 1,024 tokens or what the model was made for. values: what is fixed, or all of a plan.
    """
    share = float(values.get("dataset.eval_fraction", USUAL_SHARE))
    held = int(values.get("dataset.eval_count", 0)) or round(ROWS_WITHOUT_DATA * share / (1 - share))
    longest = int(values.get("training.max_length", min(TOKENS_WITHOUT_DATA, max(8, spec.max_positions))))
    return DataFacts(
        examples=ROWS_WITHOUT_DATA,
        lengths=tuple(max(1, round(longest * share)) for share in SPREAD_WITHOUT_DATA),
        eval_examples=held,
        eval_taken=True,
        supposed=True,
    )


def supposed_words(data: DataFacts) -> str:
    """What a plan without a dataset is judged by, in a few words."""
    return f"{data.examples:,} supposed rows of {data.lengths[0]:,} to {data.longest:,} tokens"


def informed(situation: Situation) -> Situation:
    """The situation with what runs of the model's family showed of this device's memory."""
    device = situation.device
    if device.simulated or device.learned is not None or not situation.measurements:
        return situation
    learned = learned_memory(situation.measurements, device=device.name, family=situation.spec.family)
    return situation if learned is None else situation._replace(device=replace(device, learned=learned))
