"""Situations drawn by chance: models and cards of the catalogues, data, presets, and what a person fixed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from loratui.core.dataset import DataFacts
from loratui.core.errors import PlanError
from loratui.core.hardware import Device
from loratui.core.presets import Preset
from loratui.core.proposal import propose
from loratui.core.situation import Situation
from loratui.machine.catalogue import all_gpus
from loratui.models.catalogue import entries
from loratui.paths import presets_path
from loratui.presets_store import load_presets

GIB = 2**30
PINS: dict[str, tuple[Any, ...]] = {
    "method.kind": ("full", "lora", "qlora"),
    "method.quantization": ("none", "nf4", "fp4", "int8"),
    "method.double_quantization": (True, False),
    "model.dtype": ("fp32", "bf16", "fp16"),
    "model.attention": ("sdpa", "eager", "flash_attention_2", "torch_varlen"),
    "training.precision": ("bf16", "fp16", "fp32"),
    "training.batch_size": (1, 2, 3, 4, 8, 16, 64),
    "training.accumulation": (1, 2, 5, 16),
    "training.checkpointing": (True, False),
    "training.optimizer": ("adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit"),
    "training.max_length": (64, 512, 2048, 4096, 8192),
    "training.packing": (True, False),
    "training.padding_free": (True, False),
    "training.group_by_length": (True, False),
    "training.epochs": (0.5, 1.0, 3.0, 10.0),
    "training.max_steps": (0, 10, 500),
    "training.learning_rate": (1e-5, 2e-4, 1e-2),
    "training.warmup_steps": (0, 10),
    "training.scheduler": ("linear", "constant"),
    "training.beta2": (0.95, 0.999),
    "training.weight_decay": (0.0, 0.1),
    "evaluation.batch_size": (1, 4, 32),
    "evaluation.every_steps": (0, 5, 100),
    "evaluation.patience": (0, 5),
    "hardware.parallelism": ("ddp", "fsdp"),
    "lora.r": (4, 16, 64, 256),
    "lora.alpha": (16.0, 64.0, 512.0),
    "lora.dropout": (0.0, 0.1),
    "lora.variant": ("lora", "rslora", "dora"),
    "dataset.eval_fraction": (0.0, 0.1),
    "dataset.eval_count": (0, 20, 300),
    "training.min_lr_ratio": (0.0, 0.3),
}


@dataclass(frozen=True)
class Case:
    """One situation with its preset and what a person fixed."""

    situation: Situation
    preset: Preset
    by_hand: Mapping[str, Any]

    def __str__(self) -> str:
        device = self.situation.device
        rows = self.situation.data and f"{self.situation.data.examples} rows up to {self.situation.data.longest}"
        on = f"{self.situation.spec.id} on {device.count} × {device.name}"
        return f"{on}, {rows}, {self.preset.name}, {dict(self.by_hand)}"


@cache
def presets() -> tuple[Preset, ...]:
    return tuple(load_presets([presets_path()])[0])


def cases(number: int, seed: int) -> Iterator[Case]:
    """So many situations that can be planned: models and cards of the catalogues, data, presets and pins by chance."""
    chance = random.Random(seed)
    specs, cards = [entry.spec for entry in entries()], list(all_gpus())
    made = 0
    while made < number:
        case = Case(
            Situation(chance.choice(specs), _data(chance), _device(chance, cards)), _preset(chance), _pins(chance)
        )
        try:
            propose(case.situation, case.preset, case.by_hand)
        except PlanError:
            continue  # pins that contradict each other
        made += 1
        yield case


def _data(chance: random.Random) -> DataFacts | None:
    if chance.random() < 0.15:
        return None
    longest = round(2 ** chance.uniform(4, 14))
    lengths = sorted(
        max(1, round(longest * chance.random() ** chance.choice((0.2, 1, 4)))) for _ in range(chance.choice((1, 5, 60)))
    )
    return DataFacts(
        max(len(lengths), round(10 ** chance.uniform(1, 6))),
        tuple(lengths),
        chance.random() < 0.7,
        chance.uniform(0.05, 1),
        chance.choice((0, 50)),
    )


def _device(chance: random.Random, cards: list[Any]) -> Device:
    if chance.random() < 0.1:
        size = chance.choice((4, 16, 64, 256)) * GIB
        return Device(
            name="CPU",
            kind="cpu",
            memory_total_bytes=size,
            memory_free_bytes=round(size * chance.uniform(0.3, 1)),
            peak_flops=chance.choice((None, 1e12)),
        )
    device: Device = chance.choice(cards).device(chance.choice((1, 1, 1, 2, 3, 4, 8, 16)))
    if chance.random() < 0.3:
        device = replace(device, memory_free_bytes=round(device.memory_free_bytes * chance.uniform(0.05, 1)))
    kernel = chance.choice(("flash_attention_2", "torch_varlen"))
    return replace(device, attention_kernels=(kernel,)) if chance.random() < 0.3 else device


def _preset(chance: random.Random) -> Preset:
    named = {preset.name: preset for preset in presets()}
    return named[chance.choice(("auto", "auto", "auto", "rules-of-thumb", chance.choice(sorted(named))))]


def _pins(chance: random.Random) -> dict[str, Any]:
    keys = chance.sample(sorted(PINS), chance.choice((0, 0, 1, 1, 2, 3, 5)))
    return {key: chance.choice(PINS[key]) for key in keys}
