"""A model's blocks compiled by torch, each by itself, and tried beside the plain ones before anything is learnt.

Blocks are compiled in place (`Module.compile`'s own attribute), so that names of weights, checkpoints and adapters stay
as they are. All of them share their graphs, whose lengths are free: another length compiles nothing anew. What the
compiler refuses, or computes otherwise than the plain blocks, is dropped with a word.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from loratui.core.compiling import TOLERANCE
from loratui.core.plan import Plan
from loratui.format import first_line
from loratui.worker.training.first_batch import FirstBatch, apart
from loratui.worker.training.known import plain

log = logging.getLogger("loratui")
VARIANTS = 32
"""Graphs that may be made of one block before torch goes on without: first and other blocks, each kind of attention,
with and without a mask, training and evaluation, and batches of a single row."""
COMPILERS_LOG = "torch._dynamo.convert_frame"
"""Where torch says what it computes without its compiler."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of compiling: how long the first batch's graphs took, and a pass before and after it (seconds)."""

    blocks: int
    seconds: float = 0.0
    plain_seconds: float = 0.0
    compiled_seconds: float = 0.0
    apart: float = 0.0
    """Relative difference of all gradients, compiled and plain."""
    refused: str = ""
    """Why the blocks compute as they were, as the end of a sentence; empty where they are compiled."""


class Either:
    """A block's call: compiled, but plain where a cache of keys and values is passed along. Answers are generated so,
    one token after another, each with a length of its own.
    """

    def __init__(self, block: Any, options: dict[str, Any]) -> None:
        self.plain = block._call_impl
        self.compiled = torch.compile(block._call_impl, dynamic=True, **options)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if named.get("past_key_values") is not None:
            return self.plain(*arguments, **named)
        return self.compiled(  # type: ignore[no-untyped-call]
            *map(plain, arguments), **{name: plain(value) for name, value in named.items()}
        )


def blocks_of(model: Any) -> list[Any]:
    """The blocks that a model consists of: the classes that its library keeps whole on one device."""
    names = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    return [module for module in model.modules() if type(module).__name__ in names]


def compiled_blocks(model: Any) -> int:
    """How many of a model's blocks compute compiled."""
    return sum(isinstance(module._compiled_call_impl, Either) for module in model.modules())


@contextmanager
def plain_blocks(model: Any) -> Iterator[None]:
    """Blocks that are compiled compute plainly meanwhile."""
    own = [(module, call) for module in model.modules() if (call := module._compiled_call_impl) is not None]
    try:
        for module, _ in own:
            module._compiled_call_impl = None
        yield
    finally:
        for module, call in own:
            module._compiled_call_impl = call


def compile_blocks(trainer: Any, plan: Plan, *, say: Callable[[str], None], backend: str = "inductor") -> Compiled:
    """Compile the blocks of a trainer's model and try them on the run's first batch beside the plain ones.

    Nothing is learnt by it: gradients, figures and the state of chance are as before. say: hears, at any time, that
    torch goes on without its compiler. backend: torch's name of the compiler.
    """
    blocks = blocks_of(trainer.model)
    if not blocks:
        return Compiled(0, refused="the model's library does not say which its blocks are")
    batch = FirstBatch(trainer, plan)
    torch._dynamo.config.recompile_limit = VARIANTS
    if any(isinstance(module, torch.nn.Dropout) and module.p for module in trainer.model.modules()):
        torch._inductor.config.fallback_random = True  # the masks that plain blocks draw

    refused, first, again, difference = "", 0.0, 0.0, 0.0
    try:
        batch.one_pass()
        plain, wanted = batch.one_pass()
        for block in blocks:
            block._compiled_call_impl = Either(block, {"backend": backend})
        try:
            first, _ = batch.one_pass()
            again, found = batch.one_pass()
            difference = apart(found, wanted)
            if not difference <= TOLERANCE[plan.training.precision]:
                refused = f"their gradients differ from the plain blocks' by {difference:.1g} of their length"
        except Exception as error:  # of a compiler nothing may end a run that goes on without it
            log.warning("the blocks could not be compiled", exc_info=True)
            cause = getattr(error, "inner_exception", error)
            refused = f"torch's compiler refuses them ({type(cause).__name__}: {first_line(cause)})"
        if refused:
            for block in blocks:
                block._compiled_call_impl = None
            torch._dynamo.reset()
    finally:
        batch.as_before()
    if refused:
        return Compiled(0, plain_seconds=round(plain, 4), apart=difference, refused=refused)
    torch._dynamo.config.suppress_errors = True  # what comes later is said, and computed without
    logging.getLogger(COMPILERS_LOG).addHandler(Told(say))
    return Compiled(len(blocks), round(max(0.0, first - again), 2), round(plain, 4), round(again, 4), difference)


class Told(logging.Handler):
    """Hears what torch's compiler warns of, and tells it once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.say, self.told = say, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it in one sentence."""
        text = record.getMessage()
        limit = "recompile_limit" in text
        kind = "limit" if limit else "error"
        if kind in self.told:
            return
        self.told.add(kind)
        reason = next((line for line in text.splitlines() if "last reason" in line), "").partition(": ")[2].strip()
        self.say(
            f"torch made {VARIANTS} graphs of a block and makes no more: what they do not cover is computed plainly"
            f"{f' (the last: {reason})' if reason else ''}."
            if limit
            else f"torch could not compile a part of a block, which is computed plainly ({first_line(text)})."
        )
