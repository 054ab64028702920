"""Every table of the guides this project started from, by the field whose explanation shows it.

`tables_for("lora.r")` is what the explanation of a field shows; `tables_for("generation")` belongs to the playground.
"""

from __future__ import annotations

from functools import cache

from loratui.core.knowledge import adapter, learning_rate, memory, problems, training
from loratui.core.knowledge.table import Table

TABLES: tuple[Table, ...] = (
    *adapter.TABLES,
    *learning_rate.TABLES,
    *training.TABLES,
    *memory.TABLES,
    *problems.PROBLEMS,
    *problems.GENERATION,
)


@cache
def tables_for(key: str) -> tuple[Table, ...]:
    """The tables that belong to a dotted plan key, or to "generation"; empty where the guides say nothing."""
    return tuple(table for table in TABLES if key in table.keys)
