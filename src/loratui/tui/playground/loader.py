"""What is asked: found, loaded by a worker, given back when one stays away; and the line that tells how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from textual import events, on, work
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from loratui.core.errors import LoratuiError
from loratui.format import one_line, size
from loratui.models.trust import not_agreed
from loratui.tui.common.dialogs import ConfirmScreen
from loratui.tui.common.trust import ask_about
from loratui.tui.playground.absent import absent_words
from loratui.tui.playground.session import Session
from loratui.tui.playground.watch import Watch, taken_words
from loratui.workers.code import unanswered
from loratui.workers.protocol import Ready
from loratui.workers.target import Target

IDLE_CLOSE_SECONDS = 180.0
"""A playground that one has left gives its memory back after so long: a training may need it."""
NOTHING = "There is nothing to ask yet. Train something first (step 6), or choose a model (step 2)."
WATCH_SECONDS = 2.0
"""How often the run behind it is looked at."""


@dataclass(frozen=True)
class Wanted:
    """From what the target is chosen: the first that is given, else the newest run (see `choose_target`)."""

    adapter: str
    run: str
    draft_run: str
    draft_model: str


class Loader(Static):
    """The session of a playground, in a few words. take: given each target that was found, before it is loaded.
    may_take: whether another target may be taken now; given whether a question is about to be asked. stop_words: which
    keys stop the loading now; empty where others come first.
    """

    DEFAULT_CSS = """
    Loader { height: auto; max-height: 4; }
    .-short Loader { padding: 0 1; }
    .-tiny Loader { max-height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    SCOPED_CSS = False

    class Settled(Message):
        """What was wanted is loaded, or cannot be. sentence: why nothing can be asked; empty: there is a target."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(
        self,
        take: Callable[[Target], Awaitable[None]],
        may_take: Callable[[bool], bool],
        stop_words: Callable[[], str],
    ) -> None:
        super().__init__(id="target")
        self.session = Session(self._progress)
        self._take = take
        self._wanted: Wanted | None = None
        self._away: object = None
        self._may_take, self._stop_words = may_take, stop_words
        self._doing = ""
        """What the worker said last of the loading."""
        self._watch = Watch()
        self._told = ""
        """What was last told of the run."""
        self._word = ""
        """Why another answers than before."""
        self._opening: Wanted | None = None
        """What is being found, asked about and loaded: the panel that asks gives the screen back when it closes."""
        self._readying = False
        """Whether a question waits while a person is asked or the model is loaded for it."""
        self._fetched: set[str] = set()
        """Whose weights may be fetched: a person said so."""
        self._refusal = ""
        """What a person did not agree to when this was loaded last; empty where nothing."""
        self._at_work: Target | None = None
        """What the worker reads at this moment."""
        self._found: Target | None = None
        """What would answer better, and waits until the person is through."""

    def on_mount(self) -> None:
        self.set_interval(WATCH_SECONDS, self._look)
        self.screen.bindings_updated_signal.subscribe(self, self._keys_changed)

    @on(events.Unmount)
    async def _unmounted(self) -> None:
        await self.session.close()

    def open(self, wanted: Wanted) -> None:
        """Somebody is here: find and load this, unless it is there."""
        self._away = None
        busy = self._readying or self._opening is not None
        if wanted != self._wanted or not (self.session.alive or busy):
            self._wanted, self._word, self._opening = wanted, "", wanted
            self._watch, self._found = Watch(), None
            self.session.begin()
            self._open(wanted)

    @property
    def at_work(self) -> bool:
        """Whether a model is being loaded."""
        return self._at_work is not None

    async def stop(self) -> None:
        """Stop the loading, and give back what it took; the next question loads it."""
        target = self._at_work
        if target is None:
            return
        self.workers.cancel_group(self, "open")
        self.update(
            Content.assemble(
                ("■ ", "$warning"),
                (one_line(target.title, 60), "bold $foreground"),
                ("  not loaded: you stopped it. The next question loads it.", "$text-muted"),
            )
        )
        await self.session.close()

    def leave(self) -> None:
        """Nobody is here: the worker ends after a while."""
        self._away = mark = object()

        def close_if_still_away() -> None:
            if self._away is mark:
                self._close()

        self.set_timer(IDLE_CLOSE_SECONDS, close_if_still_away)

    @work(group="close", exit_on_error=False)
    async def _close(self) -> None:
        self._wanted = None  # first: who comes back while it ends opens it anew
        await self.session.close()

    @work(exclusive=True, group="open", exit_on_error=False)
    async def _open(self, wanted: Wanted) -> None:
        sentence = ""
        try:
            self.update(Content("Looking for something to ask …").stylize("$text-muted"))
            try:
                target = await self.session.find(wanted.adapter, wanted.run, wanted.draft_run, wanted.draft_model)
            except LoratuiError as error:
                sentence = error.sentence
                self._failed(sentence)
                return
            await self._take(target)
            await self._load_what_is_here(target)
        finally:
            if wanted == self._wanted:
                self._opening = None
                self.session.settle()
                self.post_message(self.Settled(sentence))

    async def until_ready(self) -> str:
        """Wait until what was wanted can be asked; why it cannot be, or an empty text. A dead worker is begun anew. Who
        says no while a question waits is not asked the same again for it.
        """
        waited = not self.session.settled
        await self.session.wait()
        if waited and self._refusal:
            return self._refusal
        if self.session.target is None:
            return "There is nothing to ask yet."
        better = await self._better()
        changes = better is not None and self._may_take(True)
        if better is not None and changes:
            await self._change(better)
        target = self.session.target
        if target is None or (self.session.ready is not None and not changes):
            return ""
        self._readying = True
        try:
            absent = "" if target.title in self._fetched else await asyncio.to_thread(absent_words, target)
            if absent and not await self.app.push_screen_wait(
                ConfirmScreen("Fetch the model?", absent, "fetch and load it")
            ):
                return f"{one_line(target.title, 60)} is not fetched: nothing is asked."
            self._fetched.add(target.title)
            return await self._load(target)
        finally:
            self._readying = False

    # The run behind it

    @work(exclusive=True, group="watch", exit_on_error=False)
    async def _look(self) -> None:
        """Tell how far the run is; take what answers better, where nobody is in the midst of something."""
        target = self.session.target
        if self._away is not None or not self.session.settled or target is None or target.run is None:
            return
        better = await self._better()
        if better is not None and self._may_take(False) and self.session.settled:
            self.session.begin()
            self._take_better(better)
        elif (ready := self.session.ready) is not None and self._note(target) != self._told:
            self._ready(target, ready)

    @work(exclusive=True, group="open", exit_on_error=False)
    async def _take_better(self, target: Target) -> None:
        try:
            await self._change(target)
            await self._load_what_is_here(target)
        finally:
            self.session.settle()
            self.post_message(self.Settled(""))

    async def _better(self) -> Target | None:
        """The target that should be asked instead of the present one, if any."""
        target, chosen = self.session.target, bool(self._wanted and self._wanted.adapter)
        if target is None:
            return None
        found = await asyncio.to_thread(self._watch.look, target, chosen=chosen)
        self._found = found or self._found
        return self._found

    async def _change(self, target: Target) -> None:
        """Ask this from now on, once it is loaded, and say why."""
        before, self._found = self.session.target, None
        if before is not None:
            self._word = taken_words(before, target)
        self.session.become(target)
        await self._take(target)

    def _note(self, target: Target) -> str:
        """What a person should know of who answers."""
        waits = "The result is there: it answers from the next question on." if self._found is not None else ""
        return " ".join(part for part in (self._word, waits, self._watch.words, "" if waits else target.note) if part)

    async def _load_what_is_here(self, target: Target) -> None:
        """Load it, where nothing need be fetched that no person was asked about."""
        absent = "" if target.title in self._fetched else await asyncio.to_thread(absent_words, target)
        if absent:
            words = f"▲ {one_line(target.title, 60)}: {absent} A question asks whether to."
            self.update(Content(words).stylize("$warning"))
        else:
            await self._load(target)

    async def _load(self, target: Target) -> str:
        """Have the target's models loaded; why that failed, or an empty text. The line tells it, too."""
        self._refusal = ""
        try:
            while (code := await asyncio.to_thread(unanswered, target.load)) is not None:
                if not await ask_about(self.app, code):
                    self._refusal = not_agreed(code).sentence
                    raise not_agreed(code)
            self._at_work = target
            self.screen.refresh_bindings()
            ready = await self.session.load(target)
        except LoratuiError as error:
            self._failed(error.sentence)
            return error.sentence
        finally:
            self._at_work, self._doing = None, ""
            if self.is_running:
                self.screen.refresh_bindings()
        self._ready(target, ready)
        return ""

    def _keys_changed(self, _: Screen[object]) -> None:
        if self.at_work and self._doing:
            self._progress(self._doing)

    def _progress(self, what: str) -> None:
        self._doing = what
        stops = self._stop_words()
        title = self.session.target.title if self.session.target is not None else ""
        self.update(
            Content.assemble(
                ("◌ ", "$accent"),
                (one_line(title, 60), "bold $foreground"),
                (f"  {one_line(what, 120)} …{stops and f' {stops}'}", "$text-muted"),
            )
        )

    def _failed(self, sentence: str) -> None:
        self.update(Content(f"✗ {one_line(sentence, 400)}").stylize("$error"))

    def _ready(self, target: Target, ready: Ready) -> None:
        held = f" · takes {size(ready.memory_bytes)}" if ready.memory_bytes else ""
        self._told = self._note(target)
        note = f"  ▲ {self._told}" if self._told else ""
        template = "" if ready.chat_template else " · no chat template"
        self.update(
            Content.assemble(
                ("● ", "$success"),
                (one_line(target.title, 60), "bold $foreground"),
                (f"  {ready.device} {ready.dtype}{held}{template}", "$text-muted"),
                (one_line(note, 400), "$warning"),
            )
        )
