"""Generate from Python: load once, ask as often as you like.

    from loratui.api import load

    model = load("my-run")                                  # a run, an adapter's folder, or a model
    model.generate("Two large pizzas, please.")             # text: one answer
    model.generate({"title": "Bridges", "pages": 3})        # an object, as the training's `input`
    model.generate([{"input": "a"}, {"prompt": "b"}])       # a list: a list of answers
    model.generate_file("in.json", "out.json")              # as `loratui generate`, resumable
    model.stream("Tell me more.")                           # pieces of text while they come

Torch is imported by `load`, not by importing this module.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from loratui.core.errors import InputError, LoratuiError, WorkerError
from loratui.core.generation import PRESETS, GenerationSettings, set_value
from loratui.models.trust import agree
from loratui.workers.code import unanswered
from loratui.workers.protocol import ADAPTER, BASE, Ask, Done, Event, Failed, Piece
from loratui.workers.questions import Question, question, read_questions, trained_reading
from loratui.workers.target import Target, find_target, with_device, with_quantization

if TYPE_CHECKING:
    from loratui.worker.generation.load import LoadedModels

__all__ = ["GenerationSettings", "LoadedModel", "LoratuiError", "load"]

ROW_KEYS = frozenset({"input", "prompt", "messages", "instruction"})
"""An object with one of these is a row; any other object is the `input` itself."""


def load(
    name: str | Path,
    *,
    base: str = "",
    device: str = "",
    quantization: str = "",
    preset: str = "precise",
    trust_remote_code: bool = False,
    **settings: Any,
) -> LoadedModel:
    """Load a run's result, an adapter or a model, once.

    base: instead of the base model that the adapter names. device: "cuda", "cpu", or the first that is there.
    quantization: none, nf4, fp4 or int8; by default the base is held as the run trained it. preset and settings
    (temperature, top_p, top_k, min_p, repetition_penalty, max_tokens, seed) are the defaults of every answer.
    trust_remote_code: agree to run the Python code that the model brings, where the run's plan asks for it and nobody
    agreed to it before. LoratuiError in one sentence where it cannot be loaded.
    """
    target = find_target(str(name), base=base)
    if device:
        target = with_device(target, device)
    if quantization:
        target = with_quantization(target, quantization)
    while trust_remote_code and (code := unanswered(target.load)) is not None:
        agree(code)
    return LoadedModel(target, _changed(PRESETS[preset], settings))


class LoadedModel:
    """A model in memory, and the adapter on it."""

    def __init__(self, target: Target, settings: GenerationSettings) -> None:
        from loratui.worker.generation.load import LoadedModels

        self.target = target
        self.settings = settings
        self._models: LoadedModels = LoadedModels(target.load)
        self._reading = trained_reading(target.plan)

    @property
    def sides(self) -> list[str]:
        """What can answer: "base", and "adapter" where there is one."""
        return list(self._models.sides)

    @overload
    def generate(self, given: str | Mapping[str, Any], *, side: str = "", **settings: Any) -> str: ...
    @overload
    def generate(self, given: Sequence[str | Mapping[str, Any]], *, side: str = "", **settings: Any) -> list[str]: ...
    def generate(
        self,
        given: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
        *,
        side: str = "",
        batch_rows: int = 8,
        **settings: Any,
    ) -> str | list[str]:
        """The answer to a text, an object or a conversation (messages with a role); a list of answers to a list.

        An answer drawn at random follows from the seed and its place in the list. InputError for what cannot be asked.
        """
        from loratui.worker.generation.batch import generate_batch
        from loratui.worker.generation.prompt import prompt_ids
        from loratui.worker.generation.sampling import seed_of

        if not isinstance(given, str | Mapping) and _is_conversation(given):
            given = {"messages": list(given)}
        single = isinstance(given, str | Mapping)
        questions = [
            self._question(one, place)
            for place, one in enumerate([given] if isinstance(given, str | Mapping) else given)
        ]
        wanted = _changed(self.settings, settings)
        prompts = [
            prompt_ids(self._models.tokenizer, one.conversation) for one in questions if one.conversation is not None
        ]
        answers: list[str] = []
        for start in range(0, len(prompts), batch_rows):
            answers += [
                one.text
                for one in generate_batch(
                    self._models,
                    self._side(side),
                    prompts[start : start + batch_rows],
                    wanted,
                    [seed_of(wanted, row) for row in range(start, min(start + batch_rows, len(prompts)))],
                )
            ]
        return answers[0] if single else answers

    def generate_file(
        self, source: str | Path, output: str | Path, *, side: str = "", force: bool = False, **settings: Any
    ) -> int:
        """Answer every row of a file into another, as `loratui generate` does; 0, or 1 where some rows could not be
        answered. force: replace what is at `output`.
        """
        from loratui.worker.generate import run

        questions = read_questions(str(source), self.target.plan)
        return run(
            self.target,
            questions,
            Path(output),
            _changed(self.settings, settings),
            side=self._side(side),
            force=force,
            source=Path(source),
            models=self._models,
        )

    def stream(self, given: str | Mapping[str, Any], *, side: str = "", **settings: Any) -> Iterator[str]:
        """The answer in pieces while it grows; ending the iteration early stops it. WorkerError where it fails."""
        from loratui.worker.generation.answer import StopFlags, answer

        one = self._question(given, 0)
        assert one.conversation is not None
        messages = [message.as_dict() for message in one.conversation.messages]
        wanted = Ask(
            1, [self._side(side)], messages, one.conversation.text, _changed(self.settings, settings).model_dump()
        )
        events: queue.Queue[Event] = queue.Queue()
        flags = StopFlags()
        thread = threading.Thread(target=answer, args=(self._models, wanted, events.put, flags), daemon=True)
        thread.start()
        try:
            while True:
                event = events.get()
                if isinstance(event, Piece):
                    yield event.text
                elif isinstance(event, Failed):
                    raise WorkerError(event.message, hint=event.hint)
                elif isinstance(event, Done):
                    return
        finally:
            flags.stop(1)
            thread.join()

    def _side(self, side: str) -> str:
        if side and side not in self.sides:
            raise InputError(f"there is no side {side}.", hint=f"Sides are: {', '.join(self.sides)}.")
        return side or (ADAPTER if ADAPTER in self.sides else BASE)

    def _question(self, given: str | Mapping[str, Any], place: int) -> Question:
        if isinstance(given, Mapping) and not ROW_KEYS & given.keys() and not self._is_row(given):
            given = {"input": given}
        found = question({"input": given} if isinstance(given, str) else given, self._reading, place)
        if found.problem:
            raise InputError(found.problem, where=f"item {place + 1}")
        return found

    def _is_row(self, given: Mapping[str, Any]) -> bool:
        """Whether it has the columns that the training's questions had."""
        reading = self._reading
        return reading is not None and any(
            reading.columns.get(part, "") in given for part in ("prompt", "instruction", "messages")
        )


def _is_conversation(given: Sequence[Any]) -> bool:
    return bool(given) and all(isinstance(one, Mapping) and {"role", "content"} <= one.keys() for one in given)


def _changed(settings: GenerationSettings, values: Mapping[str, Any]) -> GenerationSettings:
    for name, value in values.items():
        settings = set_value(settings, name, value)
    return settings
