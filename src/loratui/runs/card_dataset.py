"""What a card says of the rows, and how names that come from outside stand in it."""

from __future__ import annotations

import re
from pathlib import PurePath

from loratui.core.plan import Plan
from loratui.format import printable
from loratui.paths import without_tilde
from loratui.runs.events import Data

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def hub_name(text: str) -> str:
    """A name of the hub, or "" for what is a local path, the demo, or no such name."""
    if text == "demo" or not HUB_NAME.fullmatch(text) or without_tilde(text).exists():
        return ""
    return text


def code(text: object) -> str:
    """Foreign text as inline code that no Markdown in it can leave."""
    shown = printable(text).replace("`", "ˋ").strip()
    return f"`{shown or ' '}`"


def short(text: str) -> str:
    """A hub name as it is; of a local path its last part alone: where a person keeps files is nobody's business."""
    return text if hub_name(text) or text == "demo" else PurePath(text).name or text


def hub_sets(plan: Plan) -> list[str]:
    """Names of the hub's datasets among the plan's."""
    paths = [part.path for part in plan.dataset.parts] or [plan.dataset.path]
    return sorted({name for path in paths if "/" in (name := hub_name(path))})


def dataset_rows(plan: Plan, data: Data | None) -> list[tuple[str, str]]:
    """The dataset, of a mix each part with what an epoch drew of it, as lines of the card's table."""
    section = plan.dataset
    if not section.parts:
        split = f", split {code(section.split)}" if hub_name(section.path) else ""
        return [("dataset", code(short(section.path)) + split)]
    told = {part.name: part for part in data.parts} if data is not None else {}
    rows = [("dataset", f"a mix of {len(section.parts)} parts")]
    for part in section.parts:
        split = f", split {code(part.split)}" if hub_name(part.path) else ""
        capped = "" if part.cap == "none" else f", at most {part.cap:,} rows"
        counts = ""
        if drawn := told.get(part.name):
            counts = f": {drawn.examples:,} an epoch, {drawn.tokens:,} tokens, {drawn.eval_examples:,} held out"
        words = f"{code(short(part.path))}{split}, weight {part.weight:g}{capped}{counts}"
        rows.append((f"part {code(part.name)}", words))
    return rows
