"""The trainings that fail, kind by kind, and those that do well."""

from __future__ import annotations

from typing import Any

from advice import Case

LONG_ROWS = {"count": 120, "long": 60}
WIDE_BATCH = {
    "training.batch_size": 32,
    "training.max_length": 256,
    "training.max_steps": 12,
    "evaluation.every_steps": 0,
    "saving.every_steps": 4,
    "training.learning_rate": 1e-3,
}
MIB = 1 << 20


def failing() -> list[Case]:
    """All of them; the first of each kind is also the test's."""
    found: list[Case] = []
    full = {"method.kind": "full"}
    for seed, rate in enumerate((1.0, 0.7, 0.5, 0.9)):
        found.append(
            Case(
                "diverging",
                seed,
                {**full, "training.learning_rate": rate, "training.warmup_steps": 0},
                auto=True,
                live=True,
                what="early, full",
            )
        )
    for seed, rate in enumerate((0.9, 0.5, 1.0, 0.7), 10):
        found.append(
            Case(
                "diverging",
                seed,
                {"training.learning_rate": rate, "training.warmup_steps": 0},
                auto=True,
                live=True,
                what="early, LoRA",
            )
        )
    for seed, (rate, extra) in enumerate(((0.3, full), (0.2, full), (0.6, {}), (0.9, {})), 20):
        found.append(
            Case(
                "diverging",
                seed,
                {
                    **extra,
                    "training.learning_rate": rate,
                    "training.warmup_steps": 160,
                    "training.max_steps": 160,
                    "saving.every_steps": 10,
                    "saving.keep": 30,
                },
                auto=True,
                live=True,
                what="late",
            )
        )
    for seed, (rate, extra) in enumerate(((0.3, full), (0.4, full), (0.6, {}), (0.9, {})), 24):
        found.append(
            Case(
                "diverging",
                seed,
                {
                    **extra,
                    "dataset.split_by": "content",
                    "training.learning_rate": rate,
                    "training.warmup_steps": 160,
                    "training.max_steps": 160,
                    "saving.every_steps": 10,
                    "saving.keep": 30,
                },
                auto=True,
                live=True,
                what="late",
            )
        )
    for seed in range(30, 33):
        found.append(
            Case(
                "not-finite",
                seed,
                {"saving.every_steps": 5},
                fault={"kind": "nan-weight", "at": 20 + 5 * (seed - 30)},
                auto=True,
                what="loss",
            )
        )
    for seed in range(40, 43):
        found.append(
            Case(
                "not-finite",
                seed,
                {},
                fault={"kind": "nan-gradient", "at": 33 + 11 * (seed - 40)},
                auto=True,
                what="gradient",
            )
        )
    for seed in (50, 51):
        found.append(
            Case(
                "not-finite",
                seed,
                {"model": "broken", **({"method.kind": "full"} if seed == 51 else {})},
                auto=True,
                no_fix=True,
                what="base weights",
            )
        )
    for seed in range(60, 64):
        extra = full if seed % 2 else {}
        found.append(
            Case(
                "oom",
                seed,
                {**WIDE_BATCH, **extra},
                LONG_ROWS,
                {"kind": "memory", "where": "step", "bytes": (300 + 10 * (seed % 3)) * MIB},
                auto=True,
                what="step",
            )
        )
    for seed in range(70, 73):
        found.append(
            Case(
                "oom",
                seed,
                {
                    **WIDE_BATCH,
                    "training.batch_size": 2,
                    "evaluation.every_steps": 4,
                    "evaluation.batch_size": 64,
                    "dataset.eval_count": 64,
                },
                {"count": 160, "long": 60},
                {"kind": "memory", "where": "evaluation", "bytes": 450 * MIB},
                auto=True,
                what="evaluation",
            )
        )
    for seed in (80, 81):
        found.append(
            Case(
                "oom",
                seed,
                {"model": "deep", "training.max_steps": 8, "evaluation.every_steps": 0},
                fault={"kind": "memory", "where": "load", "bytes": 8 * MIB},
                auto=True,
                what="load",
            )
        )
    for seed in (90, 91):
        found.append(
            Case(
                "oom",
                seed,
                {
                    "model": "deep",
                    "method.kind": "full",
                    "training.learning_rate": 1e-4,
                    "training.max_steps": 8,
                    "evaluation.every_steps": 0,
                    "saving.every_steps": 4,
                },
                fault={"kind": "memory", "where": "save", "bytes": 8 * MIB},
                what="save",
            )
        )
    for seed, rate in enumerate((1e-7, 1e-6, 3e-7), 100):
        extra = full if seed == 101 else {}
        found.append(
            Case("not-falling", seed, {**extra, "training.learning_rate": rate}, live=True, better_than_untouched=True)
        )
    for seed, targets in enumerate((["k_proj"], ["q_proj", "k_proj"], ["k_proj"]), 111):
        found.append(
            Case(
                "plateau",
                seed,
                {
                    "lora.r": 1,
                    "lora.alpha": 2.0,
                    "lora.targets": targets,
                    "training.max_steps": 200,
                    "training.scheduler": "constant",
                },
                live=True,
                better_than_untouched=True,
            )
        )
    for seed in range(120, 123):
        found.append(
            Case(
                "overfitting",
                seed,
                {
                    **full,
                    "training.learning_rate": 3e-3,
                    "training.max_steps": 160,
                    "evaluation.every_steps": 10,
                },
                {"count": 40, "noise": 0.5},
                live=True,
                better_than_untouched=True,
            )
        )
    for seed in range(130, 133):
        found.append(
            Case(
                "memorising",
                seed,
                {
                    **full,
                    "training.learning_rate": 5e-3,
                    "training.max_steps": 160,
                    "dataset.eval_fraction": 0.5,
                    "evaluation.every_steps": 10,
                },
                {"count": 16, "heart": True},
                live=True,
                better_than_untouched=True,
            )
        )
    for seed in (140, 141):
        found.append(Case("disk-full", seed, {"saving.keep": 20}, no_fix=True, disk_kib=900 + 300 * (seed - 140)))
    for seed in (150, 151):
        found.append(Case("no-gradient", seed, {}, fault={"kind": "no-gradient"}, live=True))
    for seed, changes in enumerate(({"training.learning_rate": 1e-4}, {**full, "training.learning_rate": 2e-4}), 160):
        found.append(
            Case(
                "underfitting",
                seed,
                {
                    **changes,
                    "training.scheduler": "constant",
                    "training.max_steps": 50,
                    "evaluation.every_steps": 10,
                },
                better_than_untouched=True,
            )
        )
    for seed in (172, 173, 174):
        found.append(
            Case(
                "spikes",
                seed,
                {"training.batch_size": 2, "training.max_steps": 80, "saving.every_steps": 5},
                {"count": 200, "broken": 2},
                live=True,
                better_than_untouched=True,
            )
        )
    for seed in (180, 181):
        found.append(
            Case(
                "erratic",
                seed,
                {
                    **full,
                    "training.learning_rate": 0.02,
                    "training.batch_size": 1,
                    "training.scheduler": "constant",
                    "evaluation.every_steps": 5,
                    "saving.every_steps": 5,
                    "saving.keep": 30,
                },
                {"count": 60, "noise": 0.3},
                live=True,
                better_than_untouched=True,
            )
        )
    return found


def first_of_each() -> list[Case]:
    """The first case of every kind and sort."""
    return list({(case.kind, case.what): case for case in reversed(failing())}.values())[::-1]


def healthy() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, changes of the plan, rows. `learning_rate: None` is as proposed."""
    found: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    rows: dict[str, Any] = {"count": 160}
    for seed in range(6):
        found.append((f"lora-{seed}", {"training.seed": seed, "training.batch_size": (1, 2, 8)[seed % 3]}, rows))
    for seed in range(6):
        found.append(
            (
                f"full-{seed}",
                {"training.seed": seed, "method.kind": "full", "training.learning_rate": (2e-3, 1e-3, 3e-3)[seed % 3]},
                rows,
            )
        )
    for seed in range(4):
        found.append(
            (
                f"from-nothing-{seed}",
                {"training.seed": seed, "model": "random", "method.kind": "full", "training.learning_rate": 5e-3},
                rows,
            )
        )
    for seed in range(6):
        found.append(
            (
                f"noisy-{seed}",
                {
                    "training.seed": seed,
                    "training.batch_size": (1, 4)[seed % 2],
                    "training.max_steps": 60,
                    "evaluation.every_steps": 10,
                },
                {"count": 60, "noise": 0.5},
            )
        )
    for seed in range(3):
        found.append(
            (
                f"as-proposed-full-{seed}",
                {"training.seed": seed, "method.kind": "full", "training.learning_rate": 5e-4},
                rows,
            )
        )
    for seed in range(3):
        found.append(
            (
                f"epochs-{seed}",
                {
                    "training.seed": seed,
                    "training.max_steps": 0,
                    "training.epochs": 4.0,
                    "evaluation.every_steps": 0 if seed else 16,
                },
                rows,
            )
        )
    for seed in range(2):
        found.append((f"demo-{seed}", {"training.seed": seed, "demo": True}, {}))
    halves = ("order", "content")
    return [
        (name, {"dataset.split_by": halves[number % 2], **changes}, rows)
        for number, (name, changes, rows) in enumerate(found)
    ]
