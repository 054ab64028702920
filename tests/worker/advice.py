"""The world in which advice is followed: models, rows, and the trainings that fail or do well in it (`advice_replay`
follows).
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiny_model import write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

WORDS = ("red", "blue", "tin", "oak", "sky", "fog", "ice", "jam")


def sums(
    path: Path, count: int, seed: int, *, shift: int = 0, noise: float = 0.0, long: int = 0, broken: int = 0
) -> Path:
    """Rows that can be learnt: two numbers decide two words. noise: share of the words that are random instead. broken:
    how many answers of the first four fifths are signs without sense.
    """
    dice, other = random.Random(seed), random.Random(seed + 1)
    senseless = {other.randrange(count * 4 // 5) for _ in range(broken)}
    with path.open("w") as file:
        for number in range(count):
            one, two = dice.randrange(20), dice.randrange(20)
            words = [
                WORDS[(value + shift) % len(WORDS)] if dice.random() >= noise else dice.choice(WORDS)
                for value in (one, two)
            ]
            prompt = f"{one} and {two} is" + " and" * (long or dice.randrange(3))
            answer = f"it is {words[0]} and {words[1]}"
            if number in senseless:
                answer = " ".join("".join(other.choice("qxzjvk~#@$%") for _ in range(5)) for _ in range(6))
            file.write(json.dumps({"prompt": prompt, "completion": answer}) + "\n")
    return path


def by_heart(path: Path, count: int, seed: int) -> Path:
    """Rows with nothing to learn but themselves."""
    dice = random.Random(seed)
    with path.open("w") as file:
        for number in range(count):
            file.write(
                json.dumps(
                    {
                        "prompt": f"{number} and {dice.randrange(90)} is",
                        "completion": " ".join(dice.choice(WORDS) for _ in range(4)),
                    }
                )
                + "\n"
            )
    return path


class World:
    """A folder with models, one random and one that has learnt some words, and with rows."""

    def __init__(self, folder: Path) -> None:
        """What is there already is taken as it is."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.random, self.learned, self.deep, self.broken = (
            folder / name for name in ("random", "learned", "deep", "broken")
        )
        if not self.broken.exists():
            write_tiny_model(self.random)
            write_tiny_model(self.deep, hidden=192, layers=6)
            self._teach(self.learned)
            self._spoil(self.broken)

    def _teach(self, target: Path) -> None:
        """The random model after a few hundred steps on other words: a base that an adapter can turn round."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.random)
        model = AutoModelForCausalLM.from_pretrained(self.random, dtype=torch.float32)
        rows = [
            json.loads(line) for line in sums(self.folder / "taught.jsonl", 600, 99, shift=3).read_text().splitlines()
        ]
        texts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}],
                tokenize=False,
            )
            for row in rows
        ]
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
        dice = random.Random(0)
        for _ in range(250):
            batch = tokenizer(dice.sample(texts, 16), return_tensors="pt", padding=True, add_special_tokens=False)
            labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
            model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)

    def _spoil(self, target: Path) -> None:
        """The model with one weight that is no number."""
        import torch
        from safetensors.torch import load_file, save_file

        shutil.copytree(self.random, target)
        weights = load_file(target / "model.safetensors")
        name = next(name for name in weights if "down_proj" in name)
        weights[name].view(-1)[0] = torch.nan
        save_file(weights, target / "model.safetensors", {"format": "pt"})

    def changes(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Plan keys, with one of this world's models where one is named."""
        found = dict(changes)
        name = found.pop("model", "")
        return found | ({"model.id": str(getattr(self, name))} if name else {})

    def plan(self, rows: Path, changes: Mapping[str, Any]) -> Plan:
        """A short training on the CPU."""
        return with_values(
            Plan(),
            {
                "model.id": str(self.learned),
                "model.dtype": "fp32",
                "dataset.path": str(rows),
                "dataset.eval_fraction": 0.2,
                "dataset.split_by": "order",
                "training.precision": "fp32",
                "training.batch_size": 4,
                "training.accumulation": 1,
                "training.max_length": 64,
                "training.max_steps": 100,
                "training.warmup_steps": 3,
                "training.learning_rate": 3e-3,
                "evaluation.every_steps": 20,
                "evaluation.batch_size": 32,
                "saving.every_steps": 10,
                "saving.keep": 4,
                "hardware.cpu": True,
                **changes,
            },
        )


@dataclass(frozen=True)
class Case:
    """A training that fails. kind: what of it is to be found. changes: of the plan. fault: of the world around it."""

    kind: str
    seed: int
    changes: Mapping[str, Any]
    rows: Mapping[str, Any] = field(default_factory=lambda: {"count": 120})
    fault: Mapping[str, Any] = field(default_factory=dict)
    auto: bool = False
    """Whether a run that mends itself meets it too."""
    live: bool = False
    """Whether it is seen, and mended, while the run goes on."""
    better_than_untouched: bool = False
    """Whether it helped is judged against the same run left alone."""
    no_fix: bool = False
    """Nothing that a plan can change mends it: to say so is right, and any restart is futile."""
    disk_kib: int = 0
    what: str = ""
    """Which of its kind."""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.what}{' ' if self.what else ''}{self.seed}"

    def plan_of(self, world: World) -> dict[str, Any]:
        """The changes, with the model's folder."""
        return world.changes(self.changes)

    def write_rows(self, path: Path) -> Path:
        """Its rows, into a file."""
        return write_rows(path, self.rows, self.seed)


def write_rows(path: Path, wanted: Mapping[str, Any], seed: int) -> Path:
    """Rows as wanted: `count`, `noise`, `long`, `broken`, or `heart` where there is nothing to learn."""
    options = dict(wanted)
    if options.pop("heart", False):
        return by_heart(path, options["count"], seed)
    return sums(path, options.pop("count"), seed, **options)
