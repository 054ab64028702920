"""Who answers: what each side is, how it was made, how good it was, and where it lies. Reads files: for a thread."""

from __future__ import annotations

from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.core.mix import sections_of
from loratui.core.plan import Plan
from loratui.core.recommendation import METHOD_NAMES
from loratui.format import count, loss_text, one_line
from loratui.models.find import find_model
from loratui.paths import home_short
from loratui.runs.directory import Run
from loratui.runs.outcome import Outcome, OutcomeTail
from loratui.runs.result import left_behind, step_of_result
from loratui.tui.playground.answer_view import BESIDE
from loratui.workers.protocol import ADAPTER, BASE
from loratui.workers.target import Target

EVENTS_BYTES = 64 << 20
"""Of a run's events so much is read: of a longer file its first evaluations count alone."""


def who_answers(target: Target) -> dict[str, str]:
    """For each side that something is known of, a few lines."""
    run, result = target.run, target.load.sides.get(ADAPTER)
    outcome = _outcome(run) if run is not None else Outcome()
    told = {BASE: _lines(_base(target, outcome))}
    if result:
        told[ADAPTER] = _lines(_result(target, result, outcome))
    return told


def _outcome(run: Run) -> Outcome:
    tail = OutcomeTail(run.events_path)
    tail.look(EVENTS_BYTES)
    return tail.outcome


def _base(target: Target, outcome: Outcome) -> list[tuple[str, str]]:
    """The base: its size, how it is held, what it made of the held-out rows."""
    base, kept = target.load.base, target.load.quantization
    found = [("lies in", home_short(base))]
    try:
        spec = find_model(base, revision=target.load.revision, online=False).spec
        held = f", held as {kept}" if kept != "none" else ""
        found.insert(0, ("model", f"{spec.family}, {count(spec.total_parameters)} parameters{held}"))
    except LoratuiError:
        pass  # whose shape cannot be read is told when it is loaded
    if outcome.base is not None and outcome.base.loss is not None:
        found.append(("held out", f"loss {loss_text(outcome.base.loss)} before the training"))
    return found


def _result(target: Target, result: str, outcome: Outcome) -> list[tuple[str, str]]:
    """What was trained: how, from what, until which step, how good it was at its best."""
    found: list[tuple[str, str]] = []
    plan, run, step = target.plan, target.run, 0
    if plan is not None:
        found.append(("made by", f"{_method(plan)}, of {_rows(plan)}"))
    if run is not None:
        found.append(("run", f"{run.name}{_weights(run, Path(result))}"))
        step = step_of_result(Path(result))
    best = outcome.best
    if best is not None and best.loss is not None:
        beyond = ", which these weights are not" if step and best.step > step else ""
        found.append(("held out", f"best loss {loss_text(best.loss)}, at step {best.step:,}{beyond}"))
    found.append(("lies in", home_short(result)))
    return found


def _weights(run: Run, result: Path) -> str:
    """Of which step the weights are; of a result that the run was trained beyond, what answers instead."""
    left = left_behind(run) if result in (run.adapter_path, run.model_path) else None
    if left is not None:
        newer = f", or ask {left.checkpoint.name} (^y)" if left.checkpoint is not None else ""
        return f", ▲ weights {left.words}: {'it' if left.goes_on else 'r on the run'} goes on{newer}"
    step, total = step_of_result(result), run.status().total
    return f", weights of step {step:,}" + (f" of {total:,}" if total else "") if step else ""


def _method(plan: Plan) -> str:
    """How it was learnt: `LoRA, rank 16`."""
    rank = f", rank {plan.lora.r}" if plan.method.kind != "full" else ""
    objective = "" if plan.training.objective == "sft" else f" by {plan.training.objective.upper()}"
    return f"{METHOD_NAMES[plan.method.kind]}{rank}{objective}"


def _rows(plan: Plan) -> str:
    """What it was learnt from."""
    return " and ".join(one_line(section.named, 60) for section in sections_of(plan.dataset))


def _lines(found: list[tuple[str, str]]) -> str:
    return "\n".join(f"{label}{BESIDE}{one_line(words, 200)}" for label, words in found)
