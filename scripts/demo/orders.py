"""The demo's task: a sentence about an order becomes a JSON record. Its rows, and which are held out."""

# ruff: noqa: SIM905 (a text of words is easier to read and to extend than a list of them)

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from .pools import COLOURS, DAYS, FIRST_NAMES, ITEMS, LAST_NAMES, NUMBER_WORDS, number, pick, plural

SENTENCES = (
    "{who} ordered {goods} for {price} euros on {day}.",
    "On {day}, {who} bought {goods} for {price} euros.",
    "On {day} {who} paid {price} euros for {goods}.",
    "{who} would like {goods} on {day} and pays {price} euros.",
    "For {price} euros, {who} gets {goods} on {day}.",
    "Please send {goods} to {who} on {day}. The price is {price} euros.",
    "New order from {who}: {goods}, {price} euros, delivery on {day}.",
    "{who} called on {day} and ordered {goods} for {price} euros.",
    "Deliver {goods} on {day}. {who} pays {price} euros.",
    "The price is {price} euros: {goods} for {who}, due on {day}.",
)
HELD_OUT_FIRST_NAMES = frozenset("Alice Bruno Elena Hugo Lina Noah Sara Theo".split())
HELD_OUT_LAST_NAMES = frozenset("Adler Costa Hansen Kumar Novak Patel Stone Wong".split())
HELD_OUT_ITEMS = frozenset("candle guitar kettle mirror teapot umbrella".split())
TRAIN_ROWS, HELD_OUT_ROWS = 1600, 160
SEED = 2026


@dataclass(frozen=True)
class Order:
    """What one sentence says."""

    name: str
    item: str
    colour: str
    count: int
    price: int
    """In euros."""
    day: str

    def goods(self, spelled: bool) -> str:
        """E.g. `3 blue lamps`, or `three blue lamps` where `spelled`."""
        count = NUMBER_WORDS[self.count] if spelled and self.count < len(NUMBER_WORDS) else str(self.count)
        return f"{count} {self.colour} {self.item if self.count == 1 else plural(self.item)}"

    def sentence(self, template: str, spelled: bool = False) -> str:
        """The order in words."""
        return template.format(who=self.name, goods=self.goods(spelled), price=self.price, day=self.day)

    def record(self) -> str:
        """The order as the JSON text that the fine-tuned model is to answer."""
        return json.dumps(
            {"name": self.name, "item": self.item, "colour": self.colour, "count": self.count, "price": self.price,
             "day": self.day}, ensure_ascii=False)  # fmt: skip


def draw_order(rng: Random, first: Sequence[str], last: Sequence[str], items: Sequence[str]) -> Order:
    """A random order whose name and item come from the pools given."""
    count = 1 if rng.random() < 0.1 else number(rng, 2, 20)
    price = number(rng, 2, 99) if rng.random() < 0.6 else number(rng, 100, 999)
    name = f"{pick(rng, first)} {pick(rng, last)}"
    return Order(name, pick(rng, items), pick(rng, COLOURS), count, price, pick(rng, DAYS))


def draw_row(rng: Random, order: Order) -> dict[str, str]:
    """A row of the dataset: the order in words, and its record."""
    return {"prompt": order.sentence(pick(rng, SENTENCES), spelled=rng.random() < 0.25), "completion": order.record()}


def make_rows(seed: int = SEED) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The training rows and the held-out rows, always the same for one seed.

    No customer of a held-out row is a customer of a training row. In every second held-out row the first name, the
    last name and the item are words that no training row has at all.
    """
    rng = Random(seed)
    first = [name for name in FIRST_NAMES if name not in HELD_OUT_FIRST_NAMES]
    last = [name for name in LAST_NAMES if name not in HELD_OUT_LAST_NAMES]
    items = [item for item in ITEMS if item not in HELD_OUT_ITEMS]
    train = [draw_row(rng, draw_order(rng, first, last, items)) for _ in range(TRAIN_ROWS)]
    customers = {json.loads(row["completion"])["name"] for row in train}
    held_out: list[dict[str, str]] = []
    while len(held_out) < HELD_OUT_ROWS:
        if len(held_out) % 2:
            order = draw_order(rng, sorted(HELD_OUT_FIRST_NAMES), sorted(HELD_OUT_LAST_NAMES), sorted(HELD_OUT_ITEMS))
        else:
            order = draw_order(rng, first, last, items)
        if order.name not in customers:
            held_out.append(draw_row(rng, order))
    return train, held_out
