"""What is told of a run in words: how it ended, what was found, what would mend it, the newest sample."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from loratui.format import one_line, sentence
from loratui.paths import home_short
from loratui.runs.directory import step_of
from loratui.runs.events import Failed, Finished, Sample, Stopped
from loratui.runs.stop_note import SCHEDULER
from loratui.tui.common.text import wrap
from loratui.tui.frame.step import TALL
from loratui.tui.keys import RUN
from loratui.tui.training.follow import Followed
from loratui.tui.training.run_state import finding_lines, finished_words, fix_line, spoilt
from loratui.tui.wizard.draft import STEPS

MARGIN = 4
"""Columns beside the lines."""
SPARED_ROWS = 18
"""What a low screen needs for all but the news: its curves have a few rows then."""
HOME = ("^r", "Home")
"""A key with what it does."""
MAKES = "merges, exports or serves it"
RECIPE = str(STEPS.index("recipe") + 1)
"""The key of the recipe, which keeps the plan of the draft's run."""
ANOTHER = ("changes a value for the next", "changes a value")
"""What one does there, and that in fewer words."""


def rows_for_news(height: int, *, wide: bool) -> tuple[int, int, int]:
    """Rows below the curves of a screen of so many: the fewest, the most, and how many are filled where there are
    samples enough. On a low screen what is not needed is the curves'.
    """
    if height >= TALL:
        return 2, 8, 6 if wide else 2
    most = max(2, min(6, height - SPARED_ROWS))
    return 0, most, min(3, most)


def news(followed: Followed, width: int, rows: int = 3, most: int = 6, *, drafted: bool = False) -> list[Content]:
    """The lines below the curves, for a screen of so many columns that has so many rows for them, and at most `most`.
    drafted: the wizard's draft chooses what this run was started with.
    """
    record, status = followed.record, followed.status
    if followed.gone:
        return _gone_lines(followed, drafted)
    lines: list[Content] = []
    onward = ""
    ended = record.ended if status.over else None
    if followed.problem:
        lines.append(Content(f"✗ {one_line(followed.problem, 300)}").stylize("$error"))
    if isinstance(ended, Finished) and (ruin := spoilt(followed)):
        lines += [Content(f"✗ {one_line(ruin.message, 300)}").stylize("$error"), *fix_line(followed)]
        key = ("f", "bold $footer-key-foreground")
        lines.append(Content.assemble("  Its result is worth nothing.  ", key, " shows what would mend it"))
        return lines
    if isinstance(ended, Finished):
        words, ways = finished_words(ended, record), _ways_of(followed, width, drafted=drafted)
        if rows_of([Content(f"✓ {words}."), Content(f"  {ways.plain}")], width) > rows:
            ways = _keyed((RUN["ask"], "asks it"))
        whole = f"Finished: {words}"
        shown = whole if len(whole) + len(ways) + 5 <= width - MARGIN else words  # that it has finished stands above
        lines.append(Content.assemble(("✓ ", "$success"), (f"{shown}.  ", "$foreground"), ways))
        onward = ways.plain
        if status.message:
            lines.append(Content(f"· It ended early: {one_line(status.message, 300)}.").stylize("$text-muted"))
    elif isinstance(ended, Stopped):
        ways = _going_on(followed, ended)
        lines.append(Content.assemble(("■ ", "$warning"), f"{_stopped_words(ended)}.  ", ways))
        onward = ways.plain
    elif status.state == "stopped" and status.message:  # it waited, or scancel ended it: no worker could say it
        ways = _going_on(followed, None)
        lines.append(Content.assemble(("■ ", "$warning"), f"{sentence(one_line(status.message, 400))}  ", ways))
        onward = ways.plain
    elif status.state in ("failed", "lost"):
        said = ended.message if isinstance(ended, Failed) else status.message
        lines.append(Content(f"✗ {one_line(said or 'The worker is gone and left no word.', 400)}").stylize("$error"))
        last = followed.run.last_checkpoint()  # those that were set aside as spoilt are none
        onward = f"{RUN['resume']} {f'resumes from step {step_of(last):,}' if last else 'starts it again'}"
        lines.append(
            Content(
                f"  {RUN['log']} shows the log ({one_line(home_short(followed.run.log_path), 90)})  {onward}"
            ).stylize("$text-muted")
        )
    if followed.trial is not None:
        lines.append(Content(f"◆ {one_line(followed.trial.words, 400)}"))
    told = {line.plain for line in lines}
    lines += [line for line in finding_lines(followed) if line.plain not in told]
    if record.samples and len(lines) < 2:
        newest = [sample for sample in record.samples if sample.step == record.samples[-1].step]
        for number, line in enumerate(map(_sample_line, newest)):
            if rows_of([*lines, line], width) > rows if number else rows_of(lines, width) >= most:
                break  # the first may be cut, but cuts nothing that is told before it
            lines.append(line)
    return [part for line in lines for part in _unbroken(line, onward, width)]


def _unbroken(line: Content, onward: str, width: int) -> list[Content]:
    """The line; where it would be cut inside `onward`, a key with what it does, that stands below it."""
    if not onward or not line.plain.endswith(onward) or wrap(line.plain, max(20, width - MARGIN))[-1].endswith(onward):
        return [line]
    said = len(line) - len(onward)
    return [line[:said].rstrip(), Content.assemble("  ", line[said:])]


def _gone_lines(followed: Followed, drafted: bool) -> list[Content]:
    """What is left of a run without a folder."""
    said = one_line(followed.status.message or f"There is no directory {followed.run.path} any more.", 400)
    review = ("5", "bold $footer-key-foreground")
    left = (
        Content.assemble("  The draft still has its plan: ", review, " reviews it, and starts it anew.")
        if drafted
        else Content("  Nothing of it can be gone on with; the curves are what was read before.").stylize("$text-muted")
    )
    return [Content(f"✗ {said}").stylize("$error"), left]


def _keyed(*ways: tuple[str, str]) -> Content:
    """Keys with what they do."""
    return Content("   ").join(Content.assemble((key, "bold $footer-key-foreground"), f" {does}") for key, does in ways)


def _ways_of(followed: Followed, width: int, *, drafted: bool) -> Content:
    """The ways on from a finished run; of the draft's own also how another is trained with another value."""
    whole = followed.plan is not None and followed.plan.method.kind == "full"
    ask, makes = (RUN["ask"], "asks it"), (RUN["take_away"], "exports or serves it" if whole else MAKES)
    if not drafted:
        return _keyed(ask, makes, HOME)
    ways = [_keyed(ask, makes, (RECIPE, changes), HOME) for changes in ANOTHER]
    return next((one for one in ways if len(one) + 2 <= width - MARGIN), ways[-1])


def _stopped_words(ended: Stopped) -> str:
    """Who stopped it where, and what was saved."""
    saved = f", saved as {one_line(ended.checkpoint, 40)}" if ended.checkpoint else ""
    where = f"at step {ended.step:,}" if ended.step else "before its first step"
    reason = one_line(ended.reason, 120)
    if ended.by == SCHEDULER:
        return f"Stopped {where}{saved} ({reason})"
    told = reason if ended.by else "stopped"
    return f"{told[:1].upper()}{told[1:]} {where}{saved}"


def _going_on(followed: Followed, ended: Stopped | None) -> Content:
    """The keys by which one goes on from a stopped run; of a trial that is still being compared the experiment does it.
    ended: what its worker said; None where none could.
    """
    trial = followed.trial
    if trial is not None and trial.open:
        return Content("")
    told = ended is not None and bool(ended.checkpoint)
    last = None if told else followed.run.last_checkpoint()  # of an earlier worker
    place = "there" if told else f"step {step_of(last):,}" if last else ""
    onward = f"resumes from {place}" if trial is None else f"trains it to the end from {place}"
    return _keyed((RUN["resume"], onward if place else "starts it again"), HOME)


def _sample_line(sample: Sample) -> Content:
    return Content.assemble(
        (f"step {sample.step}  ", "$text-muted"),
        (one_line(sample.prompt, 60), "$text-muted"),
        " → ",
        (one_line(sample.answer, 200), "$foreground"),
    )


def rows_of(lines: Sequence[Content], width: int) -> int:
    """How many rows these lines take in whole sentences."""
    return sum(len(wrap(line.plain, max(20, width - MARGIN))) for line in lines)


def fitted(lines: Sequence[Content], width: int, rows: int) -> Content:
    """As much of the lines as so many rows hold: each begins, and the last ones are cut first."""
    room, left = max(20, width - MARGIN), rows
    shown: list[Content] = []
    for number, line in enumerate(lines[:rows]):
        most = max(1, left - (min(len(lines), rows) - number - 1))
        needed = rows_of([line], width)
        if needed > most:  # what a line of whole words loses at its end is not known: so much fits in any case
            whole = sum(len(row) + 1 for row in wrap(line.plain, room)[:most]) - 1
            line, needed = line[: max(1, whole - 2)] + Content(" …"), most
        left -= needed
        shown.append(line)
    return Content("\n").join(shown)
