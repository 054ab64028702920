"""What the making of a thing says while it lasts and at its end, and what would be sent, as lines for the screen."""

from __future__ import annotations

from textual.content import Content

from loratui.format import duration, harmless, one_line, size
from loratui.hub.push import Destination, Parcel
from loratui.tui.common.text import in_column
from loratui.tui.take_away.outputs import Output
from loratui.workers.command import CommandProcess, Exported, GgufFile, Made, Merged, Sent

LABEL_CELLS = 9


def passing(passed: float, usual: float | None) -> str:
    """For how long a making has gone on, and what it took the last time, where that is known. Both in seconds."""
    if usual is None:
        return duration(passed)
    if passed < usual:
        return f"{duration(passed)} of about {duration(usual)}"
    return f"{duration(passed)}, the last time {duration(usual)}"


def outcome(output: Output, process: CommandProcess) -> Content:
    """What came of it, in a sentence: the truth, whichever it is."""
    if process.stopped and output.key == "serve":
        return Content("■ The server was stopped.").stylize("$warning")
    if process.ended is not None and process.ended.status == 0:
        made = process.made(output.makes) if output.makes is not None else None
        words = _made(made) if made is not None else process.last or "Done."
        changed = made.base_changed if isinstance(made, Merged) else ""
        warning = Content(f"▲ {one_line(changed, 600)}\n" if changed else "").stylize("$warning")
        return Content.assemble(warning, Content(f"✓ {one_line(words, 900)}").stylize("$success"))
    if process.stopped:
        return Content("■ Stopped. Nothing of it was kept.").stylize("$warning")
    assert process.ended is not None  # it died otherwise, and that was said
    said = process.ended.problem or f"It ended with status {process.ended.status} and said nothing."
    return Content(f"✗ {one_line(said, 900)}").stylize("$error")


def _made(made: Made) -> str:
    match made:
        case Merged():
            return "Merged, and proved: it answers as the adapter does."
        case Sent():
            return f"Sent: {made.commit}"
        case GgufFile():
            return " ".join(filter(None, (f"Written: {size(made.size_bytes)}.", made.proof)))
        case Exported():
            left = f" ({made.unusable} rows could not be used and are left out.)" if made.unusable else ""
            return f"Written. In its folder, start it with: {made.run}{left}"


def what_is_sent(parcel: Parcel, to: Destination) -> str:
    """Everything that a person should know before files leave this machine."""
    kind = "a new private repository" if to.private is None else "your private repository, which gets one more commit"
    files = ", ".join(parcel.files)
    lines = [
        f"{len(parcel.files)} files ({size(parcel.size_bytes)}) go to {to.url}, {kind}, as {to.account}.",
        "",
        files,
    ]
    return "\n".join([*lines, *(f"\n▲ {doubt}" for doubt in parcel.doubts)])


def labelled(label: str, text: str, width: int) -> list[Content]:
    """A label, and the text beside it in a column of its own."""
    first, *rest = in_column(label, harmless(text), width, LABEL_CELLS)
    return [Content.assemble((first[:LABEL_CELLS], "$text-muted"), first[LABEL_CELLS:]), *map(Content, rest)]
