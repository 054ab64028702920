"""What is said where there are no rows: the ways to a dataset."""

from __future__ import annotations

from textual.content import Content

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


def ways_to_a_dataset(why: str) -> Content:
    """What a person can do where there are no rows. why: in front of it; empty where it is said elsewhere."""
    ways = [
        Content.assemble((f"  {key}", "bold $footer-key-foreground"), (f"   {words}", "$foreground"))
        for key, words in EMPTY
    ]
    head = [Content(f"{why}\n")] if why else []
    return Content("\n").join([*head, *ways, Content(f"\n{UNDERSTOOD}").stylize("$text-muted")])
