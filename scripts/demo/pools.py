"""The words that the demo's sentences are made of, and how one of them is drawn.

Draws use `random.Random.random` alone: it is the one function of that module whose sequence is promised never to
change for a given seed, so the shipped rows can be made again by any later Python.
"""

# ruff: noqa: SIM905 (a text of words is easier to read and to extend than a list of them)

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

FIRST_NAMES = (
    "Ada Adam Alice Amir Ana Anna Anton Ben Bruno Carla Clara Dana David Diego Elena Emil Emma Erik Eva Farah Felix "
    "Finn Greta Hana Hugo Ida Ines Ivan Jan Jonas Julia Karim Kofi Lara Lea Leo Lina Lucas Luisa Marco Maria Marta "
    "Max Maya Mia Milan Nadia Nils Nina Noah Nora Olga Omar Oscar Paul Pia Rosa Ruth Samir Sara Simon Sofia Stella "
    "Tara Theo Tim Tom Vera Victor Yara Yusuf Zoe"
).split()
LAST_NAMES = (
    "Abbas Adler Alvarez Bauer Becker Berg Blake Brandt Brown Carter Chen Costa Cruz Demir Diaz Dubois Evans Fischer "
    "Fox Garcia Green Haas Hall Hansen Hill Ito Jensen Kaya Keller Khan Kim Klein Koch Kovac Kumar Lang Larsen Lopez "
    "Marino Martin Meier Mensah Moreau Moore Nagy Novak Okafor Olsen Park Patel Perez Petrov Reed Rossi Roy Russo "
    "Sato Schmidt Silva Singh Smith Stone Suzuki Tanaka Torres Vogel Walker Weber West White Wolf Wong Wood Young"
).split()
COLOURS = "red blue green yellow black white grey brown orange pink purple silver".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
CITIES = (
    "Accra Athens Berlin Bern Bogota Cairo Delhi Dublin Geneva Hanoi Kyoto Lagos Lima Lisbon London Lyon Madrid Milan "
    "Munich Nairobi Oslo Paris Porto Prague Quito Riga Rome Seoul Sofia Tokyo Tunis Turin Vienna Warsaw Zurich"
).split()
ANIMALS = "cat dog horse rabbit parrot pony turtle hamster goat duck".split()
VEHICLES = "train bus car plane ship bike".split()
WEATHERS = "sunny cloudy rainy windy snowy foggy".split()
PLURALS = {
    "bag": "bags", "ball": "balls", "basket": "baskets", "belt": "belts", "bench": "benches", "blanket": "blankets",
    "book": "books", "bottle": "bottles", "bowl": "bowls", "box": "boxes", "brush": "brushes", "bucket": "buckets",
    "candle": "candles", "cap": "caps", "chair": "chairs", "clock": "clocks", "coat": "coats", "cup": "cups",
    "curtain": "curtains", "cushion": "cushions", "desk": "desks", "dress": "dresses", "drum": "drums", "fan": "fans",
    "glass": "glasses", "guitar": "guitars", "hammer": "hammers", "hat": "hats", "helmet": "helmets",
    "jacket": "jackets", "jar": "jars", "kettle": "kettles", "kite": "kites", "ladder": "ladders", "lamp": "lamps",
    "lantern": "lanterns", "mirror": "mirrors", "mug": "mugs", "notebook": "notebooks", "pan": "pans", "pen": "pens",
    "pencil": "pencils", "phone": "phones", "pillow": "pillows", "plate": "plates", "radio": "radios", "ring": "rings",
    "rope": "ropes", "rug": "rugs", "scarf": "scarves", "shelf": "shelves", "shirt": "shirts", "shoe": "shoes",
    "sofa": "sofas", "spoon": "spoons", "stool": "stools", "suitcase": "suitcases", "table": "tables",
    "teapot": "teapots", "tent": "tents", "towel": "towels", "toy": "toys", "tray": "trays", "umbrella": "umbrellas",
    "vase": "vases", "watch": "watches",
}  # fmt: skip
ITEMS = list(PLURALS)
NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()

_STARTS = "b br c ch d dr f fl g gr h j k kl l m n p pr r s sh st t tr v w y z".split()
_VOWELS = "a e i o u a e i o ai ea oo".split()
_ENDS = ["", "", "n", "r", "l", "s", "k", "t", "m", "nd", "rt", "x"]


def pick(rng: Random, choices: Sequence[T]) -> T:
    """One of `choices`, each as likely as the others."""
    return choices[int(rng.random() * len(choices))]


def number(rng: Random, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(rng.random() * (high - low + 1))


def invented_word(rng: Random) -> str:
    """A pronounceable word of one to three syllables: copying it cannot be done by heart."""
    return "".join(pick(rng, _STARTS) + pick(rng, _VOWELS) for _ in range(number(rng, 1, 3))) + pick(rng, _ENDS)


def plural(item: str) -> str:
    """The plural of an item, of the pool or invented."""
    if item in PLURALS:
        return PLURALS[item]
    return item + ("es" if item.endswith(("s", "x")) else "s")
