"""Which words were explained already: each once, where it first stands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from loratui.core.glossary import TERMS, Term
from loratui.files import make_folder, read_object, write_whole

WORDS: Mapping[str, tuple[str, ...]] = {
    "machine": (
        "fine-tuning",
        "budget",
        "overhead",
        "bf16",
        "fp8",
        "compute capability",
        "TFLOPS",
        "sdpa",
        "paged optimizer",
        "slurm",
    ),
    "model": ("LoRA", "QLoRA", "params", "full", "chat template", "hub", "access token"),
    "dataset": ("token", "held out", "stop token"),
    "recipe": (
        *("rank", "learning rate", "epoch", "batch", "maximum length", "preset"),
        *("warm-up", "cosine", "linear", "PEFT"),
    ),
    "review": (
        "adapter",
        "checkpointing",
        "checkpoint",
        "warm-up",
        "alpha",
        "optimizer",
        "bf16",
        "fp16",
        "fp32",
        "cosine",
        "linear",
        "NF4",
        "rehearsal",
        "AdamW",
        "activations",
        "gradients",
        "logits",
        "PEFT",
    ),
    "training": ("loss", "gradient norm", "evaluation", "checkpoint", "accuracy", "exact match"),
    "playground": (
        "base",
        "adapter",
        "temperature",
        "held out",
        "stop token",
        "top-p",
        "seed",
        "greedy",
        "exact match",
        "ROUGE",
        "system prompt",
        "pinned prompts",
        "float32",
    ),
    "runs": ("held out", "loss", "nats"),
    "compare": ("nats", "held out", "loss"),
    "score": (
        *("95 % between", "exact match", "ROUGE", "BLEU", "chrF", "loss", "perplexity"),
        *("token accuracy", "stop token"),
    ),
    "take-away": ("merge", "GGUF"),
}
"""The words that stand on each screen, those that one stumbles over first in front."""


SHORT = {"model": 3}
"""Lines for new words on a screen that is low, where they are more than one."""


def words_of(screen: str) -> tuple[Term, ...]:
    """The words of a screen, explained."""
    return tuple(TERMS[word] for word in WORDS.get(screen, ()))


class SeenWords:
    """Remembers which words a person has met. path: where; None remembers for this session alone.

    It is only a memory: where it cannot be read or written, words are explained once more.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: set[str] | None = None

    def unseen(self, terms: Iterable[Term]) -> tuple[Term, ...]:
        """Those of these that were never explained."""
        return tuple(term for term in terms if term.word not in self._known())

    def take(self, terms: Sequence[Term]) -> None:
        """These were explained."""
        known = self._known()
        if {term.word for term in terms} <= known:
            return
        known |= {term.word for term in terms}
        if self._path is not None:
            try:
                make_folder(self._path.parent)
                write_whole(self._path, json.dumps({"seen": sorted(known)}) + "\n")
            except OSError:
                self._path = None

    def _known(self) -> set[str]:
        if self._seen is None:
            self._seen = set()
            if self._path is not None:
                try:
                    seen = read_object(self._path).get("seen")
                except OSError:
                    seen = None
                self._seen = {word for word in seen if isinstance(word, str)} if isinstance(seen, list) else set()
        return self._seen
