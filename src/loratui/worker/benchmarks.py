"""`loratui evaluate --tasks`: public benchmarks through lm-evaluation-harness, base and result side by side, so that
what was forgotten is seen. Each side's figures are kept in the run, row by row; what is there is not asked again.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratui.core.errors import InputError, LoratuiError, WorkerError
from loratui.evaluation.benchmarks import Figures, as_document, compare, from_document, read_results, table
from loratui.evaluation.measures import MissingLibraryError
from loratui.evaluation.records import digest
from loratui.evaluation.report import Document
from loratui.files import read_object, write_whole
from loratui.format import first_line
from loratui.hub.client import offline
from loratui.paths import home_short, without_tilde
from loratui.terminal import fail, say, say_json
from loratui.worker.evaluate import Contender, EvaluateRequest, asked_target, contenders_of, kept_folder
from loratui.worker.loading import load_models, tell

if TYPE_CHECKING:
    from loratui.worker.generation.load import LoadedModels

LIBRARY = "lm_eval"


@dataclass(frozen=True)
class Tasks:
    """Which benchmarks: names of the library's own, or YAML files of tasks. shots: solved examples before each
    question; None: as the task says.
    """

    names: Sequence[str]
    shots: int | None = None


def execute(given: EvaluateRequest, tasks: Tasks) -> int:
    """Run them, print the table or the document, and return the exit status."""
    try:
        found = run_tasks(given, tasks)
    except LoratuiError as error:
        fail(error.sentence)
        return error.exit_status
    except KeyboardInterrupt:
        tell("Interrupted. Give the same command again: sides that are through are not asked again.")
        return 130
    if given.as_json:
        say_json(found)
        return 0
    for line in table(found, width=shutil.get_terminal_size((80, 24)).columns):
        say(line)
    say(f"Figures are in {home_short(found['folder'])}.")
    return 0


def run_tasks(given: EvaluateRequest, tasks: Tasks) -> Document:
    """Ask each side what it was not asked yet. Raises LoratuiError."""
    if importlib.util.find_spec(LIBRARY) is None:
        raise MissingLibraryError(
            "--tasks needs the library lm-evaluation-harness, which is not installed.",
            hint="pip install 'loratui[tasks]'",
        )
    target = asked_target(given, given.target)
    how = {"tasks": list(tasks.names), "limit": given.limit, "shots": tasks.shots, "raw": given.raw}
    folder = kept_folder(target, f"tasks-{digest([how, [_stamp(name) for name in tasks.names]])}")
    sides: dict[str, Figures] = {}
    asked: dict[int, Any] = {}
    known: list[Any] = []
    for one in contenders_of(given, target):
        file = folder / f"{_safe(one.name)}-{digest(one.identity)}.json"
        if file.is_file():
            sides[one.name] = from_document(read_object(file))
            continue
        if id(one.target) not in asked:
            asked.clear()  # one base in memory at a time
            asked[id(one.target)] = load_models(one.target.load, one.target.title)
        known = known or [_known(tasks.names)]
        sides[one.name] = _ask(asked[id(one.target)], one, given, tasks, known[0])
        write_whole(file, json.dumps(as_document(sides[one.name]), indent=1) + "\n")
    found = {**how, "folder": str(folder), **compare(sides)}
    write_whole(folder / "tasks.json", json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    return found


def _known(names: Sequence[str]) -> Any:
    """The tasks that may be named. The library's own are in some thousands of files, read once for all sides, and not
    at all where only files of single tasks are named.
    """
    if offline():
        os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    from lm_eval.tasks import TaskManager

    for name in (LIBRARY, "lm-eval"):
        logging.getLogger(name).setLevel(logging.ERROR)
    files = [_file(name) for name in names]
    return TaskManager(include_defaults=not all(file is not None and not _is_group(file) for file in files))


def _is_group(file: Path) -> bool:
    """Whether it gathers other tasks, which may be the library's own."""
    return re.search(r"^group\s*:", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE) is not None


def _ask(models: LoadedModels, one: Contender, given: EvaluateRequest, tasks: Tasks, known: Any) -> Figures:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    tell(f"{one.name}: {', '.join(tasks.names)} …")
    model = HFLM(
        pretrained=ending(models, one.side),
        tokenizer=models.tokenizer,
        backend="causal",
        batch_size=given.batch_rows,
        max_length=models.context_tokens or None,
    )
    try:
        with redirect_stdout(StringIO()):  # what the library prints is no part of our output
            results = simple_evaluate(
                model=model,
                tasks=[str(_file(name) or name) for name in tasks.names],
                num_fewshot=tasks.shots,
                task_manager=known,
                limit=given.limit or None,
                bootstrap_iters=0,
                apply_chat_template=bool(models.tokenizer.chat_template) and not given.raw,
            )
    except KeyError as error:
        raise InputError(
            f"lm-evaluation-harness knows no such task: {first_line(error)}.",
            where="--tasks",
            hint="`lm-eval ls tasks` lists them; a YAML file of a task may be named, too.",
        ) from error
    except (ConnectionError, OSError, ValueError, RuntimeError, AssertionError) as error:
        raise WorkerError(f"{one.name}: the tasks could not be asked: {first_line(error, 300)}") from error
    if results is None:
        raise WorkerError(f"{one.name}: lm-evaluation-harness returned no result.")
    return read_results(results)


def ending(models: LoadedModels, side: str) -> Any:
    """A side's model that ends its answers by itself, which the library leaves to it: without this, those of a batch
    that are done go on behind their stop token, and what follows counts as answered.
    """
    from transformers import GenerationConfig

    model = models.use(side)
    model.generation_config = GenerationConfig(
        eos_token_id=list(models.stop_ids) or None, pad_token_id=models.pad_id, do_sample=False
    )
    return model


def _file(name: str) -> Path | None:
    """The file of a task of one's own; None for a name of the library's."""
    return without_tilde(name) if name.endswith((".yaml", ".yml")) else None


def _stamp(name: str) -> str:
    """What a task's own file says, so that a changed one is asked anew. InputError where there is none."""
    if (file := _file(name)) is None:
        return ""
    try:
        return digest(file.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise InputError(f"this file cannot be read: {error.strerror}.", where=str(file)) from error


def _safe(name: str) -> str:
    return "".join(one if one.isalnum() or one in "-_." else "-" for one in name)
