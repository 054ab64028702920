"""A run's state in words, with a glyph and a colour: never by colour alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.content import Content

from loratui.core.plan import Plan
from loratui.format import count, duration, loss_text, number_text, one_line, signed, size
from loratui.runs.by_part import MARKS, PartLoss, part_losses
from loratui.runs.events import Eval, Finished, Step
from loratui.runs.failure import SPOILT, standing_words, still_standing
from loratui.runs.follow import fix_words, result_words
from loratui.runs.held_out import exact_match_words
from loratui.runs.status import Status
from loratui.runs.times import IN_ALL, steps_words
from loratui.runs.verdict import Ruin
from loratui.tui.training.follow import Followed
from loratui.tui.training.record import RunRecord
from loratui.tui.training.stages import BEGIN, STAGES, phase_now

STARTING = ("starting", "rehearsing")
"""States in which this worker has made no step yet."""
LOOKS: dict[str, tuple[str, str, str]] = {
    "queued": ("◌", "queued", "$accent"),
    "starting": ("◌", "starting", "$accent"),
    "rehearsing": ("◌", "rehearsing", "$accent"),
    "running": ("●", "running", "$accent"),
    "evaluating": ("●", "evaluating", "$accent"),
    "saving": ("●", "saving", "$accent"),
    "stopping": ("●", "stopping", "$warning"),
    "finished": ("✓", "finished", "$success"),
    "stopped": ("■", "stopped", "$warning"),
    "failed": ("✗", "failed", "$error"),
    "lost": ("✗", "lost", "$error"),
}


def state_words(state: str) -> Content:
    """`● running`."""
    glyph, word, color = LOOKS.get(state, ("?", state, "$foreground"))
    return Content.assemble((f"{glyph} {word}", f"bold {color}"))


def spoilt(followed: Followed) -> Ruin | None:
    """The finding by which its weights are worth nothing: its worker's, else that of its curves."""
    told = [(one.finding, one.severity, one.message) for one in reversed(followed.record.findings)]
    seen = [(one.kind, one.severity, one.message) for one in followed.findings]
    bad = [(kind, words) for kind, severity, words in (*told, *seen) if kind in SPOILT and severity == "error"]
    return Ruin(*bad[0]) if bad else None


def headline(followed: Followed) -> Content:
    """State, place and time left, in one line."""
    record, status, plan = followed.record, followed.status, followed.plan
    epochs = plan.training.epochs if plan is not None and not plan.training.max_steps else 0.0
    parts: list[Content] = [state_words(status.state)]
    if status.state == "finished" and (ruin := spoilt(followed)):
        parts = [Content.assemble((f"✗ finished, but {ruin.word}", "bold $error"))]
    step = record.step.step if record.step else status.step
    total = record.total_steps or status.total
    if total:
        parts.append(
            Content.assemble(
                ("step ", "$text-muted"), (f"{step:,}", "bold $foreground"), (f" of {total:,}", "$text-muted")
            )
        )
    if record.step is not None:
        of = f" of {epochs:g}" if epochs else ""
        parts.append(
            Content.assemble(
                ("epoch ", "$text-muted"), (f"{record.step.epoch:.2f}", "$foreground"), (of, "$text-muted")
            )
        )
    starts = status.state in STARTING
    if not status.over and not starts and record.step is not None and record.step.eta is not None:
        parts.append(Content.assemble((duration(record.step.eta), "bold $foreground"), (" left", "$text-muted")))
    if record.segments:
        parts.append(Content.assemble(("segment ", "$text-muted"), (f"{record.segments + 1:,}", "$foreground")))
    if status.state in ("queued", "starting") and status.message:  # where a scheduler has it, and why it waits
        parts.append(Content(one_line(status.message, 300)).stylize("$text-muted"))
    elif not status.over and (starts or record.step is None):
        phase = phase_now(record, status)
        begins = STAGES[BEGIN] if starts and record.step is not None else ""  # else its stages are listed below
        words = phase.message or phase.phase.replace("_", " ") if phase is not None else begins
        parts += [Content(one_line(words, 80)).stylize("$text-muted")] if words else []
    return Content("   ").join(parts)


def progress_bar(record: RunRecord, status: Status, width: int) -> Content:
    """A bar over the whole width with its percentage, in eighths of a cell."""
    total = record.total_steps or status.total
    step = record.step.step if record.step else status.step
    share = min(1.0, step / total) if total else 0.0
    text = f" {share:4.0%}"
    cells = max(0, width - len(text))
    eighths = round(share * cells * 8)
    full, rest = divmod(eighths, 8)
    partial = " ▏▎▍▌▋▊▉"[rest] if rest else ""
    glyph, _, color = LOOKS.get(status.state, ("", "", "$accent"))
    del glyph
    return Content.assemble(
        ("█" * full + partial, color), ("·" * (cells - full - len(partial)), "$border-blurred"), (text, "$foreground")
    )


def preference_rows(step: Step, evals: Sequence[Eval]) -> list[tuple[str, str, str]]:
    """What the newest step and evaluation show of preferences; empty where answers are learnt."""
    if step.reward_chosen is None and step.reward_rejected is None:
        return []
    held = evals[-1] if evals else None
    rows = []
    share = held.preference_accuracy if held else None
    if step.preference_accuracy is not None:
        note = f"held: {share:.0%}" if share is not None else "of pairs"
        rows.append(("in order", f"{step.preference_accuracy:.0%}", note))
    elif share is not None:  # KTO's, of held-out rows alone
        rows.append(("in order", f"{share:.0%}", "held: wanted first"))
    sides = [signed(one, 3) if one is not None else "–" for one in (step.reward_chosen, step.reward_rejected)]
    margin = signed(step.reward_margin, 3) if step.reward_margin is not None else "–"
    rows.append(("margin", margin, f"{sides[0]} over {sides[1]}"))
    for name, key, unit in (("KL", "kl", "nats"), ("log odds", "log_odds", "chosen over rejected")):
        value, told = getattr(step, key), getattr(held, key, None)
        if value is not None:
            rows.append((name, f"{value:.3f}", f"held: {told:.3f}" if told is not None else unit))
    return rows


PARTS_SHOWN = 3


def part_rows(event: Eval | None, shown: int = PARTS_SHOWN) -> list[tuple[str, str, str]]:
    """The held-out loss of each part of a mix, in `shown` lines at most; of more parts those that got worse first, and
    between which the others lie. In one line: the part that got worse, else the one with the highest loss.
    """
    parts = part_losses(event)
    if shown == 1 and len(parts) > 1:
        worst = max(
            parts, key=lambda one: (one.mark == MARKS["worse"], one.loss if one.loss is not None else -math.inf)
        )
        return [_part_row(worst, f"max of {len(parts)}")]
    most = shown if len(parts) <= shown else shown - 1
    first = sorted(parts, key=lambda one: one.mark != MARKS["worse"])[:most]
    rows = [_part_row(one) for one in parts if one in first]
    others = [one.loss for one in parts if one not in first and one.loss is not None]
    if others:
        rows.append((f" {len(parts) - most} others", loss_text(min(others)), f"to {loss_text(max(others))}"))
    return rows


def _part_row(part: PartLoss, otherwise: str = "") -> tuple[str, str, str]:
    moved = part.since.step if part.since is not None and part.mark else None
    note = otherwise if moved is None else f"{part.mark} since {moved}"
    return (f" {one_line(part.name, 11)}", loss_text(part.loss), note)


PEAK, PREDICTED = "peak memory", "predicted"


def facts(record: RunRecord, predicted_bytes: int | None, parts: int = PARTS_SHOWN) -> list[tuple[str, str, str]]:
    """The newest figures: name, value, and a note; names and values in their order on the screen. parts: lines that the
    parts of a mix take at most.
    """
    rows: list[tuple[str, str, str]] = []
    step = record.step or Step(type="step", time=0.0)
    rows.append(("loss", loss_text(record.last_loss), "last step"))
    rows.append(("smoothed", loss_text(record.smoothed_loss), "loss"))
    best = record.best_eval
    held = record.held_out
    newest = held[-1] if held and held[-1].step else None  # what it began with is no figure of the run
    note = f"best at {best.step}" if best else f"before {loss_text(held[-1].loss)}" if held and not newest else ""
    rows.append(("held out", loss_text(newest.loss if newest else None), note))
    rows += part_rows(newest, parts)
    if record.evals and (exact := exact_match_words(record.evals[-1])):
        rows.append(("exact match", exact, _of_all_held_out(record)))
    accuracy = step.token_accuracy
    rows.append(("accuracy", f"{accuracy:.1%}" if accuracy is not None else "–", "of tokens"))
    rows += preference_rows(step, record.evals)
    rows.append(
        (
            "learning rate",
            number_text(float(f"{step.learning_rate:.3g}")) if step.learning_rate is not None else "–",
            "",
        )
    )
    rows.append(("gradient norm", f"{step.grad_norm:.3g}" if step.grad_norm is not None else "–", ""))
    rows.append(("speed", f"{step.tokens_per_second:,.0f}" if step.tokens_per_second else "–", "tokens/s"))
    rows.append(("tokens", count(step.tokens) if step.tokens else "–", ""))
    of_predicted, of_it = _compared(record.memory_peak, predicted_bytes)
    rows.append((PEAK, size(record.memory_peak) if record.memory_peak else "–", of_predicted))
    rows.append((PREDICTED, size(predicted_bytes) if predicted_bytes else "–", of_it))
    if record.first_time and record.last_time > record.first_time:
        rows.append((IN_ALL, duration(record.worked_seconds), "with loading"))
    if record.paused_seconds >= 1:
        rows.append(("paused", duration(record.paused_seconds), ""))
    if record.checkpoints:
        rows.append(("checkpoint", f"step {record.checkpoints[-1].step}", ""))
    return rows


def _of_all_held_out(record: RunRecord) -> str:
    """How many rows are held out, where answers are generated for some of them alone; else the step."""
    newest = record.evals[-1]
    held_out = record.data.eval_examples if record.data is not None else newest.rows
    return f"of {held_out:,} held out" if held_out > newest.generated > 0 else f"step {newest.step}"


def _compared(measured: int, predicted: int | None) -> tuple[str, str]:
    """What the measured peak is to the predicted one: said of the measured, and of the predicted."""
    if not measured or not predicted:
        return "", ""
    if (above := measured - predicted) > 0:
        return f"{size(above)} above the predicted", f"peak {size(above)} above"
    return f"{measured / predicted:.0%} of the predicted", f"{measured / predicted:.0%} of it"


def finding_lines(followed: Followed, most: int = 2) -> list[Content]:
    """What is going on and what would mend it, the gravest first: the worker's own findings, then what the curves
    show.
    """
    lines: list[Content] = [_finding("warning", words, "") for words in followed.warnings]
    lines += fix_line(followed)
    for one in followed.shown:
        if one.by == "worker" or one.severity != "note" or not lines:
            lines.append(_finding(one.severity, one.message, one.advice))
    return lines[:most]


def fix_line(followed: Followed) -> list[Content]:
    """The last change of the plan and what came of it, in one line, with what stands of earlier ones that did not help;
    none where the plan is as it was.
    """
    record = followed.record
    fix, outcome = record.fix, record.outcome
    if fix is None:
        return []
    changed = one_line(fix_words(fix), 160)
    if outcome is None:
        glyph, color, told = "·", "$accent", ""
        words = in_force(record, followed.plan) if record.made_since_fix and fix.changes else fix.message
    else:
        glyph, color, told = ("✓", "$success", ": helped") if outcome.helped else ("✗", "$error", ": did not help")
        words = outcome.message
    line = Content.assemble((f"{glyph} {changed}{told}. ", color), (one_line(words, 200), "$foreground"))
    standing = still_standing(followed.plan, record.failed_fixes) if followed.plan is not None else []
    if standing and (outcome is None or outcome.helped):  # else its outcome says so
        line = line + Content.assemble((f" {one_line(standing_words(standing), 200)}", "$warning"))
    return [line]


def in_force(record: RunRecord, plan: Plan | None = None) -> str:
    """Where the run goes on with its changed plan, and the rate of its first step there."""
    step = record.made_since_fix
    if step is None:
        return "No step has been made with the changed plan yet."
    begun = f"The changed plan is in force since step {step.step}"
    if step.learning_rate is None:
        return f"{begun}."
    if plan is not None and step.step <= plan.training.warmup_steps:
        peak = number_text(float(f"{plan.training.learning_rate:.3g}"))
        return f"{begun}, warming up to learning rate {peak} by step {plan.training.warmup_steps + 1}."
    return f"{begun} at learning rate {number_text(float(f'{step.learning_rate:.3g}'))}."


def _finding(severity: str, message: str, advice: str) -> Content:
    glyph, color = {"error": ("✗", "$error"), "warning": ("▲", "$warning")}.get(severity, ("·", "$text-muted"))
    return Content.assemble(
        (f"{glyph} {one_line(message, 300)}", color), (f"  → {one_line(advice, 200)}" if advice else "", "$foreground")
    )


def finished_words(event: Finished, record: RunRecord) -> str:
    """How a finished run went, in one sentence: the figures are those of the weights that the result holds."""
    parts = [steps_words(event)]
    own = next((one for one in reversed(record.evals) if one.step == event.result_step), None)
    held_out = own.loss if own is not None else event.eval_loss
    loss = held_out if held_out is not None else event.loss
    if loss is not None:
        parts.append(f"{'held-out ' if held_out is not None else ''}loss {loss_text(loss)}")
    evals = [own] if own is not None else record.evals
    ordered = next((one.preference_accuracy for one in reversed(evals) if one.preference_accuracy is not None), None)
    if ordered is not None:
        parts.append(f"{ordered:.0%} of pairs in order")
    matched = next(filter(None, map(exact_match_words, reversed(evals))), "")
    if matched:
        parts.append(f"exact match {matched}")
    return ", ".join(parts) + result_words(event)
