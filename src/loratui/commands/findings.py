"""`loratui runs findings`: what the monitor says of a run, with what would mend it and the command that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from loratui.commands.text import table
from loratui.format import loss_text, one_line, printable, sentence
from loratui.terminal import Styled, say, say_json

if TYPE_CHECKING:
    from loratui.runs.directory import Run
    from loratui.tui.training.follow import Followed

GLYPHS = {"error": ("✗", "red"), "warning": ("▲", "yellow")}


@click.command("findings")
@click.argument("run_name", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run_name: str, as_json: bool) -> None:
    """What the training screen would say of RUN, and what would mend it.

    Each change comes with the command that applies it; on the training screen (`loratui attach RUN`) key f does.
    Nothing is changed here.
    """
    from loratui.runs.listing import find_run

    run = find_run(run_name)
    found = findings(run)
    if as_json:
        say_json(found)
        return
    _print(found, run.typed)


def findings(run: Run) -> dict[str, Any]:
    """The object that `loratui runs findings --json` prints."""
    from loratui.runs.by_part import part_losses
    from loratui.tui.training.allowed import BY_NAME
    from loratui.tui.training.follow import Followed
    from loratui.tui.training.mending import applicable

    followed = Followed(run)
    followed.poll()
    while not followed.whole:
        followed.poll()
    held_out = followed.record.held_out
    return {
        "run": run.name,
        "path": str(run.place),
        "state": followed.status.state,
        "message": followed.status.message,
        "warnings": [*followed.warnings, *([followed.problem] if followed.problem else [])],
        "findings": [
            {"finding": one.kind, "severity": one.severity, "message": one.message, "step": one.step, "by": one.by}
            for one in followed.shown
        ],
        "step": held_out[-1].step if held_out else None,
        "parts": [one.document | {"words": one.words} for one in part_losses(held_out[-1] if held_out else None)],
        "fixes": [_as_json(followed, fix, way) for fix, way in applicable(followed)],
        "advice": _by_hand(followed),
        "key": BY_NAME["fix"].key,
    }


def _as_json(followed: Followed, fix: Any, way: Any) -> dict[str, Any]:
    from loratui.runs.follow import mending_command
    from loratui.tui.training.mending import start_words

    typed, start = followed.run.typed_anywhere, "anew" if way is None or fix.restart else way.start
    stop = "" if followed.status.over else f"loratui stop {typed} && "
    return {
        "change": fix.change,
        "against": fix.reason,
        "advice": fix.note,
        "sure": fix.sure,
        "start": start,
        "goes_on": start_words(way, not followed.status.over),
        "command": stop + mending_command(typed, fix.change, anew=start == "anew", weights=start == "adapter"),
    }


def _by_hand(followed: Followed) -> list[str]:
    """What only a person can do about what the curves show."""
    found = [fix.advice for seen in followed.to_the_point for fix in seen.fixes if not fix.changes]
    found += [
        str(way.get("advice", ""))
        for told in followed.record.findings
        for way in told.fixes
        if isinstance(way, dict) and not way.get("change")
    ]
    return [one for one in dict.fromkeys(found) if one]


def _print(found: dict[str, Any], typed: str) -> None:
    ended = f". {sentence(found['message'])}" if found["message"] else ""
    say(printable(f"run {found['run']}: {found['state']}{ended}"))
    for words in found["warnings"]:
        say(Styled("▲ ", "yellow"), printable(words))
    for one in found["findings"]:
        glyph, color = GLYPHS.get(one["severity"], ("·", ""))
        say(Styled(f"{glyph} ", color), printable(one["message"]))
    if not found["findings"] and not found["warnings"]:
        say("Nothing was found." if found["state"] == "finished" else "Nothing was found so far.")
    if found["parts"]:
        say(f"Held-out loss by part, {'at step ' + str(found['step']) if found['step'] else 'before the first step'}:")
        lines = [[f"  {one_line(one['part'], 40)}", loss_text(one["loss"]), one["words"]] for one in found["parts"]]
        say(table(lines, right=frozenset({1})))
    if found["fixes"]:
        say("What would mend it:")
    for one in found["fixes"]:
        say(printable(f"  {'' if one['sure'] else 'May help: '}{one['advice']} ({one['goes_on']})"))
        say(f"    {printable(one['command'])}")
    for words in found["advice"]:
        say(printable(f"  By hand: {words}"))
    if found["fixes"]:
        say(f"`loratui attach {typed}` offers them with {found['key']}.")
