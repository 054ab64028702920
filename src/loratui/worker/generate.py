"""Batch inference: every row of a file answered by an adapter, resumable.

Answers go to the output, everything for people to standard error. Exit status: 0 every row answered; 1 some rows could
not be (they are named) or the model failed; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from loratui.core.errors import LoratuiError
from loratui.core.generation import PRESETS, GenerationSettings
from loratui.paths import without_tilde
from loratui.terminal import say_json_text
from loratui.worker.generation.progress import Progress
from loratui.worker.generation.results import Answer, Key, Results
from loratui.worker.loading import load_models, tell
from loratui.workers.protocol import ADAPTER, BASE, Load
from loratui.workers.questions import Question, read_questions
from loratui.workers.target import Target, find_target, identity_of, with_device, with_quantization

if TYPE_CHECKING:
    from loratui.worker.generation.load import LoadedModels

BATCH_ROWS = 8
NAMED_PROBLEMS = 20
"""Bad rows that are named one by one; the rest is counted."""


@dataclass(frozen=True)
class GenerateRequest:
    """What a person asks. adapter: a run, an adapter's folder, or a model. output: "" prints the answers at the end.

    samples: answers to each row. raw: lines of plain text go to the model as they are. system: for rows that bring no
    system message of their own. force: replace what is at `output`.
    """

    adapter: str
    source: str
    output: str = ""
    base: str = ""
    base_only: bool = False
    quantization: str = ""
    """"" holds the base as the run trained it."""
    device: str = ""
    batch_rows: int = BATCH_ROWS
    again: bool = False
    samples: int = 1
    raw: bool = False
    system: str = ""
    force: bool = False
    settings: GenerationSettings = PRESETS["precise"]
    ask: Callable[[Load], None] = lambda load: None
    """Asks whether the code that the model brings may run; raises where it may not."""


def execute(given: GenerateRequest) -> int:
    """Answer every row; the exit status."""
    try:
        target = find_target(given.adapter, base=given.base)
        if target.note:
            tell(target.note)
        given.ask(target.load)
        if given.device:
            target = with_device(target, given.device)
        if given.quantization:
            target = with_quantization(target, given.quantization)
        questions = read_questions(given.source, target.plan)
        with _place(given.output) as output:
            status = run(
                target,
                questions,
                output,
                given.settings,
                side=BASE if given.base_only else ADAPTER,
                batch_rows=given.batch_rows,
                again=given.again,
                samples=given.samples,
                asking=Asking(given.raw, given.system),
                force=given.force,
                source=without_tilde(given.source),
                named=bool(given.output),
            )
            if not given.output:
                say_json_text(output.read_text(encoding="utf-8"))
        return status
    except LoratuiError as error:
        tell(error.sentence)
        return error.exit_status
    except KeyboardInterrupt:
        tell("Interrupted. Give the same command again: it goes on where it stopped.")
        return 130


@dataclass(frozen=True)
class Asking:
    """How rows become questions. raw: lines of plain text as they are, without the chat template. system: for rows
    without a system message.
    """

    raw: bool = False
    system: str = ""


@contextmanager
def _place(output: str) -> Iterator[Path]:
    """The file for the answers; one that goes again where they are to be printed."""
    if output:
        yield without_tilde(output)
        return
    with TemporaryDirectory(prefix="loratui-") as folder:
        yield Path(folder) / "answers.json"


def run(
    target: Target,
    questions: Sequence[Question],
    output: Path,
    settings: GenerationSettings,
    *,
    side: str = ADAPTER,
    batch_rows: int = BATCH_ROWS,
    again: bool = False,
    samples: int = 1,
    asking: Asking | None = None,
    force: bool = False,
    source: Path | None = None,
    models: LoadedModels | None = None,
    named: bool = True,
) -> int:
    """Answer the questions into `output`; the exit status. `models`: loaded already. `named`: the file stays. Raises
    LoratuiError.
    """
    side = side if side in target.load.sides else BASE
    asking = asking or Asking()
    identity = _identity(target, side, settings, source, again) | {"samples": samples, **vars(asking)}
    results = Results(output, questions, identity, samples=samples, source=source, force=force or again)
    bad = [one for one in questions if one.problem]
    _tell_bad(bad)
    if results.resumed:
        tell(f"Going on: {results.resumed} of {len(questions) * samples} answers were there before.")
    failed = _answer(target, side, results, settings, batch_rows, asking, models) if results.left else []
    _tell_bad(failed)
    results.finish()
    left_out = len(bad) + len(failed)
    words = f" {left_out} could not be answered." if left_out else ""
    answered = len({row for row, _ in results.answers})
    each = f", {samples} times each" if samples > 1 else ""
    tell(f"{answered} of {len(questions)} rows answered{each}{f', in {output}' if named else ''}.{words}")
    return 1 if left_out else 0


def _load(target: Target, side: str) -> LoadedModels:
    load = replace(target.load, sides={name: path for name, path in target.load.sides.items() if name in (BASE, side)})
    return load_models(load)


def _answer(
    target: Target,
    side: str,
    results: Results,
    settings: GenerationSettings,
    batch_rows: int,
    asking: Asking,
    models: LoadedModels | None,
) -> list[Question]:
    """Load the model, answer what is left; the questions that could not be asked, each with its problem."""
    models = models or _load(target, side)
    from loratui.worker.generation.batch import answer_many, room
    from loratui.worker.generation.prompt import asked, prompt_ids
    from loratui.worker.tokenise import Tokeniser

    tokeniser = Tokeniser(models.tokenizer)
    ready: list[tuple[Key, list[int]]] = []
    failed: dict[int, Question] = {}
    for one, sample in results.asked:
        if one.index in failed:
            continue
        try:
            question = asked(models.tokenizer, one, raw=asking.raw, system=asking.system)
            ids = prompt_ids(models.tokenizer, question, tokeniser)
            room(models, ids, settings)
            ready.append(((one.index, sample), ids))
        except LoratuiError as error:
            failed[one.index] = replace(one, problem=error.sentence)
            results.refuse(failed[one.index])
    ready.sort(
        key=lambda item: -len(item[1])
    )  # like lengths together: little padding; the longest first: an OOM comes early
    progress = Progress(sum(key not in results.answers for key, _ in ready), samples=results.samples)
    for given in answer_many(models, side, ready, settings, batch_rows, results.answers):
        results.add({key: Answer(answer.text, answer.reason) for key, answer in given.items()})
        progress.add(
            len(given),
            sum(answer.tokens for answer in given.values()),
            sum(answer.reason != "stop token" for answer in given.values()),
        )
    progress.end()
    return list(failed.values())


def _identity(
    target: Target, side: str, settings: GenerationSettings, source: Path | None, again: bool
) -> dict[str, Any]:
    """What the answers depend on: a start with another identity begins anew."""
    stamp: Any = time.time() if again else None
    if source is not None and stamp is None and source.is_file():
        stamp = [source.stat().st_size, source.stat().st_mtime_ns]
    return identity_of(target, side) | {
        "settings": settings.model_dump(),
        "input": str(source or ""),
        "stamp": stamp,
    }


def _tell_bad(bad: Sequence[Question]) -> None:
    for one in bad[:NAMED_PROBLEMS]:
        tell(f"{one.place} is left out: {one.problem}")
    if len(bad) > NAMED_PROBLEMS:
        tell(f"{len(bad) - NAMED_PROBLEMS} more rows are left out.")
