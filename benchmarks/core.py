"""How fast the calculation core answers: `python benchmarks/core.py`.

Prints the processor time of one whole proposal (the aim is below 5 ms) and of all its reasons with six keys fixed (what
a keystroke in the wizard costs at most; the aim is below 10 ms) for several situations, each time with another value so
that nothing is remembered, and of `loratui plan --json` from start to end (the aim is below 0.4 s).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.memory import estimate
from loratui.core.memory.fit import method_fits
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.proposal import propose
from loratui.core.proposal_json import proposal_json
from loratui.core.situation import Situation
from loratui.models.catalogue import entries, find_entry

GIB = 2**30
QWEN3_0_6B, LLAMA_8B, LLAMA_70B = "Qwen/Qwen3-0.6B", "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-70B"


def known(name: str) -> ModelSpec:
    """The shape of a model of the catalogue."""
    entry = find_entry(name)
    assert entry is not None
    return entry.spec


def gpu(name: str, size_gib: int, capability: tuple[int, int]) -> Device:
    """A free card of this size."""
    return Device(
        name=name,
        memory_total_bytes=size_gib * GIB,
        memory_free_bytes=size_gib * GIB,
        compute_capability=capability,
        peak_flops=1e14,
    )


def milliseconds(
    work: Callable[[], object], rounds: int = 30, clock: Callable[[], float] = time.process_time
) -> tuple[float, float]:
    """Median and worst of `rounds` calls, after one to warm up."""
    work()
    taken = []
    for _ in range(rounds):
        begun = clock()
        work()
        taken.append((clock() - begun) * 1e3)
    taken.sort()
    return taken[len(taken) // 2], taken[-1]


def memory() -> None:
    """One estimate, and the fit badges of the whole catalogue for a card that was not asked about before."""
    data = DataFacts(1000, (700, 1024), True, 0.5)
    for name in (LLAMA_8B, LLAMA_70B):
        spec = known(name)
        for kind, quantization in (("lora", "none"), ("qlora", "nf4"), ("full", "none")):
            values = {"method.kind": kind, "method.quantization": quantization}
            plans = iter([with_values(Plan(), {**values, "training.max_length": 512 + step}) for step in range(31)])
            median, worst = milliseconds(
                lambda spec=spec, plans=plans: estimate(spec, next(plans), data, gpu("H100", 80, (9, 0)))
            )  # type: ignore[misc]
            print(f"estimate     {name:<38} {kind:<15} {median:7.2f} ms   worst {worst:7.2f} ms")
    specs, frees = [entry.spec for entry in entries()], count(1)
    for size in (16, 24, 80):
        median, worst = milliseconds(
            lambda size=size: [
                method_fits(spec, replace(gpu("card", size, (8, 6)), memory_free_bytes=size * GIB - free))
                for free in [next(frees)]
                for spec in specs
            ],  # type: ignore[misc]
            rounds=10,
        )
        print(
            f"fit badges   {len(specs)} models of the catalogue          {size} GiB {median:17.2f} ms   worst "
            f"{worst:7.2f} ms"
        )


def explained(situation: Situation, alpha: int) -> list[str]:
    """What the recipe's step asks at a key: a proposal with several keys fixed, and the reason of every key."""
    fixed = {
        "lora.r": 8,
        "training.batch_size": 4,
        "training.epochs": 2.0,
        "training.optimizer": "adamw_torch",
        "training.learning_rate": 1e-4,
    }
    proposal = propose(situation, by_hand={**fixed, "lora.alpha": float(alpha)})
    return [proposal.why(key) for key in proposal.recommendations]


def main() -> None:
    """Print the figures."""
    memory()
    rows = DataFacts(7_473, tuple(sorted(60 + (index * 7919) % 460 for index in range(7_473))))
    for name, model, device in (
        ("Qwen3-0.6B on a T4", QWEN3_0_6B, gpu("T4", 16, (7, 5))),
        ("Llama-3.1-8B on an A10", LLAMA_8B, gpu("A10", 24, (8, 6))),
        ("Llama-3.1-70B on an H100", LLAMA_70B, gpu("H100", 80, (9, 0))),
        ("Llama-3.1-70B on a T4 (does not fit)", LLAMA_70B, gpu("T4", 16, (7, 5))),
    ):
        situation = Situation(known(model), rows, device)
        ranks, rates = count(1), count(1)
        for wish, wished in (
            ("another rate", lambda rates=rates: {"training.learning_rate": next(rates) * 1e-6}),
            ("another rank", lambda ranks=ranks: {"lora.r": next(ranks)}),
            ("another length", lambda ranks=ranks: {"method.kind": "full", "training.max_length": 64 + next(ranks)}),
        ):
            median, worst = milliseconds(
                lambda situation=situation, wished=wished: propose(situation, by_hand=wished())
            )
            print(f"propose      {name:<38} {wish:<15} {median:7.2f} ms   worst {worst:7.2f} ms")
        alphas = count(1)
        median, worst = milliseconds(lambda situation=situation, alphas=alphas: explained(situation, next(alphas)))
        print(f"with reasons {name:<38} {'six fixed keys':<15} {median:7.2f} ms   worst {worst:7.2f} ms")
        median, worst = milliseconds(lambda situation=situation: proposal_json(propose(situation)))
        print(f"with JSON    {name:<38} {'alternatives':<15} {median:7.2f} ms   worst {worst:7.2f} ms")
    command = [
        sys.executable,
        "-c",
        "from loratui.cli import main; raise SystemExit(main())",
        "plan",
        "-m",
        "Qwen/Qwen3-0.6B",
        "--gpu",
        "T4",
        "--json",
    ]
    median, worst = milliseconds(
        lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), rounds=7, clock=time.perf_counter
    )
    print(f"loratui plan --json, from start to end: {median:.0f} ms   worst {worst:.0f} ms")


if __name__ == "__main__":
    main()
