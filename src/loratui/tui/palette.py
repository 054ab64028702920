"""What the command palette holds: every action, step, run, field of the plan, word of the glossary, and theme."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.widgets import Input

from loratui.core.glossary import TERMS, Term
from loratui.format import harmless, one_line
from loratui.tui.common.key_bar import KeyBar, place_of
from loratui.tui.keys import USES
from loratui.tui.wizard.draft import STEPS

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp

ELSEWHERE = ("machine", "dataset", "recipe", "review", "playground")
"""Screens whose actions are there from everywhere: choosing one goes there first."""

PLACEHOLDER = "Find actions, runs, fields, and words to explain"
"""What can be typed; on a terminal of 80 columns it stands whole."""


@dataclass(frozen=True, slots=True)
class Command:
    """One line of the palette. words: what a person may type for it."""

    title: str
    about: str
    run: Callable[[], Any]
    words: str = ""


class OwnHit(DiscoveryHit):
    """A line of ours: it stands before Textual's own, which have the score 0."""

    @property
    def score(self) -> float:
        return 1.0


class WizardCommands(Provider):
    """Everything that can be done from here."""

    async def startup(self) -> None:
        """Look up what stands on the disk, once, away from the keyboard."""
        self._runs = await asyncio.to_thread(_run_names)
        self._experiments = await asyncio.to_thread(_experiment_names)

    @property
    def _loratui(self) -> LoratuiApp:
        return cast("LoratuiApp", self.app)

    async def discover(self) -> Hits:
        for command in (*self._here(), *self._drafts(), self._glossary()):
            yield OwnHit(Content(command.title).markup, command.run, help=Content(command.about).markup)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._all():
            score = max(matcher.match(command.title), matcher.match(command.words) * 0.9 if command.words else 0.0)
            if score > 0:
                title = matcher.highlight(command.title)
                yield Hit(score, title, command.run, text=command.title, help=Content(command.about).markup)

    def _all(self) -> Iterator[Command]:
        yield from self._here()
        yield from self._drafts()
        yield from self._steps()
        yield from self._fields()
        yield from self._actions()
        yield from self._words()
        for name, path in self._runs:
            about = "Show this run"
            yield Command(f"Run: {one_line(name, 80)}", about, partial(self._loratui.show_other_run, path))
        for name in self._experiments:
            show = partial(self._show_experiment, name)
            yield Command(f"Experiment: {one_line(name, 80)}", "Show what its values did", show)
        for theme in sorted(self._loratui.available_themes):
            yield Command(
                f"Theme: {theme}", "Take this theme, and remember it", partial(self._loratui.take_theme, theme)
            )

    def _show_experiment(self, name: str) -> None:
        from loratui.tui.experiment.screen import ExperimentScreen

        self._loratui.push_screen(ExperimentScreen(name))

    def _here(self) -> Iterator[Command]:
        """What works on the screen in front: first what its footer shows, in that order, how the cursor moves last."""
        told: set[str] = set()
        name = self.screen.name or ""
        bindings = self.screen.active_bindings.values()
        for active in sorted(bindings, key=lambda one: _place(one.binding, name)):
            binding = active.binding
            words = binding.tooltip or ""
            own = not type(active.node).__module__.startswith("textual.")
            named = own and bool(words) and not binding.action.startswith("open_step(")
            if active.enabled and named and binding.action not in told:
                told.add(binding.action)
                # Where F1 explains a field, the whole help is behind ?, as the footer says.
                whole = binding.action in ("help", "app.help") and "explain" in told
                key = "?" if whole else self.app.get_key_display(binding)
                title = f"{binding.description or words} ({key})"
                yield Command(title, words, partial(self.app.run_action, binding.action, active.node), words)

    def _drafts(self) -> Iterator[Command]:
        """Those that were kept aside."""
        for other in self._loratui.state.file.others():
            yield Command("Take up the other draft", harmless(other.words), partial(self._loratui.take_up, other))

    def _steps(self) -> Iterator[Command]:
        for number, step in enumerate(STEPS, start=1):
            yield Command(f"Step {number}: {step}", "Go there", partial(self._loratui.open_step, step))
        yield Command("All runs", "Every run of this machine", self._loratui.action_runs)

    def _fields(self) -> Iterator[Command]:
        from loratui.core.plan_text import fields
        from loratui.tui.wizard.fields import GROUPS

        known = fields()
        for key in (key for _, keys in GROUPS for key in keys):
            about = one_line(f"{key}: {known[key].description}", 200)
            yield Command(
                f"Field: {known[key].title}", about, partial(self._loratui.open_field, key), f"{known[key].title} {key}"
            )

    def _glossary(self) -> Command:
        show = partial(self._show_words, tuple(TERMS.values()))
        return Command("Words", "What each word on these screens means", show, "glossary, terms, dictionary")

    def _words(self) -> Iterator[Command]:
        yield self._glossary()
        for term in TERMS.values():
            yield Command(f"Word: {term.word}", term.line, partial(self._show_words, (term,)))

    def _show_words(self, terms: Sequence[Term]) -> None:
        from loratui.tui.common.words import WordsScreen

        self._loratui.push_screen(WordsScreen(terms))

    def _actions(self) -> Iterator[Command]:
        for screen in ELSEWHERE:
            if screen != getattr(self.screen, "STEP", ""):
                for use in USES[screen]:
                    run = partial(self._loratui.do_there, screen, use.action)
                    yield Command(f"{screen.capitalize()}: {use.label}", use.tooltip, run, use.tooltip)


class Palette(CommandPalette):
    """Textual's palette with our lines before its own, and its own keys on the line where a screen has them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take it", priority=True),
        Binding("escape", "escape", "Close"),
    ]
    # Many terminals have no picture of a lens: an empty box stood there.
    DEFAULT_CSS = "Palette #key-bar { dock: bottom; } Palette SearchIcon { display: none; }"

    def __init__(self) -> None:
        super().__init__((*App.COMMANDS, WizardCommands), placeholder=PLACEHOLDER, id="--command-palette")

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield KeyBar()

    async def action_take(self) -> None:
        """Take the line under the cursor."""
        await self.query_one(Input).action_submit()


def open_palette(app: App[Any]) -> None:
    """Open the palette, unless it is open."""
    if not CommandPalette.is_open(app):
        app.push_screen(Palette())


def _place(binding: Binding, screen: str) -> tuple[bool, bool, tuple[int, int]]:
    """Where an action stands in the palette. A letter of the screen that its footer does not show comes before keys
    that move a cursor.
    """
    letter = any(use.action == binding.action for use in USES.get(screen, ()))
    return not binding.show and not letter, not binding.show, place_of(binding, screen)


def _experiment_names() -> list[str]:
    """Every experiment."""
    from loratui.experiments.directory import experiments

    return [one.name for one in experiments()]


def _run_names() -> list[tuple[str, str]]:
    """Name and folder of every run, the newest first; none where they cannot be listed."""
    from loratui.core.errors import LoratuiError
    from loratui.runs.listing import list_runs

    try:
        return [(one.name, str(one.run.path)) for one in list_runs()]
    except (LoratuiError, OSError):
        return []
