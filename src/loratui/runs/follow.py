"""A run as printed lines: for `loratui train` and `attach` where there is no screen to draw on."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Iterator, Mapping
from typing import Any

from loratui.core.errors import LoratuiError
from loratui.format import duration, exact_text, one_line, printable, size
from loratui.runs.directory import Run
from loratui.runs.events import (
    Checkpoint,
    Data,
    Eval,
    Event,
    EventTail,
    Failed,
    Finding,
    Finished,
    Fix,
    FixOutcome,
    Oom,
    Paused,
    Phase,
    Rehearsal,
    Sample,
    Started,
    Step,
    Stopped,
    Submitted,
)
from loratui.runs.held_out import exact_match_words
from loratui.runs.history import end_of, last_start, since_last_start
from loratui.runs.recovery import allowed
from loratui.runs.stall import stall_words
from loratui.runs.times import ended_words
from loratui.runs.verdict import as_fields, spoilt_end, worse_than_base

LONG_BYTES = 1 << 20
"""Of a longer history about so much of the end is printed: thousands of steps."""
SHOWN_WAYS = 2
"""Ways to mend a failure that are printed: the first is the one that most surely helps."""


def follow_lines(run: Run, *, since: int = 0, step_seconds: float = 1.0, poll_seconds: float = 0.2) -> Iterator[str]:
    """Lines to print, until the run is over. Steps come at most once in `step_seconds`, all else at once.

    Of a long history the end is told, and that there is more. A run that stands still, and lines that cannot be read,
    are told of once.
    """
    begin = since or end_of(run.events_path, LONG_BYTES)
    told = _Told(step_seconds)
    if begin and not since:
        start = last_start(run.events_path)[1]
        if start is not None:
            yield from told.lines(start)
        yield f"({size(begin)} of earlier events are passed over; without --plain their curves are drawn)"
    tail = EventTail(run.events_path, offset=begin)
    stalled = said = False
    waiting = ""
    while True:
        status = run.status()
        if status.state in ("queued", "starting") and status.message not in ("", waiting):
            waiting = status.message  # where it waits or begins, and why, as that changes
            yield printable(f"{status.state}: {waiting}")
        for event in tail.stream():
            yield from told.lines(event)
        if tail.unreadable_lines and not said:
            said = True
            yield unreadable_words(tail.unreadable_lines)
        if status.over:
            break
        stall = stall_words(status)
        if stall and not stalled:
            yield from told.held()
            yield printable(f"warning: {stall}")
        stalled = bool(stall)
        time.sleep(poll_seconds)
    yield from told.held()
    if not told.ended and status.message:
        yield printable(f"{status.state}: {status.message}")


class _Told:
    """What was told of a run so far, and the lines that the next event adds."""

    def __init__(self, step_seconds: float) -> None:
        self._step_seconds = step_seconds
        self._last = -math.inf
        self._held: Step | None = None
        self._total = 0
        self.ended = False

    def lines(self, event: Event) -> Iterator[str]:
        """A step soon after the last one is held back. Where the clock was set back it is as good as the first."""
        if isinstance(event, Started):
            self._total = event.total_steps or self._total
        self.ended = isinstance(event, Finished | Stopped | Failed)
        if isinstance(event, Step):
            if 0 <= event.time - self._last < self._step_seconds:
                self._held = event
                return
            self._last, self._held = event.time, None
        yield from self.held()
        line = step_line(event, self._total) if isinstance(event, Step) else event_line(event)
        if line:
            yield printable(line)

    def held(self) -> Iterator[str]:
        """The last step, where it was held back."""
        if self._held is not None:
            yield step_line(self._held, self._total)
            self._held = None


def unreadable_words(lines: int) -> str:
    """That lines of events.jsonl were passed over; empty for none."""
    if not lines:
        return ""
    are = "1 line of events.jsonl is" if lines == 1 else f"{lines:,} lines of events.jsonl are"
    return f"{are} damaged and passed over: what they told is not shown."


def step_line(step: Step, total: int = 0) -> str:
    """One training step on one line."""
    of = f"/{total}" if total else ""
    parts = [f"step {step.step}{of}", f"loss {_number(step.loss, '.4f')}", f"rate {_number(step.learning_rate, '.2e')}"]
    if step.tokens_per_second:
        parts.append(f"{step.tokens_per_second:,.0f} tokens/s")
    if step.memory_peak:
        parts.append(f"{size(step.memory_peak)}")
    if step.eta is not None:
        parts.append(f"{duration(step.eta)} left")
    return "  ".join(parts)


def event_line(event: Event) -> str:
    """An event on one line for people; empty for one that says nothing to them."""
    match event:
        case Started():
            start = f"continued from {event.resumed_from} at step {event.step}" if event.resumed_from else "started"
            return (
                f"{start}: {event.total_steps} steps, {event.examples} rows, {event.parameters_trainable:,} trained "
                f"parameters, on {event.device}"
            )
        case Phase():
            return event.message
        case Data():
            parts = [
                (
                    f"{event.examples} rows to train on, {event.eval_examples} held out, {event.tokens:,} tokens "
                    f"({event.trained_tokens:,} learnt from)"
                )
            ]
            parts += [f"{part.name} {part.examples} and {part.eval_examples}" for part in event.parts]
            parts += [
                f"{count} {words}"
                for count, words in (
                    (event.cut, "cut to the maximum length"),
                    (event.without_answer, "left out: nothing to learn remained"),
                    (event.unusable, "unusable"),
                )
                if count
            ]
            return "; ".join(parts)
        case Rehearsal():
            return (
                f"rehearsal passed: peak {size(event.memory_peak)}, {_number(event.seconds_per_step, '.2f')} s a "
                f"step, longest row {event.longest_tokens} tokens"
            )
        case Eval():
            when = f"at step {event.step}" if event.step else "before the first step"
            parts = [f"evaluation {when}: loss {_number(event.loss, '.4f')}"]
            parts += [
                f"{name} {value:.3f}"
                for name, value in (
                    ("token accuracy", event.token_accuracy),
                    ("ROUGE-L", event.rouge_l),
                    ("pairs in order", event.preference_accuracy),
                    ("margin", event.reward_margin),
                    ("KL", event.kl),
                    ("log odds", event.log_odds),
                )
                if value is not None
            ]
            parts += [f"exact match {exact}"] if (exact := exact_match_words(event)) else []
            parts += [f"{name} {_number(loss, '.4f')}" for name, loss in event.loss_by_part.items()]
            return "  ".join(parts) + ("  (best so far)" if event.best else "")
        case Sample():
            prompt, answer = (one_line(" ".join(text.split()), 100) for text in (event.prompt, event.answer))
            return f"  {prompt} → {answer}"
        case Checkpoint():
            return f"saved {event.path}"
        case Finding():
            return f"{event.severity}: {event.message}"
        case Fix():
            return f"{fix_words(event)}. {event.message}"
        case FixOutcome():
            return f"the change {'helped' if event.helped else 'did not help'}: {event.message}"
        case Oom():
            return f"out of memory ({event.where}): {event.message}"
        case Failed():
            return f"failed: {event.message}"
        case Submitted():
            return f"job {event.job} waits in partition {event.partition}" + (
                f", at step {event.step}" * bool(event.step)
            )
        case Paused():
            where = f" on {event.nodes}" if event.nodes else ""
            return f"saved at step {event.step}{where}, and goes on in the next job: {event.reason}"
        case Stopped():
            return f"stopped at step {event.step}" + (f": {event.reason}" if event.reason else "")
        case Finished():
            return f"finished: {ended_words(event)}; the result is in {event.result}{result_words(event)}"
    return ""


def result_words(event: Finished) -> str:
    """Whose weights the result holds, where they are not those of the last step."""
    if event.result_step in (0, event.step):
        return ""
    return f", with the weights of step {event.result_step:,}, whose evaluation was best"


def mending_lines(run: Run) -> list[str]:
    """After a failure: the first ways to mend it, each with its command, and where else they are offered."""
    found: list[dict[str, Any]] = []
    for event in since_last_start(run.events_path):
        match event:
            case Started() | Fix():
                found = []
            case Finding() | Oom() if event.fixes:
                found = event.fixes
    if not found:
        found = _after_the_end(run)
    lines = []
    for way in [one for one in found if one.get("change") and isinstance(one["change"], dict)][:SHOWN_WAYS]:
        lines += [
            printable(f"  {way.get('advice') or way.get('cost') or ''}".rstrip()),
            f"    {mending_command(run.typed, way['change'], anew=bool(way.get('restart')))}",
        ]
    if not lines:
        return []
    unattended = (
        "--auto-recover was on, and leaves it to you"
        if allowed(run)
        else "with --auto-recover the first is applied unattended"
    )
    return ["What would mend it:", *lines, f"`loratui attach {run.typed}` offers them all with f; {unattended}."]


def mending_command(typed: str, change: Mapping[str, Any], *, anew: bool = False, weights: bool = False) -> str:
    """What one types to change these keys of a run that is over, and go on. typed: what one types for the run."""
    settings = "".join(f" --set {shlex.quote(f'{key}={_set(value)}')}" for key, value in change.items())
    return f"loratui resume {typed}{settings}{' --anew' if anew else ' --from-weights' if weights else ''}"


def _after_the_end(run: Run) -> list[dict[str, Any]]:
    """The ways after an end that its worker did not judge."""
    try:
        status = run.status()
        spoilt = spoilt_end(run, run.plan()) if status.state == "finished" else None
        found = spoilt[0] if spoilt else worse_than_base(run, status)
    except LoratuiError:
        return []
    return [as_fields(fix) for fix in found.fixes] if found else []


def _set(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return exact_text(value) if isinstance(value, float) else str(value)


def fix_words(event: Fix) -> str:
    """`changed unattended: training.learning_rate 0.9 → 0.0026`."""
    changes = ", ".join(f"{key} {old} → {new}" for key, (old, new) in event.changes.items())
    if not changes:
        return "started anew, by the plan as it is" if event.start == "anew" else "changed: nothing in the plan"
    return f"changed{' unattended' if event.by == 'auto' else ''}: {changes}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
