"""Code that a model brings, asked about before anything of it runs: on the terminal, or agreed to by an option."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from loratui.terminal import confirm, has_person, say

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.models.trust import RemoteCode
    from loratui.workers.protocol import Load

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def trust_option(function: Decorated) -> Decorated:
    """`--trust-remote-code`, as the argument `trusted` of a command."""
    return click.option(
        "--trust-remote-code",
        "trusted",
        is_flag=True,
        help=(
            "Agree to run the Python code that the model brings, where the plan asks for it "
            "(model.trust_remote_code). Without it you are asked, once per model and revision."
        ),
    )(function)


def ask_for_plan(plan: Plan, trusted: bool) -> None:
    """Ask about the code that a plan would run. CodeNotAgreedError where nobody agrees to it."""
    from loratui.models.trust import unanswered

    _ask(unanswered(plan), trusted)


def ask_for_load(load: Load, trusted: bool) -> None:
    """Ask about the code that a base and the folders on it would run. CodeNotAgreedError where nobody agrees to it."""
    from loratui.workers.code import unanswered

    while (code := unanswered(load)) is not None:
        _ask(code, trusted)


def _ask(code: RemoteCode | None, trusted: bool) -> None:
    from loratui.models.trust import agree, not_agreed

    if code is None:
        return
    if not trusted:
        if has_person():
            say(code.question, err=True)
        if not confirm("Run this code?"):
            raise not_agreed(code)
    agree(code)
