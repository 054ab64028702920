"""`loratui evaluate`: how good a result is, beside its base, its checkpoints and other runs, with intervals.

What a model answers is kept row by row in the run's `evaluations/`, so that a start that was broken off goes on, and a
second look costs no model at all. Exit status: 0 done; 1 a figure of `--at-least` was missed, or the model failed;
2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loratui.core.errors import InputError, LoratuiError, WorkerError
from loratui.core.generation import PRESETS, GenerationSettings
from loratui.core.plan import Plan
from loratui.evaluation.judge_client import Judge
from loratui.evaluation.judging import lines as judge_lines
from loratui.evaluation.measures import CHOICES, LIKELIHOOD, MissingLibraryError, measure_of
from loratui.evaluation.records import Needs, Records, digest
from loratui.evaluation.report import Document, Floor, Side, document, require_measured, table
from loratui.evaluation.scoring import Item, Rules, applicable, missing_library
from loratui.files import make_folder, write_whole
from loratui.paths import home, home_short
from loratui.terminal import fail, say, say_json
from loratui.worker.evaluating import Asking, Held, ask_models
from loratui.worker.judged import judged
from loratui.worker.loading import tell
from loratui.workers.evaluation_rows import EvaluationRows
from loratui.workers.protocol import ADAPTER, BASE, Load
from loratui.workers.questions import held_out_questions, read_questions
from loratui.workers.target import Target, find_target, identity_of, weights_written, with_device, with_quantization

BATCH_ROWS = 48
NAMED_PROBLEMS = 5
DOCUMENT = "evaluation.json"


@dataclass(frozen=True)
class EvaluateRequest:
    """What a person asks. target: a run, an adapter's folder, or a model. data: "" for the rows that the run held out.

    against: other runs, adapters or models. checkpoints: the run's own, too. limit: rows at most; 0: all. measures:
    names; none: what the rows allow. samples: answers to each row. failed: failed rows that are shown.
    judge: who compares answers, too; None: nobody, and nothing is sent anywhere.
    """

    target: str
    data: str = ""
    against: tuple[str, ...] = ()
    checkpoints: bool = False
    without_base: bool = False
    limit: int = 0
    measures: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    samples: int = 1
    choices: str = ""
    right: str = ""
    system: str = ""
    raw: bool = False
    base: str = ""
    quantization: str = ""
    device: str = ""
    batch_rows: int = BATCH_ROWS
    settings: GenerationSettings = PRESETS["precise"]
    floors: tuple[Floor, ...] = ()
    failed: int = 3
    judge: Judge | None = None
    as_json: bool = False
    ask: Callable[[Load], None] = lambda load: None
    """Asks whether the code that the model brings may run; raises where it may not."""


@dataclass(frozen=True)
class Contender:
    """A side that is evaluated: which one of which target, and its name in the document."""

    name: str
    target: Target
    side: str

    @property
    def identity(self) -> dict[str, Any]:
        """What its answers depend on, beside what it is asked."""
        load = self.target.load
        held = {"dtype": load.dtype, "device": load.device, "revision": load.revision}
        return identity_of(self.target, self.side) | held


def execute(given: EvaluateRequest) -> int:
    """Evaluate, print the table or the document, and return the exit status."""
    try:
        found = evaluate(given)
    except LoratuiError as error:
        fail(error.sentence)
        return error.exit_status
    except KeyboardInterrupt:
        tell("Interrupted. Give the same command again: it goes on where it stopped.")
        return 130
    except (MemoryError, RuntimeError) as error:
        from loratui.worker.generation.load import explain

        fail(f"{explain(error)[0]} What was answered is kept: give the same command again.")
        return 1
    if given.as_json:
        say_json(found)
    else:
        for line in table(found, width=shutil.get_terminal_size((80, 24)).columns, failed=given.failed):
            say(line)
        for line in judge_lines(found["judge"]) if found.get("judge", {}).get("pairs") else ():
            say(line)
        say(f"Answers and figures are in {home_short(found['folder'])}.")
    failed = str(found.get("judge", {}).get("problem", ""))
    if failed:
        fail(f"Nothing was judged: {failed}")
    for one in found["missed"]:
        value = "no number" if one["value"] is None else f"{one['value']:.4g}"
        tell(f"{one['measure']} is {value}, not {one['wanted']:g} as it was to be.")
    return 1 if found["missed"] or failed else 0


def evaluate(given: EvaluateRequest, held: Held | None = None) -> Document:
    """Answer what was not answered yet, and measure. Raises LoratuiError, and StoppedError where `held` says so.

    held: models that are loaded already; otherwise they are loaded here.
    """
    target = asked_target(given, given.target)
    if held is not None:
        target = _as_held(target, held)
    rows = _rows(given, target)
    names = _measures(given, rows.items)
    require_measured(given.floors, names)  # an hour of answers is no time to learn of a wrong name
    needs = Needs(
        given.samples if any(name not in (*LIKELIHOOD, *CHOICES) for name in names) else 0,
        any(name in LIKELIHOOD for name in names),
        any(name in CHOICES for name in names),
    )
    folder = _folder(given, target, rows.items)
    contenders = contenders_of(given, target) if held is None else _held_contenders(target, held)
    records = {one.name: Records(folder, one.name, one.identity) for one in contenders}
    asking = Asking(given.settings, given.batch_rows, given.raw, given.system)
    for one in {id(contender.target): contender.target for contender in contenders}.values():
        mine = {c.side: records[c.name] for c in contenders if c.target is one}
        ask_models(
            one, {side: kept for side, kept in mine.items() if kept.left(rows.items, needs)}, rows, needs, asking, held
        )
    asked = [item for item in rows.items if not any(item.row in kept.problems for kept in records.values())]
    if not asked:
        raise InputError(f"no row could be asked: {next(iter(records[contenders[-1].name].problems.values()), '')}")
    sides = [Side(one.name, one.name, records[one.name].outcomes(asked, needs.answers)) for one in contenders]
    problems = {row: problem for kept in records.values() for row, problem in kept.problems.items()}
    found = {
        "data": given.data or f"held out by {target.title}",
        "folder": str(folder),
        "base_changed": target.base_changed,
        "settings": given.settings.model_dump(),
        "samples": given.samples,
        **document(sides, asked, names, given.rules, given.floors),
        "left_out": [
            *({"row": one.index + 1, "problem": one.problem} for one in rows.left_out),
            *({"row": one.row + 1, "problem": problems[one.row]} for one in rows.items if one.row in problems),
        ],
    }
    if given.judge is not None:
        _write(folder, found)  # what was measured does not wait for the judge
        found["judge"] = _judged(given.judge, lambda judge: judged(judge, sides, asked, target.run, folder, tell))
    _write(folder, found)
    _tell_left_out(found["left_out"])
    return found


def _judged(judge: Judge, ask: Callable[[Judge], Document]) -> Document:
    """What the judge found; where it failed, why."""
    try:
        return ask(judge)
    except WorkerError as error:
        return {"url": judge.url, "host": judge.host, "model": judge.model, "problem": error.sentence}


def _write(folder: Path, found: Document) -> None:
    write_whole(folder / DOCUMENT, json.dumps(found, ensure_ascii=False, indent=2, default=str) + "\n")


def asked_target(given: EvaluateRequest, name: str) -> Target:
    """What this name stands for, held as was asked; its note is told, and its code asked about. Raises LoratuiError."""
    target = find_target(name, base=given.base)
    if target.note:
        tell(target.note)
    given.ask(target.load)
    if given.device:
        target = with_device(target, given.device)
    return with_quantization(target, given.quantization) if given.quantization else target


def _rows(given: EvaluateRequest, target: Target) -> EvaluationRows:
    if given.data:
        questions = read_questions(given.data, target.plan)
    elif target.plan is None:
        raise InputError(f"{target.title} is no run that held rows out.", hint="Name rows with --data FILE.")
    else:
        questions = held_out_questions(target.plan, given.limit or 1_000_000)
        if not questions:
            raise InputError(f"{target.title} held no rows out.", hint="Name rows with --data FILE.")
    return EvaluationRows.of(questions, choices=given.choices, right=given.right, limit=given.limit)


def _measures(given: EvaluateRequest, items: Sequence[Item]) -> list[str]:
    """What is measured. Raises MissingLibraryError where a measure was named whose library is not here; of those that
    were not named, what is missing is told once.
    """
    if given.measures:
        for name in given.measures:
            measure_of(name)
            if missing := missing_library(name):
                raise MissingLibraryError(missing)
        _require(given, items)
        return list(dict.fromkeys(given.measures))
    names = [name for name in applicable(items, given.rules)]
    if any(item.written for item in items):
        names += LIKELIHOOD
    if given.choices:
        names = [*CHOICES, *names]
    told = {name: missing_library(name) for name in names}
    for sentence in dict.fromkeys(filter(None, told.values())):
        tell(sentence)
    return [name for name in names if not told[name]]


def _require(given: EvaluateRequest, items: Sequence[Item]) -> None:
    """InputError where a measure is named that lacks what it is computed from."""
    for name in given.measures:
        if name in CHOICES and not given.choices:
            raise InputError(f"{name} needs the column of the choices.", hint="Name it with --choices COLUMN.")
        if name == "extracted" and not given.rules.extract:
            raise InputError("extracted needs what is compared.", hint="Give a regular expression with --extract.")
        if name == "pattern" and not given.rules.pattern:
            raise InputError("pattern needs a regular expression.", hint="Give it with --pattern.")
        if name in LIKELIHOOD and not any(item.written for item in items):
            raise InputError(f"{name} needs written answers, and these rows have none.")
        if name.startswith("pass@") and int(name.removeprefix("pass@")) > given.samples:
            raise InputError(f"{name} needs as many answers to each row.", hint=f"Add --samples {name[5:]} or more.")


def _folder(given: EvaluateRequest, target: Target, items: Sequence[Item]) -> Path:
    """Where this evaluation is kept: by its rows, and by how they are asked."""
    stem = Path(given.data).stem if given.data else "held-out"
    asked = [(item.row, item.asked, item.expected, item.choices) for item in items]
    how = digest([asked, given.settings.model_dump(), given.system, given.raw])
    return kept_folder(target, f"{stem}-{how}")


def kept_folder(target: Target, name: str) -> Path:
    """The folder of this name among a target's evaluations, made where it is not there yet."""
    place = target.run.evaluations_path if target.run is not None else home() / "evaluations" / Path(target.title).name
    for one in (place, place / name):
        if one.is_symlink():
            raise InputError("it is a link, and nothing is written through it.", where=str(one))
        make_folder(one)
    return place / name


def contenders_of(given: EvaluateRequest, target: Target) -> list[Contender]:
    """Who is evaluated; the one that is judged comes last."""
    found: list[Contender] = []
    judged = ADAPTER if ADAPTER in target.load.sides else BASE
    if given.checkpoints:
        if not target.checkpoints:
            raise InputError(f"{target.title} has no checkpoints.")
        more = {name: str(path) for name, path in target.checkpoints.items()}
        target = replace(target, load=replace(target.load, sides=target.load.sides | more))
    if judged != BASE and not given.without_base:
        found.append(Contender(BASE, target, BASE))
    if given.checkpoints:
        found += [Contender(name, target, name) for name in target.checkpoints]
    for name in given.against:
        other = asked_target(replace(given, base=""), name)
        side = ADAPTER if ADAPTER in other.load.sides else BASE
        _warn_of_other_rows(given, target, other)
        found.append(Contender(other.title, other, side))
    found.append(Contender(target.title, target, judged))
    names = [one.name for one in found]
    if twice := next((one for one in names if names.count(one) > 1), ""):
        raise InputError(f"{twice} is named twice.", hint="Leave it out of --against.")
    return found


def _as_held(target: Target, held: Held) -> Target:
    """The target, loaded as the models are that answer for it, with every side that they may hold."""
    more = {name: str(path) for name, path in target.checkpoints.items()}
    return replace(target, load=replace(held.load, sides=held.load.sides | target.load.sides | more))


def _held_contenders(target: Target, held: Held) -> list[Contender]:
    """The sides that are held, under the names that their answers are kept by. InputError where one's weights were
    written anew since they were loaded: its answers would be kept as those of the new ones.
    """
    for side in held.sides:
        if side in held.written and list(held.written[side]) != weights_written(target.load, side):
            name = target.title if side == ADAPTER else side
            raise InputError(f"{name} was written anew since it was loaded here.", hint="Load it again.")
    return [Contender(target.title if side == ADAPTER else side, target, side) for side in held.sides]


def _warn_of_other_rows(given: EvaluateRequest, target: Target, other: Target) -> None:
    """Another run may have learnt the rows that this one held out."""

    def split(plan: Plan) -> Any:
        section = plan.dataset
        parts = [part.model_dump(exclude={"weight", "name"}) for part in section.parts]
        return section.path, parts, section.eval_fraction, section.eval_path, section.split_by, plan.split_seed

    if given.data or target.plan is None or other.plan is None or split(target.plan) == split(other.plan):
        return
    tell(f"{other.title} did not hold out the same rows: it may have learnt these. --data FILE is fair to both.")


def _tell_left_out(left_out: Sequence[Mapping[str, Any]]) -> None:
    for one in left_out[:NAMED_PROBLEMS]:
        tell(f"row {one['row']} is left out: {one['problem']}")
    if len(left_out) > NAMED_PROBLEMS:
        tell(f"{len(left_out) - NAMED_PROBLEMS} more rows are left out.")
