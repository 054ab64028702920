"""Piece 4: the proposed settings beside Unsloth at the same settings, on the same rows.

Unsloth's wheels live in a folder of their own (`wheels.py --set unsloth`; $LORATUI_UNSLOTH names it), for it wants
other versions of TRL and datasets. Without a card it cannot be imported at all: what runs in the rehearsal is the
program's side alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import speed
from random_models import folder_of, loading_seconds, provide

CASES = (("qwen3-0.6b", "lora"), ("llama-8b", "lora"), ("llama-8b", "qlora"), ("qwen3-4b", "lora"))
WHERE = "LORATUI_UNSLOTH"
COMPILING_SECONDS = 45.0
"""Unsloth compiles its kernels at first."""


def run(results: Any, processes: Any, settings: dict[str, Any]) -> None:
    """Both sides of each case, Unsloth's first: ours is measured in the speed piece too."""
    tiny = settings["rehearsal"]
    for name, method in CASES[: 1 if tiny else None]:
        loading = loading_seconds(name, tiny=tiny)
        asked = {"name": name, "tiny": tiny, "rows": settings["rows"], "method": method}
        asked["seconds"] = 0.2 if tiny else speed.SECONDS
        if not provide(results, processes, name, settings):
            continue
        plan = results.case(f"{name} {method} plan", speed.PROPOSING_SECONDS, lambda asked=asked: speed.propose(asked))
        if plan is None:
            continue
        argument = {**asked, "plan": plan["plan"]}
        expected = speed.PREPARING_SECONDS + loading + asked["seconds"]
        results.case(
            f"{name} {method} unsloth",
            expected + COMPILING_SECONDS,
            lambda argument=argument: theirs(argument, min(180.0, results.left())),
        )
        results.case(
            f"{name} {method} proposed",
            expected,
            lambda argument=argument: processes.run(
                "speed:measure", {**argument, "side": "proposed"}, limit_seconds=90
            ),
        )


def theirs(asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Unsloth's side, in an interpreter that sees its packages first."""
    where = os.environ.get(WHERE, "")
    if not where or not Path(where).is_dir():
        raise RuntimeError(f"${WHERE} names no folder with Unsloth's packages")
    with tempfile.TemporaryDirectory(prefix="loratui-unsloth-") as name:
        place = Path(name)
        (place / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), str(place)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([where, os.environ.get("PYTHONPATH", "")])},
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        result = place / "result.json"
        if not result.exists():
            raise RuntimeError(f"status {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
        return dict(json.loads(result.read_text(encoding="utf-8")))


def train(asked: dict[str, Any], place: Path) -> dict[str, Any]:
    """A training as Unsloth's own notebooks write it, at the plan's settings. Unsloth is imported before all else."""
    import unsloth  # isort: skip
    from importlib.metadata import version

    from clock import timed
    from datasets import Dataset
    from results import versions
    from trl import SFTConfig, SFTTrainer
    from unsloth import FastLanguageModel

    from loratui.core.plan_text import plan_from_toml

    plan = plan_from_toml(asked["plan"])
    training, lora = plan.training, plan.lora
    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=str(folder_of(asked["name"])),
        max_seq_length=training.max_length,
        load_in_4bit=plan.method.quantization == "nf4",
        dtype=None,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=lora.r,
        lora_alpha=int(lora.alpha),
        lora_dropout=lora.dropout,
        bias="none",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        use_gradient_checkpointing="unsloth" if training.checkpointing else False,
        random_state=training.seed,
    )
    rows = [json.loads(line) for line in speed.shown_rows(asked["rows"], place).read_text("utf-8").splitlines()]

    def text(row: dict[str, str]) -> dict[str, str]:
        turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
        return {"text": tokenizer.apply_chat_template(turns, tokenize=False)}

    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list([text(row) for row in rows]),
        args=SFTConfig(
            output_dir=str(place / "out"),
            per_device_train_batch_size=training.batch_size,
            gradient_accumulation_steps=training.accumulation,
            num_train_epochs=training.epochs,
            learning_rate=training.learning_rate,
            optim=training.optimizer,
            max_length=training.max_length,
            packing=training.packing,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            seed=training.seed,
            disable_tqdm=True,
        ),
    )
    found = timed(trainer, asked["seconds"])
    return found | {"versions": versions() | {"unsloth_zoo": version("unsloth_zoo")}, "module": unsloth.__name__}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    found = train(json.loads((folder / "asked.json").read_text(encoding="utf-8")), folder)
    (folder / "result.json").write_text(json.dumps(found), encoding="utf-8")
