"""Every reading that a sample of rows allows, by names and contents: the most telling first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loratui.data.column_names import (
    COMPLETIONS,
    CONTEXTS,
    HISTORIES,
    INPUTS,
    INSTRUCTIONS,
    MESSAGES,
    PAIRS,
    PROMPTS,
    QUESTIONS_ABOUT,
    SCORE_PARTS,
    SCORES,
    SYSTEMS,
    TEXTS,
    TOKENS,
    TOOLS,
)
from loratui.data.flags import HELD_OUT_NAMES, LABELS, MEDIA, SPLITS, TRAINING_NAMES, WEIGHTS, truth, verdict
from loratui.data.recognise_survey import SAMPLE_ROWS, Column, nested, pick, plain
from loratui.data.recognition import Recognition
from loratui.data.transcripts import is_transcript

CONTENT = ("text", "object", "list", "messages", "number")
ASKED = ("text", "object", "list", "messages", "number")
COMPLETIONS_TRIED = 4
LABELLED = ("prompt-completion", "instruction", "messages")
"""Formats whose answers may be called good or bad."""
MOSTLY = 0.9
"""Share of the filled cells that make a column one of labels; the others are faults, and said by line."""
LANGUAGE_CODES = (
    "am ar bg bn ca cs da de el en es et fa fi fr gu ha he hi hr hu ig it ja ka kk km kn ko lo lt lv ml mn mr ms my nb "
    "ne nl no pa pl ps pt ro ru rw si sk sl sn so sq sr sv sw ta te th tl tn tr uk ur uz vi wo xh yo zh zu "
    "ara deu eng fra hin ita jpn kor por rus spa swa zho"
)
"""Codes of languages (ISO 639) that translations are most often named by."""

Values = Sequence[Mapping[str, Any]]
Found = Mapping[str, Column]


def readings(found: Found, values: Values) -> Iterator[Recognition]:
    """Readings, the most telling first; of one format there may be several."""
    flags = _flags(found, values)
    label = _label(found, values)
    for reading in _all(found, values):
        allowed = {
            part: column
            for part, column in flags.items()
            if column not in reading.columns.values() and (part != "label" or reading.format not in ("text", "tokens"))
        }
        verdict = label if label not in reading.columns.values() and reading.format in LABELLED else ""
        yield Recognition(reading.format, {**reading.columns, **allowed}, reading.why, reading.guess, verdict=verdict)


def _all(found: Found, values: Values) -> Iterator[Recognition]:
    if ids := pick(found, TOKENS, ("tokens", "list")):
        labels = pick(found, ("labels",), ("tokens", "list"))
        yield Recognition(
            "tokens", {"input_ids": ids} | ({"labels": labels} if labels else {}), f"the column {ids} holds token ids"
        )
    yield from _preferences(found, values)
    yield from _conversations(found, values)
    yield from _instructions(found)
    yield from _pairs(found)
    below = {**found, **nested(values)}
    if len(below) > len(found):
        yield from _nested(found, below, values)
    yield from _translations(found, below)
    if text := pick(found, TEXTS, ("text",)):
        label = pick(found, ("label", "sentiment"), ("text",))
        if label and label != text:
            yield Recognition(
                "prompt-completion",
                {"prompt": text, "completion": label},
                f"the column {label} says what {text} is, and is learnt as the answer",
                guess=True,
            )
        code = pick(found, ("code", "canonical_solution"), ("text",))
        if code and code != text:
            yield Recognition(
                "prompt-completion",
                {"prompt": text, "completion": code},
                f"the column {code} may be the answer to {text}",
                guess=True,
            )
        yield Recognition("text", {"text": text}, f"the column {text} holds text", guess=plain(text) != "text")


def _extras(found: Found, *parts: str) -> dict[str, str]:
    names = {"system": SYSTEMS, "history": HISTORIES, "tools": TOOLS}
    kinds = {"system": ("text",), "history": ("list", "messages"), "tools": ("list", "text", "messages")}
    return {part: name for part in parts if (name := pick(found, names[part], kinds[part], least=0.01))}


def _preferences(found: Found, values: Values) -> Iterator[Recognition]:
    for good, bad in PAIRS:
        chosen, rejected = pick(found, (good,)), pick(found, (bad,))
        if not chosen or not rejected:
            continue
        prompt = pick(found, ("prompt", "question", "instruction", "query", "input", *MESSAGES), ASKED)
        asked = _with_input(found, prompt) if prompt else ""
        several = found[rejected].kinds["list"] > found[rejected].kinds["messages"]
        yield Recognition(
            "preference",
            ({"prompt": asked} if asked else {})
            | {"chosen": f"{chosen}.*" if found[chosen].kind == "list" else chosen}
            | {"rejected": f"{rejected}.*" if several else rejected}
            | _scores(found, several=several)
            | _extras(found, "system", "tools"),
            f"the columns {chosen} and {rejected} hold preferences"
            + (f", and each answer of {rejected} makes a pair" if several else ""),
            guess=True,
        )
        return
    yield from _rankings(found, values)


def _scores(found: Found, *, several: bool) -> dict[str, str]:
    """What the rows themselves say of how good the two sides are; of several rejected answers no one score can be."""
    for names in SCORES:
        columns = [pick(found, (name,), ("number",), least=MOSTLY) for name in names]
        if all(columns) and not several:
            return dict(zip(SCORE_PARTS, columns, strict=True))
    return {}


def _rankings(found: Found, values: Values) -> Iterator[Recognition]:
    """LLaMA-Factory's ranking: several answers to one prompt, the best first."""
    output = pick(found, ("output",), ("list",))
    prompt = pick(found, ("instruction", "prompt", "question", "query"), ASKED)
    if output and prompt and _share(values, output, _is_ranking) >= MOSTLY:
        yield Recognition(
            "preference",
            {"prompt": _with_input(found, prompt), "chosen": f"{output}.0", "rejected": f"{output}.1+"}
            | _extras(found, "system", "tools"),
            f"{output} holds several answers: the first is taken for the best, and each of the others makes a pair "
            "with it",
            guess=True,
        )


def _is_ranking(cell: Any) -> bool:
    return isinstance(cell, list) and len(cell) > 1 and all(isinstance(one, str) for one in cell)


def _with_input(found: Found, prompt: str) -> str:
    """An instruction with the input that it is about, as one prompt."""
    extra = pick(found, ("input", "context"), ("text",), least=0.01) if plain(prompt) in INSTRUCTIONS else ""
    return f"{{{prompt}}}\n\n{{{extra}}}" if extra and extra != prompt else prompt


def _conversations(found: Found, values: Values) -> Iterator[Recognition]:
    named = pick(found, MESSAGES, ("messages", "list"))
    taken = (named, "chosen", "rejected", "prompt", "completion", "tools", "functions")
    others = [
        name
        for name, column in found.items()
        if column.kind == "messages" and column.share >= 0.5 and name not in taken
    ]
    for name in ([named] if named else []) + others:
        why = f"the column {name} holds " + ("conversations" if name == named else "lists of turns with roles")
        yield Recognition("messages", {"messages": name} | _extras(found, "system", "tools"), why, guess=name != named)
    written = pick(found, MESSAGES, ("text",))
    if written and _share(values, written, lambda cell: isinstance(cell, str) and is_transcript(cell)) > 0.8:
        yield Recognition(
            "messages",
            {"messages": written} | _extras(found, "system", "tools"),
            f"the column {written} holds conversations as text, with names before the turns",
        )


def _instructions(found: Found) -> Iterator[Recognition]:
    """Instruction and answer, once for each column that could be the answer: the trial chooses."""
    instruction = pick(found, INSTRUCTIONS, ("text",))
    answers = _answers(found)
    for output in sorted(answers, key=lambda name: plain(name) != "output"):
        if not instruction or output == instruction:
            continue
        rest = {name: column for name, column in found.items() if name not in (instruction, *answers)}
        extra = pick(rest, INPUTS, CONTENT, least=0.0)
        yield Recognition(
            "instruction",
            {"instruction": instruction}
            | ({"input": extra} if extra else {})
            | {"output": output}
            | _extras(found, "system", "history", "tools"),
            f"the columns {instruction} and {output} are an instruction and its answer",
        )


def _answers(found: Found) -> list[str]:
    """Columns that could be the answer, the usual names first."""
    named: list[str] = []
    for name in COMPLETIONS:
        column = pick({key: one for key, one in found.items() if key not in named}, (name,), CONTENT)
        if column:
            named.append(column)
    return named[:COMPLETIONS_TRIED]


def _pairs(found: Found) -> Iterator[Recognition]:
    """Question and answer, once for each column that could be the answer: the trial chooses."""
    answers = _answers(found)
    for completion in answers:
        rest = {name: column for name, column in found.items() if name != completion}
        prompt = pick(rest, (*PROMPTS, *MESSAGES), ASKED)
        if not prompt or prompt in answers[: answers.index(completion)]:
            continue
        usual = plain(prompt) in PROMPTS[:8] and plain(completion) in COMPLETIONS[:5]
        extras = _extras(found, "system", "history", "tools")
        about = pick({name: column for name, column in rest.items() if name != prompt}, CONTEXTS, ("text",), least=0.1)
        if about and plain(prompt) in QUESTIONS_ABOUT:
            yield Recognition(
                "prompt-completion",
                {"prompt": f"{{{about}}}\n\n{{{prompt}}}", "completion": completion} | extras,
                f"the column {prompt} asks about {about}, and {completion} is the answer",
                guess=plain(about) not in ("context", "passage") or not usual,
            )
        yield Recognition(
            "prompt-completion",
            {"prompt": prompt, "completion": completion} | extras,
            f"the columns {prompt} and {completion} are the usual names of a question and its answer",
            guess=not usual,
        )


def _nested(found: Found, below: Found, values: Values) -> Iterator[Recognition]:
    """Answers, and questions, within objects: verl's `reward_model.ground_truth`, SQuAD's `answers.text`, instances."""
    inner = {name: column for name, column in below.items() if name not in found}
    for name, column in inner.items():
        if column.kind == "messages" and column.share >= 0.5 and plain(name.split(".")[-1]) in MESSAGES:
            yield Recognition(
                "messages",
                {"messages": name} | _extras(found, "system", "tools"),
                f"{name} holds conversations",
                guess=True,
            )
    answers = _answers(inner) + [
        name
        for name, column in inner.items()
        if column.kind == "text" and column.share >= 0.3 and re.search(r"\banswers?\.(0\.)?text(\.0)?$", name)
    ]
    instruction = pick(found, INSTRUCTIONS, ("text",))
    for completion in answers:
        if completion.endswith(".text.0") and completion.count(".0") > 1:
            continue
        within = completion.rpartition("*")[0]
        beside = {name: column for name, column in inner.items() if within and name.startswith(within)}
        if instruction and within:
            extra = pick({n: c for n, c in beside.items() if n != completion}, INPUTS, CONTENT, least=0.0)
            yield Recognition(
                "instruction",
                {"instruction": instruction} | ({"input": extra} if extra else {}) | {"output": completion},
                f"{completion} answers {instruction}, once for each item of {within.rstrip('.')}",
            )
            continue
        prompt = pick({n: c for n, c in beside.items() if n != completion}, PROMPTS, ASKED) or pick(
            {n: c for n, c in found.items() if n != completion.split(".")[0]}, (*PROMPTS, *MESSAGES), ASKED
        )
        if not prompt:
            continue
        about = pick({n: c for n, c in {**found, **inner}.items() if n != prompt}, ("context", "passage"), ("text",))
        asks = plain(prompt.split(".")[-1]) in QUESTIONS_ABOUT
        squad = re.search(r"\banswers?\.(0\.)?text(\.0)?$", completion) is not None
        yield Recognition(
            "prompt-completion",
            {"prompt": f"{{{about}}}\n\n{{{prompt}}}" if about and asks else prompt, "completion": completion},
            f"{completion} is the answer to {prompt}" + (f" about {about}" if about and asks else ""),
            guess=not squad,
        )


def _translations(found: Found, below: Found) -> Iterator[Recognition]:
    """One text in two languages, there and back: below `translation`, or two columns named by languages' codes."""
    names = [name for name, column in below.items() if name.startswith("translation.") and column.kind == "text"]
    texts = [name for name, column in found.items() if column.kind == "text"]
    if not names and len(texts) == len(found) == 2 and all(re.fullmatch("[a-z]{2,3}", plain(name)) for name in texts):
        names = texts if {plain(name) for name in texts} & set(LANGUAGE_CODES.split()) else []
    if len(names) == 2:
        for one, other in (names, names[::-1]):
            yield Recognition(
                "prompt-completion",
                {"prompt": one, "completion": other},
                f"{one} is translated into {other}; the other way round is as possible",
                guess=True,
            )


def _flags(found: Found, values: Values) -> dict[str, str]:
    """Columns that say whether a row is learnt: only where their values leave no doubt of it."""
    flags: dict[str, str] = {}
    label = _label(found, values)
    if label and (plain(label) in LABELS[1:4] or _share(values, label, _is_flag) >= MOSTLY):
        flags["label"] = label
    weight = pick(found, WEIGHTS, ("number", "flag"), least=0.01)
    if weight and _share(values, weight, lambda cell: truth(cell) is not None) == 1.0:
        flags["weight"] = weight
    split = pick(found, SPLITS, ("text",))
    if split:
        names = {str(value.get(split)).strip().lower() for value in values[:SAMPLE_ROWS]}
        if names & TRAINING_NAMES and names <= TRAINING_NAMES | HELD_OUT_NAMES:
            flags["split"] = split
    for part, called in MEDIA.items():
        if column := pick(found, called, ("list", "text", "object", "bytes"), least=0.001):
            flags[part] = column
    return flags


def _label(found: Found, values: Values) -> str:
    """The column that may say whether an answer is a good one; "" where there is none. Numbers of the name `label` are
    as often classes: they are read so only where that is asked for.
    """
    kinds = ("flag", "number", "text")
    named = [name for wanted in LABELS if (name := pick(found, (wanted,), kinds, least=MOSTLY))]
    return next((name for name in named if _share(values, name, lambda cell: verdict(cell) is not None) >= MOSTLY), "")


def _is_flag(cell: Any) -> bool:
    telling = ("true", "false", "desirable", "undesirable")
    words = cell.strip().lower() if isinstance(cell, str) else ""
    return isinstance(cell, bool) or words in telling or "thumb" in words or words.startswith(("👍", "👎"))


def _share(values: Values, column: str, holds: Any) -> float:
    """Share (0..1) of the filled cells for which `holds` is true; 0 where none is filled."""
    cells = [cell for value in values[:SAMPLE_ROWS] if (cell := value.get(column)) is not None]
    return sum(map(holds, cells)) / len(cells) if cells else 0.0
