"""What is said where there are no rows: the ways to a dataset."""

from __future__ import annotations

from textual.content import Content

from loratui.tui.common.text import wrapped

AT_ONCE = "      Or just type it: / ~ . or a letter that is no key here begins it."
EMPTY = (
    ("o", "opens a file or folder: JSON, JSONL, CSV, TSV, Parquet, Arrow,\n      text, also compressed"),
    ("i", f"writes a path or the id of a hub dataset above; enter takes it.\n{AT_ONCE}"),
    ("d", "takes the demo: 1,600 orders and the record that each becomes"),
)
"""The ways to a dataset: key, and what it does."""
UNDERSTOOD = (
    "Understood are prompt and completion (question and answer, …),\n"
    "instruction/input/output, messages, plain text; and preferences: pairs of\n"
    "chosen and rejected (DPO, ORPO), or answers with a label (KTO).\n"
    "Several at once (a mix): take the first, then + adds the others."
)


EXAMPLES = (
    ("prompt and completion", '{"question": "Which planet is the largest?", "answer": "Jupiter."}'),
    ("instructions", '{"instruction": "Put it into French.", "input": "Good morning", "output": "Bonjour"}'),
    (
        "conversations",
        '{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello! How are you?"}]}',
    ),
    ("plain text", '{"text": "The river is low in August, and the mill stands still."}'),
    (
        "preferences, in pairs (DPO, ORPO)",
        '{"prompt": "Is it late?", "chosen": "It is nine in the evening.", "rejected": "Who knows."}',
    ),
    (
        "preferences, with labels (KTO)",
        '{"prompt": "Is it late?", "completion": "It is nine in the evening.", "label": true}',
    ),
    (
        "calls of tools",
        '{"messages": [{"role": "user", "content": "Rain in Oslo?"}, {"role": "assistant", "content": "", '
        '"tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}]}]}',
    ),
    ("ready token ids", '{"input_ids": [15, 8, 102, 7], "labels": [-100, -100, 102, 7]}'),
)
"""What is understood, with a line of a JSONL file of each; a header and columns of these names do in a table."""
TWO_COLUMNS = 150
"""Columns from which on examples stand beside the ways."""
WAYS_CELLS = 80
LEAST_HEIGHT = 6
"""Lines under which the ways are told in one sentence."""
IN_SHORT = "o opens a file or a folder, i writes a path (or just type it), d takes the demo."


def ways_to_a_dataset(why: str, width: int = 0, height: int = 0) -> Content:
    """What a person can do where there are no rows; beside it, where a screen is wide and high, what rows look like.

    why: in front of it; empty where it is said elsewhere. width, height: columns and lines of it.
    """
    ways = _ways(why)
    if 0 < height < LEAST_HEIGHT:
        return Content(f"{why} {IN_SHORT}".strip())
    if width < TWO_COLUMNS:
        return ways
    examples = _examples(width - WAYS_CELLS, height)
    left = ways.split("\n", allow_blank=True)
    lines = []
    for number in range(max(len(left), len(examples))):
        one = left[number] if number < len(left) else Content("")
        other = examples[number] if number < len(examples) else Content("")
        lines.append(Content.assemble(one, " " * (WAYS_CELLS - one.cell_length), other))
    return Content("\n").join(lines)


def _examples(width: int, height: int) -> list[Content]:
    """As many examples as there is room for."""
    lines = [Content("Rows look like this, a line each in JSONL:")]
    for name, row in EXAMPLES:
        told = [line.stylize("$text-muted") for line in wrapped(Content(row), width)]
        if len(lines) + 2 + len(told) > height:
            break
        lines += [Content(""), Content(name).stylize("bold"), *told]
    return lines


def _ways(why: str) -> Content:
    ways = [
        Content.assemble((f"  {key}", "bold $footer-key-foreground"), (f"   {words}", "$foreground"))
        for key, words in EMPTY
    ]
    head = [Content(f"{why}\n")] if why else []
    return Content("\n").join([*head, *ways, Content(f"\n{UNDERSTOOD}").stylize("$text-muted")])
