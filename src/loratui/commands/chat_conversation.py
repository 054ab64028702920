"""`loratui chat --plain`: a conversation in lines, in any terminal. Every side goes on from its own answers.

Answers go to standard output while they come, everything else to standard error.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loratui.core.errors import InputError, LoratuiError, WorkerError
from loratui.core.generation import GenerationSettings, set_value
from loratui.files import write_whole
from loratui.paths import without_tilde
from loratui.terminal import say
from loratui.tui.playground.conversation import Conversation
from loratui.workers.protocol import Done, Failed, Piece

if TYPE_CHECKING:
    from loratui.workers.client import PlaygroundClient

HELP = """\
/system TEXT          begin anew with this system message; /system off: without one; /system: show it
/reset                begin anew; the system message stays
/undo                 take the last question and its answers back
/settings NAME=VALUE  change how answers are generated; /settings: show it
/save FILE.jsonl      write the conversation, a row for each side
/help                 these lines
/quit                 end (so does ctrl+d); ctrl+c stops an answer
A line that begins with // is asked with one / less."""


@dataclass
class Talk:
    """A conversation that is going on. `failed`: whether an answer could not be given."""

    client: PlaygroundClient
    sides: list[str]
    settings: GenerationSettings
    said: Conversation = field(default_factory=Conversation)
    failed: bool = False

    async def begin(self) -> int:
        """Answer line by line until the input ends; 0, or 1 where an answer failed."""
        if sys.stdin.isatty():
            say("Write a question; /help lists what else there is.", err=True)
        for line in _lines():
            if not line.startswith("/") or line.startswith("//"):
                await self._answer(line.removeprefix("/") if line.startswith("//") else line)
                continue
            word, _, rest = line.partition(" ")
            if word in ("/quit", "/exit"):
                break
            try:
                self._obey(word, rest.strip())
            except LoratuiError as error:
                say(error.sentence, err=True)
        return int(self.failed)

    def _obey(self, word: str, rest: str) -> None:
        """One command. InputError where there is none of this name, or it cannot be done."""
        match word:
            case "/help":
                say(HELP, err=True)
            case "/system" if not rest:
                say(
                    f"System message: {self.said.system}" if self.said.system else "There is no system message.",
                    err=True,
                )
            case "/system":
                self.said.use_system("" if rest == "off" else rest)
                say(f"Begun anew {'with' if self.said.system else 'without'} a system message.", err=True)
            case "/reset":
                self.said.clear()
                say("Begun anew." + (" The system message stays." if self.said.system else ""), err=True)
            case "/undo":
                question = self.said.take_back()
                say(f"Taken back: {question}" if question else "There is nothing to take back.", err=True)
            case "/settings":
                for pair in rest.split():
                    name, equals, value = pair.partition("=")
                    if not equals:
                        raise InputError(f"{pair!r} has no '='.", hint="Write NAME=VALUE, e.g. temperature=0.7.")
                    self.settings = set_value(self.settings, name, value)
                say(", ".join(f"{name} {value}" for name, value in self.settings.model_dump().items()), err=True)
            case "/save":
                self._save(rest)
            case _:
                raise InputError(
                    f"there is no command {word}.", hint="/help lists them; write // to ask a line with /."
                )

    def _save(self, name: str) -> None:
        if not name:
            raise InputError("/save needs a file.", hint="Write /save FILE.jsonl.")
        if not self.said.turns:
            raise InputError("nothing was said yet.")
        file = without_tilde(name)
        if file.exists():
            raise InputError("it is there already.", where=str(file), hint="Name another file.")
        rows = [{"side": side, "messages": self.said.told(side)} for side in self.sides]
        try:
            write_whole(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        except OSError as error:
            raise InputError(f"it cannot be written: {error.strerror or error}.", where=str(file)) from None
        asked = len(self.said.turns)
        what = "one question and its answers" if asked == 1 else f"{asked} questions and their answers"
        say(f"Saved in {file}: {what}.", err=True)

    async def _answer(self, question: str) -> None:
        """All sides answer, one after the other. What could not be answered, or was stopped before its first word, is
        not gone on from."""
        answers = {}
        for side in self.sides:
            text = await self._one(side, question)
            if text is None:
                return
            answers[side] = text
        if any(answers.values()):
            self.said.ask(question, None)
            self.said.answered(answers)

    async def _one(self, side: str, question: str) -> str | None:
        """One side's answer, streamed; as far as it came where it was stopped, None where it failed."""
        loop = asyncio.get_running_loop()
        stops: set[asyncio.Task[None]] = set()
        loop.add_signal_handler(signal.SIGINT, lambda: stops.add(loop.create_task(self.client.stop())))
        text, failure = "", ""
        if len(self.sides) > 1:
            say(f"{side}: ", end="")
        try:
            async for event in self.client.ask([side], self.settings, messages=self.said.messages(side, question)):
                match event:
                    case Piece():
                        # white space before the first word is part of the answer, but not of the line
                        say(event.text if text.strip() else event.text.lstrip(), end="")
                        sys.stdout.flush()
                        text += event.text
                    case Done():
                        say("…" if event.reason != "stop token" else "")
                        if event.reason == "stopped":
                            say("(stopped)", err=True)
                        elif event.reason != "stop token":
                            say(f"(cut after {event.tokens} tokens; /settings max_tokens=N allows more)", err=True)
                    case Failed():
                        failure = event.sentence
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            await asyncio.gather(*stops, return_exceptions=True)
        if failure:
            say()
            if not self.client.alive:
                raise WorkerError(failure)
            say(failure, err=True)
            self.failed = True
            return None
        return text.strip()


def _lines() -> Iterator[str]:
    """What is typed, line by line; a terminal is asked with a prompt sign, and ctrl+c there ends the program."""
    while True:
        if sys.stdin.isatty():
            say("> ", end="", err=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()
