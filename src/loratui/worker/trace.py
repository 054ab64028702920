"""`python -m loratui.worker trace CONFIG.json`: what one training step of this architecture needs, traced on fake
tensors.

For architectures that the formulas do not know, and to check them for those that they do. Needs no weights and no GPU;
takes seconds. The answer is remembered by the hash of config, plan, batch and library versions. `-` in the place of the
file answers the one question that comes on its input (`child_process.answer_one`): {"config": …, "plan": {"KEY": …},
"rows": …, "tokens": …}.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loratui.child_process import answer_one
from loratui.core.errors import LoratuiError, ModelError
from loratui.core.plan import Plan
from loratui.core.plan_text import parse_setting, plan_from_toml, with_values
from loratui.files import make_folder
from loratui.format import first_line
from loratui.paths import state_home
from loratui.terminal import say, say_json
from loratui.worker.quiet import without_warnings

LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes")
DECIDING = ("model", "method", "lora", "training")
"""Sections of a plan that change a step's memory."""


def main(argv: list[str]) -> int:
    """Print the traced step as one JSON object; exit status 0, or 1 or 2 with one sentence on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m loratui.worker trace", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("config", type=Path, help="a config.json, or a folder that holds one, or - to be asked")
    parser.add_argument("--plan", type=Path, help="a plan.toml; its model is not read")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one key of the plan")
    parser.add_argument("--rows", type=int, help="rows of the batch (the plan's batch size)")
    parser.add_argument("--tokens", type=int, help="tokens of each row (the plan's maximum length)")
    parser.add_argument("--padded", action="store_true", help="the rows are of unlike length")
    parser.add_argument("--anew", action="store_true", help="trace again even where the answer is remembered")
    asked = parser.parse_args(argv)
    if str(asked.config) == "-":
        return answer_one("traced", _answer)
    try:
        config = read(asked.config)
        plan = plan_from_toml(asked.plan.read_text(encoding="utf-8"), where=str(asked.plan)) if asked.plan else Plan()
        plan = with_values(plan, dict(parse_setting(text) for text in asked.set))
        found = trace(
            config,
            plan,
            rows=asked.rows or plan.training.batch_size,
            tokens=asked.tokens or plan.training.max_length,
            padded=asked.padded,
            anew=asked.anew,
        )
    except LoratuiError as error:
        say(error.sentence, err=True)
        return error.exit_status
    except OSError as error:
        say(f"{error.filename}: {error.strerror}.", err=True)
        return 1
    say_json(found, indent=None)
    return 0


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    plan = with_values(Plan(), question.get("plan") or {})
    rows, tokens = question.get("rows"), question.get("tokens")
    return trace(
        _checked(question.get("config"), "the question"),
        plan,
        rows=rows or plan.training.batch_size,
        tokens=tokens or plan.training.max_length,
    )


def read(path: Path) -> dict[str, Any]:
    """A config.json as a dictionary; ModelError where it is none."""
    file = path / "config.json" if path.is_dir() else path
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise ModelError("there is no config.json to read.", where=str(file)) from None
    except ValueError as error:
        raise ModelError(f"this is not JSON: {error}.", where=str(file)) from None
    return _checked(config, str(file))


def _checked(config: Any, where: str) -> dict[str, Any]:
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelError("this is no model's config: it names no model_type.", where=where)
    return config


def trace(
    config: dict[str, Any], plan: Plan, *, rows: int, tokens: int, padded: bool = False, anew: bool = False
) -> dict[str, Any]:
    """The traced step's bytes, part by part and phase by phase; ModelError where the class cannot be built or run."""
    memory = state_home() / "traces" / f"{fingerprint(config, plan, rows, tokens, padded)}.json"
    if not anew:
        with contextlib.suppress(OSError, ValueError):
            return {**json.loads(memory.read_text(encoding="utf-8")), "remembered": True}
    found = {
        **run(config, plan, rows, tokens, padded),
        "rows": rows,
        "tokens": tokens,
        "model_type": config["model_type"],
    }
    make_folder(memory.parent)
    written = memory.with_suffix(".new")
    written.write_text(json.dumps(found), encoding="utf-8")
    written.replace(memory)
    return {**found, "remembered": False}


def run(config: dict[str, Any], plan: Plan, rows: int, tokens: int, padded: bool) -> dict[str, Any]:
    """Trace now."""
    from loratui.worker.tracing.step import trace_step

    try:
        with without_warnings():
            traced = trace_step(
                config,
                plan,
                rows=rows,
                tokens=tokens,
                padded=padded,
                accumulates=plan.training.accumulation > 1,
                evaluate=True,
            )
    except (KeyError, ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError) as error:
        raise ModelError(
            f"{config['model_type']} cannot be traced: {first_line(error, 200)}",
            where="trace",
            hint="The estimate stays a guess; rehearse the run instead.",
        ) from error
    return {
        "peak_bytes": traced.peak_bytes,
        **{name: size for name, size in asdict(traced).items() if name != "at_peak"},
    }


def fingerprint(config: dict[str, Any], plan: Plan, rows: int, tokens: int, padded: bool) -> str:
    """A hash of everything that decides the answer, the libraries' versions included."""
    sections = plan.model_dump(mode="json")
    deciding = [
        config,
        {name: sections[name] for name in DECIDING},
        rows,
        tokens,
        padded,
        [version(name) for name in LIBRARIES],
    ]
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:24]
