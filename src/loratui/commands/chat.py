"""`loratui chat`: ask a model and its adapter, on the playground's screen or in lines."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from loratui.commands.trust import ask_for_load, trust_option
from loratui.core.errors import InputError, LoratuiError
from loratui.format import harmless
from loratui.terminal import say, say_json
from loratui.tui.start import open_interface

if TYPE_CHECKING:
    from loratui.core.generation import GenerationSettings
    from loratui.workers.client import PlaygroundClient


@click.command()
@click.argument("target", default="last", metavar="[ADAPTER_OR_RUN]")
@click.option(
    "-q",
    "--prompt",
    "prompts",
    multiple=True,
    metavar="TEXT",
    help="Ask this and end; may be repeated. Without it and without a terminal: one prompt a line of standard input.",
)
@click.option(
    "--side", type=click.Choice(["both", "base", "adapter"]), default="both", show_default=True, help="Who answers."
)
@click.option(
    "-s",
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="temperature, top_p, top_k, min_p, repetition_penalty, max_tokens, seed.",
)
@click.option("--system", default="", metavar="TEXT", help="System message, before each prompt or conversation.")
@click.option(
    "--plain",
    is_flag=True,
    help="A conversation in lines instead of a screen: answers as they come, /help for its commands.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a prompt.")
@trust_option
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    prompts: tuple[str, ...],
    side: str,
    settings: tuple[str, ...],
    system: str,
    plain: bool,
    as_json: bool,
    trusted: bool,
) -> None:
    """Ask ADAPTER_OR_RUN (a run, an adapter's folder, or a model; the newest run by default)."""
    if any(not prompt.strip() for prompt in prompts):
        raise InputError("the prompt is empty.", where="--prompt", hint="Write something to answer.")
    if plain and prompts:
        raise InputError("--plain is a conversation; leave it or --prompt out.")
    if not (prompts or plain or as_json or system) and sys.stdin.isatty() and sys.stdout.isatty():
        from loratui.workers.target import find_target

        # a wrong name is one sentence here, not a screen that cannot answer
        ask_for_load(find_target(target).load, trusted)
        ctx.exit(open_interface(screen="playground", adapter=target))
    talk = not as_json and not prompts and (plain or (sys.stdin.isatty() and sys.stdout.isatty()))
    ctx.exit(
        asyncio.run(
            chat_lines(
                target,
                None if talk else prompts or (line.strip() for line in sys.stdin if line.strip()),
                side,
                _settings(settings),
                system=system,
                as_json=as_json,
                trusted=trusted,
            )
        )
    )


def _settings(pairs: tuple[str, ...]) -> GenerationSettings:
    from loratui.core.generation import PRESETS, set_value

    chosen = PRESETS["precise"]
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"{pair!r} has no '='.", where="--set", hint="Write NAME=VALUE, e.g. temperature=0.7.")
        chosen = set_value(chosen, name.strip(), value.strip())
    return chosen


async def chat_lines(
    target: str,
    prompts: Iterable[str] | None,
    side: str,
    settings: GenerationSettings,
    *,
    system: str = "",
    as_json: bool,
    trusted: bool = False,
) -> int:
    """Load once, answer each prompt by itself on standard output, or (None) hold a conversation; 0, or 1 where an
    answer failed.
    """
    from loratui.commands.chat_conversation import Talk
    from loratui.files import make_folder
    from loratui.paths import state_home
    from loratui.tui.playground.conversation import Conversation
    from loratui.workers.client import PlaygroundClient
    from loratui.workers.target import find_target

    found = find_target(target)
    sides = [name for name in found.sides if side in ("both", name)]
    if not sides:
        raise InputError(f"{found.title} has no {side}.", hint=f"It has: {', '.join(found.sides)}.")
    ask_for_load(found.load, trusted)
    if found.note:
        say(found.note, err=True)
    log = state_home() / "playground.log"
    make_folder(log.parent)
    client = PlaygroundClient(log)
    failed = False
    try:
        await client.start(found.load, lambda what: say(what, err=True))
        if prompts is None:
            return await Talk(client, sides, settings, Conversation(system)).begin()
        for prompt in prompts:
            answers = await _ask(client, Conversation(system).messages("", prompt), sides, settings)
            failed |= any("error" in one for one in answers.values())
            _show(prompt, answers, as_json=as_json)
    finally:
        await client.close()
    return int(failed)


async def _ask(
    client: PlaygroundClient, messages: list[dict[str, Any]], sides: list[str], settings: GenerationSettings
) -> dict[str, dict[str, Any]]:
    from loratui.workers.protocol import Done, Failed, Piece

    answers: dict[str, dict[str, Any]] = {name: {"text": ""} for name in sides}
    async for event in client.ask(sides, settings, messages=messages):
        match event:
            case Piece():
                answers[event.side]["text"] += event.text
            case Done():
                answers[event.side] |= {
                    "reason": event.reason,
                    "tokens": event.tokens,
                    "tokens_per_second": round(event.tokens_per_second, 1),
                }
            case Failed():
                if not client.alive:
                    raise LoratuiError(event.message, hint=event.hint)
                for name in [event.side] if event.side else sides:
                    answers[name]["error"] = event.sentence
    return answers


def _show(prompt: str, answers: dict[str, dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        say_json({"prompt": prompt, "answers": answers}, indent=None)
        return
    for name, answer in answers.items():
        text = answer.get("error") or answer["text"].strip()
        say(f"{name}: {harmless(text, 0)}")
