"""A mix is evaluated by part: each part's figures are those of its rows alone, with intervals of their own."""

from __future__ import annotations

from loratui.evaluation.report import Side, document, table
from loratui.evaluation.scoring import Given, Item, Outcome, Rules

NAMES = ["exact_match", "loss"]


def items(parts: tuple[str, ...]) -> list[Item]:
    return [Item(number, f"ask {number}", "yes", True, part=part) for number, part in enumerate(parts)]


def side(name: str, right: list[bool], losses: list[float]) -> Side:
    return Side(
        name,
        name,
        [
            Outcome([Given("yes" if good else "no", "stop token", 2)], (loss * 4, 4, 2))
            for good, loss in zip(right, losses, strict=True)
        ],
    )


PARTS = ("orders",) * 20 + ("chats",) * 12
BASE = side("base", [False] * 32, [3.0] * 20 + [2.0 + number / 100 for number in range(12)])
MINE = side("run", [True] * 20 + [False] * 12, [1.0] * 20 + [2.5 + number / 100 for number in range(12)])


def test_each_parts_figures_are_those_of_its_rows_alone() -> None:
    found = document([BASE, MINE], items(PARTS), NAMES, Rules())
    for part in ("orders", "chats"):
        at = [number for number, name in enumerate(PARTS) if name == part]
        own = [Side(one.name, one.title, [one.outcomes[number] for number in at]) for one in (BASE, MINE)]
        alone = document(own, [items(PARTS)[number] for number in at], NAMES, Rules())
        (told,) = [one for one in found["parts"] if one["part"] == part]
        assert told["rows"] == len(at)
        assert (told["sides"], told["differences"]) == (alone["sides"], alone["differences"])
    told = {(one["part"], line["measure"]): line["told"] for one in found["parts"] for line in one["differences"]}
    assert told[("orders", "loss")] == "better" and told[("chats", "loss")] == "worse"


def test_the_table_names_the_parts_with_their_intervals() -> None:
    found = document([BASE, MINE], items(PARTS), NAMES, Rules())
    lines = table(found, width=80)
    start = lines.index("run, by part:")
    assert "orders, 20 rows" in lines[start + 1] and "chats, 12 rows" in lines[start + 1]
    (exact,) = [line for line in lines[start : start + 5] if line.startswith("exact match")]
    assert "100.0 % (83.9 to 100.0)" in exact and "0.0 % (0.0 to 24.2)" in exact
    assert any(line.startswith("  chats, beside base: loss worse by 0.500") for line in lines)
    assert all(len(line) <= 80 or line.startswith("  ") for line in lines)


def test_rows_of_one_part_have_no_table_of_their_own() -> None:
    found = document([BASE, MINE], items(("",) * 32), NAMES, Rules())
    assert found["parts"] == [] and not any("by part" in line.lower() for line in table(found, width=80))


def test_a_part_of_one_row_is_counted_as_one() -> None:
    parts = ("orders",) * 31 + ("chats",)
    text = "\n".join(table(document([BASE, MINE], items(parts), NAMES, Rules()), width=80))
    assert "chats, 1 row" in text and "chats, 1 rows" not in text
