"""The figures of each row: its answers beside the written one, by the libraries of the field where there are any.

A measure's figures are an array [rows, columns]; a row that it does not apply to holds NaN.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np

from loratui.core.errors import InputError
from loratui.evaluation.measures import CORPUS, HEALTH, ROUGE, MissingLibraryError, Numbers, sacrebleu_metric

REPEATED_SHARE = 0.5
"""An answer repeats itself where more than this share of its pieces was there before."""
ROUGE_WORDS = {"rouge1": 1, "rouge2": 2, "rougeL": 1}
"""Words that a written answer must have for each."""
PIECE_WORDS, PIECE_CHARACTERS, FEWEST_PIECES = 4, 12, 12


@dataclass(frozen=True, slots=True)
class Item:
    """One row that is asked. row: its number in the file, from 0. choices: answers to choose from, of which `right` is
    the right one, from 0. written: whether there is something written whose likelihood can be told. part: of a mix,
    whose row it is.
    """

    row: int
    asked: str
    expected: str = ""
    written: bool = False
    choices: tuple[str, ...] = ()
    right: int = -1
    part: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """One answer to a row. tokens: of the answer, its stop token included."""

    text: str
    ended_by: str
    tokens: int


@dataclass(slots=True)
class Outcome:
    """What a model made of a row. likelihood: of the written answer: negative log-likelihood in nats, its tokens, and
    how many of them were the likeliest. choices: log-likelihood of each in nats.
    """

    answers: list[Given] = field(default_factory=list)
    likelihood: tuple[float, int, int] | None = None
    choices: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Rules:
    """How answers are judged. extract: a pattern; its first group (or all of it) in the answer must equal that in the
    written one. pattern: what every answer must match. tries: K of each pass@K.
    """

    extract: str = ""
    pattern: str = ""
    tries: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for option, text in (("--extract", self.extract), ("--pattern", self.pattern)):
            try:
                re.compile(text)
            except re.error as error:
                raise InputError(f"this is no regular expression: {error}.", where=option) from None

    def right(self, answer: str, item: Item) -> bool:
        """Whether an answer is right: by `extract` where it is given, else by `pattern`, else by equality."""
        if self.extract:
            return _extracted(self.extract, answer, item.expected) == 1
        if self.pattern and not item.expected:
            return re.search(self.pattern, answer) is not None
        return exact_match(answer, item.expected) == 1


def exact_match(answer: str, expected: str) -> float:
    """1 where they are equal, white space at the ends aside."""
    return float(answer.strip() == expected.strip())


def applicable(items: Sequence[Item], rules: Rules) -> list[str]:
    """Measures of answers that these rows allow, in the order in which they are shown."""
    names = []
    if rules.extract:
        names.append("extracted")
    if any(item.expected for item in items):
        names.append("exact_match")
        if sum(parsed_json(item.expected) is not None for item in items) * 2 > len(items):
            names += ["json_valid", "json_fields"]
        names += [*ROUGE, *CORPUS]
    if rules.pattern:
        names.append("pattern")
    return [*(f"pass@{tries}" for tries in rules.tries), *names, *HEALTH]


def figures(
    names: Sequence[str], items: Sequence[Item], outcomes: Sequence[Outcome], rules: Rules
) -> dict[str, Numbers]:
    """The figures of every row by measure. MissingLibraryError where a measure's library is not installed."""
    return {name: _figures(name, items, outcomes, rules) for name in names}


def missing_library(name: str) -> str:
    """Why a measure cannot be computed here; "" where it can."""
    try:
        if name in ROUGE:
            _rouge()
        elif name in CORPUS:
            sacrebleu_metric(name)
    except MissingLibraryError as error:
        return error.sentence
    return ""


def _figures(name: str, items: Sequence[Item], outcomes: Sequence[Outcome], rules: Rules) -> Numbers:
    if name == "loss" or name == "perplexity":
        return _rows([one.likelihood[:2] if one.likelihood else None for one in outcomes], 2)
    if name == "token_accuracy":
        return _rows([(one.likelihood[2], one.likelihood[1]) if one.likelihood else None for one in outcomes], 2)
    if name in ("choice", "choice_by_length"):
        return _rows([_choice(name, *pair) for pair in zip(items, outcomes, strict=True)], 2)
    if name.startswith("pass@"):
        tries = int(name.removeprefix("pass@"))
        return _rows([_pass_at(tries, *pair, rules) for pair in zip(items, outcomes, strict=True)], 2)
    if name in CORPUS:
        return _corpus(name, items, outcomes)
    judge = _judges(rules)[name]
    found: list[tuple[float, float] | None] = []
    for item, outcome in zip(items, outcomes, strict=True):
        values = [value for answer in outcome.answers if (value := judge(answer, item)) is not None]
        found.append((sum(values) / len(values), 1.0) if values else None)
    return _rows(found, 2)


def _rows(found: Sequence[Sequence[float] | None], columns: int) -> Numbers:
    return np.array([[math.nan] * columns if row is None else list(row) for row in found], dtype=np.float64).reshape(
        -1, columns
    )


Judge = Callable[[Given, Item], float | None]


def _judges(rules: Rules) -> Mapping[str, Judge]:
    def wanting(judge: Callable[[str, str], float | None]) -> Judge:
        return lambda given, item: judge(given.text, item.expected) if item.expected else None

    return {
        "exact_match": wanting(exact_match),
        "extracted": wanting(lambda answer, expected: _extracted(rules.extract, answer, expected)),
        "pattern": lambda given, item: float(re.search(rules.pattern, given.text) is not None),
        "json_valid": wanting(
            lambda answer, expected: None if parsed_json(expected) is None else float(parsed_json(answer) is not None)
        ),
        "json_fields": wanting(_json_fields),
        **{name: wanting(partial(_rouge_where_it_applies, name)) for name in ROUGE},
        "empty": lambda given, item: float(not given.text.strip()),
        "unfinished": lambda given, item: float(given.ended_by != "stop token"),
        "repeats": lambda given, item: float(repeats(given.text)),
        "tokens": lambda given, item: float(given.tokens),
    }


def _extracted(pattern: str, answer: str, expected: str) -> float | None:
    """None where the written answer does not match: then there is nothing to compare with."""
    wanted, found = _last_group(pattern, expected), _last_group(pattern, answer)
    return None if wanted is None else float(found == wanted)


def _last_group(pattern: str, text: str) -> str | None:
    """The last match: answers think before they conclude. Commas within numbers do not count."""
    last = None
    for match in re.finditer(pattern, text):
        last = next((group for group in match.groups() if group is not None), match.group())
    return None if last is None else re.sub(r"(?<=\d),(?=\d{3})", "", last.strip()).rstrip(".")


def parsed_json(text: str) -> Any:
    """A JSON object or list; None for anything else."""
    try:
        value = json.loads(text.strip())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _json_fields(answer: str, expected: str) -> float | None:
    """Equal fields among all fields of either; nested ones by their path. None where the written answer is no JSON."""
    wanted = parsed_json(expected)
    if wanted is None:
        return None
    given = parsed_json(answer)
    if given is None:
        return 0.0
    wants, gives = dict(_leaves(wanted)), dict(_leaves(given))
    every = wants.keys() | gives.keys()
    equal = sum(name in wants and name in gives and _same(wants[name], gives[name]) for name in every)
    return equal / len(every) if every else 1.0


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Any:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not isinstance(value, dict | list) or not value:
        yield path, value
    for name, part in parts:
        yield from _leaves(part, (*path, name))


@lru_cache(maxsize=1)
def _rouge() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise MissingLibraryError(
            "ROUGE needs the library rouge-score, which is not installed.",
            hint="pip install rouge-score, or choose others with --metrics.",
        ) from None
    return RougeScorer(list(ROUGE), use_stemmer=False)


def rouge(name: str, answer: str, expected: str) -> float:
    """The F-measure (0..1) of Google's rouge_score, without stemming. MissingLibraryError where it is not there."""
    return float(_all_rouge(expected, answer)[name].fmeasure)


def _rouge_where_it_applies(name: str, answer: str, expected: str) -> float | None:
    """None where the written answer has too few words: no answer could then have more than 0."""
    words = len(_rouge()._tokenizer.tokenize(expected))
    return rouge(name, answer, expected) if words >= ROUGE_WORDS[name] else None


@lru_cache(maxsize=4096)
def _all_rouge(expected: str, answer: str) -> Any:
    return _rouge().score(expected, answer)


def _corpus(name: str, items: Sequence[Item], outcomes: Sequence[Outcome]) -> Numbers:
    """sacrebleu's own counts of each row, whose sums make the score of the whole."""
    metric: Any = sacrebleu_metric(name)
    answers = [one.text for outcome in outcomes for one in outcome.answers]
    written = [item.expected for item, outcome in zip(items, outcomes, strict=True) for _ in outcome.answers]
    if not answers or not corpus_applies(name, items):
        return _rows([None] * len(items), 1)
    counts = iter(np.array(metric._extract_corpus_statistics(answers, [written]), dtype=np.float64))
    found: list[Numbers | None] = []
    for item, outcome in zip(items, outcomes, strict=True):
        mine = [next(counts) for _ in outcome.answers]
        found.append(np.sum(mine, axis=0) if mine and item.expected else None)
    columns = next((len(one) for one in found if one is not None), 1)
    return _rows([None if one is None else one.tolist() for one in found], columns)


def corpus_applies(name: str, items: Sequence[Item]) -> bool:
    """Whether the figure of these rows can be more than 0: BLEU needs four words or signs in a row, in one of the
    written answers at least. MissingLibraryError where sacrebleu is not installed.
    """
    if name != "bleu":
        return True
    metric = sacrebleu_metric(name)
    return any(len(metric._preprocess_segment(item.expected).split()) >= metric.max_ngram_order for item in items)


def _choice(name: str, item: Item, outcome: Outcome) -> tuple[float, float] | None:
    if outcome.choices is None or item.right < 0:
        return None
    lengths = [max(1, len(one.encode())) for one in item.choices]
    values = [
        value / length if name == "choice_by_length" else value
        for value, length in zip(outcome.choices, lengths, strict=True)
    ]
    return float(values.index(max(values)) == item.right), 1.0


def _pass_at(tries: int, item: Item, outcome: Outcome, rules: Rules) -> tuple[float, float] | None:
    """The unbiased estimate of Chen et al. 2021 (2107.03374): the chance that one of `tries` answers is right."""
    count = len(outcome.answers)
    if count < tries or not (item.expected or rules.pattern):
        return None
    right = sum(rules.right(one.text, item) for one in outcome.answers)
    return 1 - math.comb(count - right, tries) / math.comb(count, tries), 1.0


def repeats(text: str) -> bool:
    """Whether an answer runs in circles: most of its pieces (4 words; 12 characters where there are few words) were
    there before."""
    words = text.split()
    if len(words) >= FEWEST_PIECES + PIECE_WORDS:
        pieces = [tuple(words[at : at + PIECE_WORDS]) for at in range(len(words) - PIECE_WORDS + 1)]
        return 1 - len(set(pieces)) / len(pieces) > REPEATED_SHARE
    parts = [text[at : at + PIECE_CHARACTERS] for at in range(max(0, len(text) - PIECE_CHARACTERS + 1))]
    return len(parts) >= FEWEST_PIECES and 1 - len(set(parts)) / len(parts) > REPEATED_SHARE
