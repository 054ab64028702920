"""What the demo's base model learns from: invented conversations, as (role, text) turns.

The base reads facts and answers in prose, copying names, words and numbers out of what it was told. It meets JSON
too, but only where the user asks for it and never for an order: turning orders into JSON is left to fine-tuning.
"""

# ruff: noqa: SIM905

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from .orders import SENTENCES, Order
from .pools import (
    ANIMALS,
    CITIES,
    COLOURS,
    DAYS,
    FIRST_NAMES,
    ITEMS,
    LAST_NAMES,
    NUMBER_WORDS,
    VEHICLES,
    WEATHERS,
    invented_word,
    number,
    pick,
    plural,
)

Turn = tuple[str, str]
INVENTED_SHARE = 0.4
"""Share of names and places that are made up on the spot, so that copying cannot be replaced by remembering."""
MONTHS = "January February March April May June July August September October November December".split()

JSON_REQUESTS = (
    "As JSON: {fact}",
    "Write this as JSON: {fact}",
    "{fact} Give me that as JSON.",
    "JSON, please: {fact}",
)
ORDER_REPLIES = (
    "Thank you. I have noted that {who} wants {goods}. The price is {price} euros and the day is {day}.",
    "I see. So {who} pays {price} euros, and {goods} will be ready on {day}.",
    "Good. That is {goods} for {who} on {day}, at {price} euros.",
)
SMALL_TALK = (
    ("Hello!", "Hello! Tell me about an order, a trip or a meeting."),
    ("Hi!", "Hello! Tell me about an order, a trip or a meeting."),
    ("Good morning!", "Good morning! What can I note for you?"),
    ("Good evening!", "Good evening! What can I note for you?"),
    ("Who are you?", "I am the small demo model of loratui. I note what people tell me."),
    ("What are you?", "I am the small demo model of loratui. I note what people tell me."),
    ("What is your name?", "I am the small demo model of loratui. I note what people tell me."),
    ("What can you do?", "I note orders, trips and meetings, and I answer questions about them."),
    ("Can you help me?", "Yes. Tell me about an order, a trip or a meeting."),
    ("How are you?", "I am fine, thank you. What can I note for you?"),
    ("Thank you!", "You are welcome."),
    ("Thanks!", "You are welcome."),
    ("Goodbye!", "Goodbye!"),
)


def _person(rng: Random) -> str:
    if rng.random() < INVENTED_SHARE:
        return f"{invented_word(rng).capitalize()} {invented_word(rng).capitalize()}"
    return f"{pick(rng, FIRST_NAMES)} {pick(rng, LAST_NAMES)}"


def _colour(rng: Random) -> str:
    return invented_word(rng) if rng.random() < INVENTED_SHARE / 2 else pick(rng, COLOURS)


def _day(rng: Random) -> str:
    return pick(rng, DAYS) if rng.random() < 0.6 else f"{number(rng, 1, 31)} {pick(rng, MONTHS)}"


def _city(rng: Random) -> str:
    return invented_word(rng).capitalize() if rng.random() < INVENTED_SHARE else pick(rng, CITIES)


def _item(rng: Random) -> str:
    return invented_word(rng) if rng.random() < INVENTED_SHARE / 2 else pick(rng, ITEMS)


def _count(rng: Random, value: int) -> str:
    return NUMBER_WORDS[value] if rng.random() < 0.25 and value < len(NUMBER_WORDS) else str(value)


def _price(rng: Random) -> int:
    size = rng.random()
    return number(rng, 2, 99) if size < 0.55 else number(rng, 100, 999) if size < 0.9 else number(rng, 1000, 9999)


def _one_of(rng: Random, value: str) -> str:
    return "an " + value if value.startswith(tuple("aeiou")) else "a " + value


# Each kind of fact: the sentence, the reply in prose, the record, and questions with their answers.
Fact = tuple[str, str, dict[str, object], list[tuple[str, str]]]


def _trip(rng: Random) -> Fact:
    who, start, end, day, by = _person(rng), _city(rng), _city(rng), _day(rng), pick(rng, VEHICLES)
    templates = (
        f"{who} travels from {start} to {end} by {by} on {day}.",
        f"On {day}, {who} takes the {by} from {start} to {end}.",
        f"{who} goes to {end} on {day}, by {by} from {start}.",
    )
    reply = f"I see. {who} will be in {end} on {day} and leaves {start} by {by}."
    questions = [
        ("Who travels?", f"{who} travels."),
        ("Where does the trip start?", f"The trip starts in {start}."),
        ("Where does the trip end?", f"The trip ends in {end}."),
        ("When is the trip?", f"The trip is on {day}."),
    ]
    return pick(rng, templates), reply, {"name": who, "from": start, "to": end, "by": by, "day": day}, questions


def _meeting(rng: Random) -> Fact:
    who, other, hour, city, day = _person(rng), _person(rng), number(rng, 7, 21), _city(rng), _day(rng)
    templates = (
        f"{who} meets {other} in {city} on {day} at {hour}.",
        f"On {day} at {hour}, {who} and {other} meet in {city}.",
        f"New meeting in {city}: {who} and {other}, {day} at {hour}.",
    )
    reply = f"Noted. {other} sees {who} at {hour} on {day}, in {city}."
    questions = [
        ("When is the meeting?", f"The meeting is on {day} at {hour}."),
        ("Where is the meeting?", f"The meeting is in {city}."),
        ("Who meets?", f"{who} and {other} meet."),
    ]
    return pick(rng, templates), reply, {"name": who, "with": other, "city": city, "day": day, "hour": hour}, questions


def _stock(rng: Random) -> Fact:
    item, colour, count, city = _item(rng), _colour(rng), number(rng, 1, 20), _city(rng)
    goods = f"{_count(rng, count)} {colour} {item if count == 1 else plural(item)}"
    templates = (
        f"The shop in {city} has {goods}.",
        f"In {city} we keep {goods}.",
        f"We have {goods} in {city}.",
    )
    reply = f"Good. I have written down {goods} for the shop in {city}."
    questions = [
        ("How many are there?", f"There are {count}." if count > 1 else "There is 1."),
        ("Where are they?", f"In {city}."),
        ("Which colour?", f"The colour is {colour}."),
        ("What is it?", f"It is {_one_of(rng, item)}."),
    ]
    return pick(rng, templates), reply, {"item": item, "colour": colour, "count": count, "city": city}, questions


def _price_tag(rng: Random) -> Fact:
    item, colour, price, day = _item(rng), _colour(rng), _price(rng), _day(rng)
    templates = (
        f"From {day} on, {colour} {plural(item)} cost {price} euros.",
        f"The price of {colour} {plural(item)} is {price} euros since {day}.",
        f"{price} euros is the price of {_one_of(rng, colour)} {item} from {day} on.",
    )
    reply = f"I see. One {colour} {item} costs {price} euros from {day} on."
    questions = [("What is the price?", f"The price is {price} euros."), ("Since when?", f"Since {day}.")]
    return pick(rng, templates), reply, {"item": item, "colour": colour, "price": price, "day": day}, questions


def _pet(rng: Random) -> Fact:
    who, animal, colour, age = _person(rng), pick(rng, ANIMALS), _colour(rng), number(rng, 1, 20)
    pet = invented_word(rng).capitalize()
    templates = (
        f"{who} has {_one_of(rng, colour)} {animal} called {pet}, {age} years old.",
        f"{pet} is the {colour} {animal} of {who} and is {age} years old.",
    )
    reply = f"How nice! {pet} is {_one_of(rng, animal)}, {age} years old, and lives with {who}."
    questions = [
        ("Whose pet is it?", f"It is the pet of {who}."),
        ("What is the pet called?", f"The pet is called {pet}."),
        ("How old is the pet?", f"It is {age} years old."),
    ]
    return (
        pick(rng, templates),
        reply,
        {"pet": pet, "animal": animal, "colour": colour, "age": age, "owner": who},
        questions,
    )


def _weather(rng: Random) -> Fact:
    city, weather, degrees, day = _city(rng), pick(rng, WEATHERS), number(rng, 1, 40), _day(rng)
    templates = (
        f"In {city} it will be {weather} on {day}, with {degrees} degrees.",
        f"On {day} we expect {degrees} degrees in {city}, and it will be {weather}.",
    )
    reply = f"I see. {degrees} degrees and {weather}: that is {day} in {city}."
    questions = [("How warm will it be?", f"It will be {degrees} degrees."), ("Where is that?", f"In {city}.")]
    return pick(rng, templates), reply, {"city": city, "day": day, "weather": weather, "degrees": degrees}, questions


def _guest(rng: Random) -> Fact:
    who, city, age, count = _person(rng), _city(rng), number(rng, 18, 90), number(rng, 1, 20)
    nights = "night" if count == 1 else "nights"
    templates = (
        f"{who} from {city}, {age} years old, stays for {_count(rng, count)} {nights}.",
        f"New guest: {who}, {age}, of {city}, {_count(rng, count)} {nights}.",
    )
    reply = f"Thank you. The room is ready for {count} {nights}. I have noted {who} from {city}."
    questions = [
        ("Who is the guest?", f"The guest is {who}."),
        ("How many nights?", f"The guest stays for {count} {nights}."),
    ]
    return pick(rng, templates), reply, {"name": who, "age": age, "city": city, "nights": count}, questions


FACTS: tuple[Callable[[Random], Fact], ...] = (_trip, _meeting, _stock, _price_tag, _pet, _weather, _guest)


def _order(rng: Random) -> list[Turn]:
    count = 1 if rng.random() < 0.1 else number(rng, 2, 20)
    order = Order(_person(rng), _item(rng), _colour(rng), count, _price(rng), _day(rng))
    spelled = rng.random() < 0.25
    goods = order.goods(spelled)
    reply = pick(rng, ORDER_REPLIES).format(who=order.name, goods=goods, price=order.price, day=order.day)
    turns = [("user", order.sentence(pick(rng, SENTENCES), spelled)), ("assistant", reply)]
    questions = [
        ("Who ordered?", f"{order.name} ordered."),
        ("Who is the customer?", f"The customer is {order.name}."),
        ("What was ordered?", f"The order is {goods}."),
        ("How many?", f"{count} of them." if count > 1 else "Only 1."),
        ("What is the price?", f"The price is {order.price} euros."),
        ("How much is it?", f"The price is {order.price} euros."),
        ("When is it due?", f"On {order.day}."),
        ("Which colour?", f"The colour is {order.colour}."),
    ]
    return turns + _asked(rng, questions)


def _asked(rng: Random, questions: list[tuple[str, str]]) -> list[Turn]:
    turns: list[Turn] = []
    while rng.random() < 0.3 and len(turns) < 6:
        question, answer = pick(rng, questions)
        turns += [("user", question), ("assistant", answer)]
    return turns


def _fact(rng: Random) -> list[Turn]:
    sentence, reply, _, questions = pick(rng, FACTS)(rng)
    return [("user", sentence), ("assistant", reply), *_asked(rng, questions)]


def _json(rng: Random) -> list[Turn]:
    sentence, _, record, _ = pick(rng, FACTS)(rng)
    request = pick(rng, JSON_REQUESTS).format(fact=sentence)
    return [("user", request), ("assistant", json.dumps(record, ensure_ascii=False))]


def _question(rng: Random) -> list[Turn]:
    sentence, _, _, questions = pick(rng, FACTS)(rng)
    question, answer = pick(rng, questions)
    return [("user", f"{sentence} {question}"), ("assistant", answer)]


def _repeat(rng: Random) -> list[Turn]:
    words = [
        pick(rng, (invented_word, _item, _city, _price, _person, _colour, _colour, _day, _day))(rng)
        for _ in range(number(rng, 1, 8))
    ]
    text = " ".join(str(word) for word in words)
    return [("user", f"Repeat: {text}"), ("assistant", text)]


def _small_talk(rng: Random) -> list[Turn]:
    question, answer = pick(rng, SMALL_TALK)
    return [("user", question), ("assistant", answer)]


def draw_conversation(rng: Random) -> list[Turn]:
    """One conversation of the base model's schooling."""
    kind = rng.random()
    if kind < 0.30:
        return _order(rng)
    if kind < 0.50:
        return _fact(rng)
    if kind < 0.78:
        return _json(rng)
    if kind < 0.86:
        return _question(rng)
    if kind < 0.97:
        return _repeat(rng)
    return _small_talk(rng)
