"""One of two processes that load a 4-bit base to be divided, train three steps of it, and say what each held: first
with its share alone in memory, then with the whole base.

    torchrun --nproc-per-node=2 divided_case.py RUN OUT
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any


def resident() -> int:
    """Bytes that this process holds that are no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def digest(tensor: Any) -> str:
    """Of the packed bytes."""
    import torch

    plain = tensor.detach().as_subclass(torch.Tensor).contiguous().view(torch.uint8)
    return hashlib.sha256(plain.numpy().tobytes()).hexdigest()


def trained(run: Any, out: Path, *, whole: bool) -> dict[str, Any]:
    """What loading and three steps came to in this process."""
    from transformers import TrainerCallback

    from loratui.worker.training import session as training
    from loratui.worker.training.divided_base import require_own_shares
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.signals import Requests

    session = training.Session(run, run.plan(), Journal(run, writes=False), Requests())
    load = training.load_base
    told: dict[str, Any] = {"packed": {}}

    def watched(*arguments: Any, **options: Any) -> Any:
        assert options["share"] is not None
        options["share"] = replace(options["share"], whole=whole)
        load(*arguments, **options)  # what libraries keep from a first time is no weight
        gc.collect()
        before = resident()
        model = load(*arguments, **options)
        told["loaded"] = resident() - before
        return model

    training.load_base = watched  # type: ignore[assignment]
    trainer, _ = session.build(output=out)
    training.load_base = load

    class Look(TrainerCallback):
        def on_train_begin(self, *arguments: Any, **options: Any) -> None:
            require_own_shares(trainer.model)
            for name, module in trainer.model.named_modules():  # type: ignore[union-attr]
                if type(module).__name__ == "Linear4bit" and "base_layer" in name:
                    told["packed"][name] = digest(module.weight.full_tensor())

    trainer.add_callback(Look())
    trainer.train()
    told["losses"] = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return told


def main() -> None:
    """Load and train both ways."""
    from loratui.runs.directory import Run

    run, out = Run(Path(sys.argv[1])), Path(sys.argv[2])
    told = {name: trained(run, out / name, whole=name == "whole") for name in ("share", "whole")}
    (out / f"{os.environ['RANK']}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
