"""The guides' tables: whole, reachable from a field, and each row where its number belongs."""

from __future__ import annotations

from itertools import pairwise

import pytest

from loratui.core.knowledge.guides import TABLES, tables_for
from loratui.core.knowledge.table import Table, laid_out
from loratui.core.plan_text import fields


def test_tables_are_rectangular_sourced_and_reachable() -> None:
    assert len(TABLES) > 80
    broken = [table.title for table in TABLES if not is_whole(table)]
    assert not broken


def is_whole(table: Table) -> bool:
    limits, named = list(table.limits), list(table.named)
    one_a_row = (len(limits) == len(table.rows) - 1) if limits else len(named) == len(table.rows)
    apart = all(low <= high for low, high in named) and all(low[1] < high[0] for low, high in pairwise(named))
    return bool(
        table.rows
        and table.title
        and table.source
        and all(len(row) == len(table.columns) for row in table.rows)
        and table.keys
        and all((key in fields() or key == "generation") and table in tables_for(key) for key in table.keys)
        and (one_a_row and limits == sorted(limits) and apart if table.measure else not limits and not named)
    )


def test_all_five_guides_are_there() -> None:
    sources = " ".join(table.source for table in TABLES)
    for word in ("calculations", "quick start", "Configuration guide", "Qwen", "Theory page"):
        assert word in sources


@pytest.mark.parametrize(
    ("key", "source", "examples", "row"),
    [
        ("lora.dropout", "quick start", 99, "below 100"),
        ("lora.dropout", "quick start", 100, "100-1,000"),
        ("lora.dropout", "Qwen", 5_000, "above 1,000"),
        ("training.epochs", "Configuration", 50_001, "above 50,000"),
        ("training.epochs", "quick start", 600, "500-5,000"),
        ("training.accumulation", "quick start", 10, "below 500"),
    ],
)
def test_the_row_of_a_dataset(key: str, source: str, examples: int, row: str) -> None:
    table = next(table for table in tables_for(key) if source in table.source and table.measure == "examples")
    number = table.row_of(examples)
    assert number is not None and table.rows[number][0] == row


@pytest.mark.parametrize(
    ("key", "measure", "value", "rows"),
    [
        ("lora.r", "rank", 64, {"64", "32-64", "64 and more"}),
        ("lora.r", "rank", 32, {"32", "32-64"}),
        ("lora.r", "rank", 12, set()),
        ("lora.r", "rank", 128, {"64 and more"}),
        ("training.learning_rate", "parameters", 8_190_735_360, {"7B"}),
        ("training.learning_rate", "parameters", 596_049_920, set()),
        ("training.batch_size", "memory_bytes", 24 * 2**30, {"24 GB"}),
        ("training.batch_size", "memory_bytes", 180 * 10**9, set()),
    ],
)
def test_a_row_is_marked_only_where_it_names_the_value(key: str, measure: str, value: float, rows: set[str]) -> None:
    tables = [table for table in tables_for(key) if table.measure == measure]
    places = [(table, table.row_of(value)) for table in tables]
    assert tables and {table.rows[place][0] for table, place in places if place is not None} == rows


def test_rows_that_are_no_ranges_have_no_number() -> None:
    assert tables_for("training.scheduler")[0].row_of(3) is None


def test_the_guides_that_contradict_each_other_say_so() -> None:
    assert all(
        "contradict" in table.evidence or "Biderman" in table.evidence or table.source.startswith("Hyperparameter")
        for table in tables_for("lora.dropout")
        if table.measure
    )


def test_fields_of_the_everyday_have_tables() -> None:
    for key in (
        "method.kind",
        "lora.r",
        "lora.alpha",
        "lora.dropout",
        "lora.targets",
        "training.learning_rate",
        "training.batch_size",
        "training.accumulation",
        "training.epochs",
        "training.max_length",
        "training.warmup_steps",
        "training.scheduler",
        "training.weight_decay",
        "training.beta1",
        "training.beta2",
        "training.epsilon",
        "training.max_grad_norm",
        "training.precision",
        "training.checkpointing",
        "method.quantization",
        "evaluation.patience",
    ):
        assert tables_for(key), key
    assert tables_for("training.seed") == ()


@pytest.mark.parametrize("width", [50, 60, 77, 97, 200])
def test_a_table_stays_a_table_whatever_the_width(width: int) -> None:
    """Long cells are wrapped within their column: nothing is lost, no line is too long, and columns stand under their
    heads.
    """
    for table in TABLES:
        assert_a_table(table, width)


def assert_a_table(table: Table, width: int) -> None:
    rows = (table.columns, *table.rows)
    laid = laid_out(rows, width)
    assert len(laid) == len(rows) and all(len(line) <= width for lines in laid for line in lines)
    for row, lines in zip(rows, laid, strict=True):
        assert sorted("".join(lines).replace("·", "").replace(" ", "")) == sorted(
            "".join(row).replace("·", "").replace(" ", "")
        )
    if width >= 77:
        starts = [laid[0][0].index(head) for head in table.columns if head and laid[0][0].count(head) == 1]
        assert starts == sorted(starts)
        for lines in laid[1:]:
            assert all(start == 0 or line[start - 1 : start] in ("", " ") for line in lines for start in starts), (
                "columns do not collapse"
            )
