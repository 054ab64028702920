"""The Textual app: the frame around the screens, and the ends of the program."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.filter import LineFilter, NoColor
from textual.notifications import Notify
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from loratui.format import harmless
from loratui.paths import state_home, themes_path, user_themes_path
from loratui.tui.common.key_bar import KeyBar
from loratui.tui.common.text import NoControls
from loratui.tui.garbage import START_SECONDS, collect_garbage_again
from loratui.tui.themes import VARIABLES, load_themes
from loratui.tui.wizard.background import BackgroundLoading
from loratui.tui.wizard.draft import STEPS, Draft, same_choices
from loratui.tui.wizard.state import WizardState

SCREEN_CLASSES = {
    "machine": "loratui.tui.machine.screen:MachineScreen",
    "model": "loratui.tui.model.screen:ModelScreen",
    "dataset": "loratui.tui.dataset.screen:DatasetScreen",
    "recipe": "loratui.tui.recipe.screen:RecipeScreen",
    "review": "loratui.tui.review.screen:ReviewScreen",
    "training": "loratui.tui.training.screen:TrainingScreen",
    "playground": "loratui.tui.playground.screen:PlaygroundScreen",
    "runs": "loratui.tui.home.screen:HomeScreen",
}
"""Every screen by name; a module is imported when its screen is first opened."""

HOME = "runs"
"""The screen with the runs and the ways on."""
BASE_SCREENS = 1
"""The step in front; above are panels."""

HANGUP_STATUS = 128 + signal.SIGHUP
TERM_STATUS = 128 + signal.SIGTERM

AFTER_TRAINING = ("training", "playground")
"""Whoever comes back from these to a run did not open it there."""


def make_screen(name: str) -> Screen[Any]:
    """A new screen of this name."""
    module, _, attribute = SCREEN_CLASSES[name].partition(":")
    screen = getattr(importlib.import_module(module), attribute)()
    assert isinstance(screen, Screen)
    return screen


class LoratuiApp(BackgroundLoading):
    """The wizard.

    demo: fill every screen with the built-in model and dataset.
    screen: the first screen; by default home where there is something to come back to, else the step that was open.
    run: folder of a run to show on the training screen, or whose adapter the playground takes.
    adapter: folder of an adapter for the playground.
    state: for tests; by default a state whose draft lies in the user's state folder.
    """

    TITLE = "loratui"
    CSS_PATH = "app.tcss"
    SCREENS: ClassVar[dict[str, Callable[[], Screen[Any]]]] = {
        name: partial(make_screen, name) for name in SCREEN_CLASSES
    }
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (160, "-very-wide")]  # noqa: RUF012  Textual declares them so
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012  Textual declares them so
    COMMAND_PALETTE_BINDING = "ctrl+o"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f1,question_mark",
            "help",
            "Help",
            key_display="F1",
            id="app.help",
            tooltip="What this screen is for, and all its keys",
        ),
        Binding("ctrl+q", "quit", "Quit", show=False, key_display="^q", priority=True, id="app.quit.always"),
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Leave; the draft is kept and runs go on"),
        Binding("ctrl+t", "next_theme", "Theme", show=False, id="app.theme", tooltip="Next theme"),
        Binding("ctrl+r", "runs", "Home", show=False, id="app.runs", tooltip="Home: all runs of this machine"),
    ]

    def __init__(
        self, demo: bool = False, screen: str = "", run: str = "", adapter: str = "", state: WizardState | None = None
    ) -> None:
        self._variables: dict[str, dict[str, str]] = {}
        self._lifted: dict[str, dict[str, str]] = {}
        self.theme_names: list[str] = []
        """Our own themes and those of the person."""
        super().__init__()
        self.animation_level = "none"
        self._no_controls = NoControls()
        self._no_color = NoColor()
        if state is None:
            state = WizardState(state_home() / "draft.json", demo=demo)
        state.run.open(run, adapter)
        self.state = state
        self._began = time.time()
        self.farewell = ""
        """What the terminal is told once it is given back."""
        self.sampler = None
        self._first_notices = [state.restore()]
        self.begins_at_home = not screen and not demo and self._something_to_come_back_to()
        """Whether home is the first screen, and was not yet shown."""
        step = state.draft.step if state.draft.step in STEPS else STEPS[0]
        if not self.begins_at_home:  # where it is a way on, it is seen
            self._first_notices.append(state.file.others_words())
        self.before_training = HOME
        self._panel_before_training: Callable[[], Screen[Any]] | None = None
        """The screen from which the training screen was opened."""
        self.first_screen = screen or (HOME if self.begins_at_home else step)
        self._theme_problems: list[str] = []
        self._load_themes()

    def _something_to_come_back_to(self) -> bool:
        """Whether there is a run, or a draft in which something was chosen. A look at names: nothing is read."""
        from loratui.runs.folders import any_run

        return not same_choices(self.state.draft, Draft()) or bool(self.state.file.others()) or any_run()

    def get_default_screen(self) -> Screen[Any]:
        """The first step itself: Textual's own empty screen below it would be laid out, and painted over, again and
        again."""
        first: Screen[Any] = self.get_screen(self.first_screen)
        return first

    def get_screen(self, screen: Any, screen_class: Any = None) -> Any:
        """As Textual does; a screen's looks are read when it is first opened, and only they: Textual reads all anew."""
        found = super().get_screen(screen, screen_class)
        for path in (path for path in found.css_path if not self.stylesheet.has_source(str(path), "")):
            self.stylesheet.read(path)
        return found

    # Looks

    def get_line_filters(self) -> Sequence[LineFilter]:
        # Textual chooses its filter for NO_COLOR before our theme is taken, and would leave greys.
        painted = [self._no_color] if self.no_color else super().get_line_filters()
        return [*painted, self._no_controls]

    def get_css_variables(self) -> dict[str, str]:
        """Those of the theme; where it is not ours, what is written in them can be read all the same."""
        if not self.theme_names:  # Textual asks before ours are known, for a theme that nothing is painted in
            return {}
        variables = super().get_css_variables()
        name = self.current_theme.name
        if name in self.theme_names or self.current_theme.ansi:
            return variables
        if name not in self._lifted:
            from loratui.tui.contrast import legible

            self._lifted[name] = legible(variables)
        self.theme_variables = variables | self._lifted[name]
        return self.theme_variables

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What stands for loratui's own variables in a theme that does not know them."""
        theme = self.current_theme
        name = theme.name
        if VARIABLES.keys() <= theme.variables.keys():
            return {}
        if name not in self._variables:
            generated = theme.to_color_system().generate()
            self._variables[name] = {
                key: generated.get(value[1:], generated["foreground"]) for key, value in VARIABLES.items()
            }
        return self._variables[name]

    def get_loading_widget(self) -> Widget:
        """Nothing that moves: a still word."""
        return Static("…", classes="loading-still")

    def _load_themes(self) -> None:
        themes, self._theme_problems = load_themes(themes_path(), user_themes_path())
        for theme in themes:
            self.register_theme(theme)
        known = [theme.name for theme in themes]
        self.theme_names = known or ["textual-dark"]
        if self.no_color:
            name = "ansi-dark"
        elif self.state.draft.theme in self.available_themes:
            name = self.state.draft.theme
        else:
            name = "loratui-dark" if "loratui-dark" in known else self.theme_names[0]
        if self.available_themes[name].ansi:
            self.theme = name
        else:
            # Taken without a change being told: nothing is painted yet, so the styles need not be read twice.
            self.set_reactive(LoratuiApp.theme, name)
        self.stylesheet.set_variables(self.get_css_variables())

    def action_next_theme(self) -> None:
        """Take the next theme, and remember it."""
        names = [*self.theme_names, "ansi-dark"]
        place = names.index(self.theme) if self.theme in names else -1
        self.take_theme(names[(place + 1) % len(names)])

    def take_theme(self, name: str) -> None:
        """Take a theme, and remember it."""
        self.theme = name
        self.state.choices.set_theme(name)
        self.notify(f"Theme: {name}", markup=False, timeout=2)

    # Beginning and end

    async def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(
            NotImplementedError, RuntimeError, ValueError
        ):  # not on the main thread, as under tests
            loop.add_signal_handler(signal.SIGHUP, self._terminal_gone)
            loop.add_signal_handler(signal.SIGTERM, self._asked_to_end)
        self.state.file.changed.subscribe(self._save)
        if self.first_screen in STEPS:
            self.state.choices.set_step(self.first_screen)
        for sentence in [*self._theme_problems, *self._first_notices]:
            if sentence:
                self.notify(harmless(sentence), markup=False, severity="warning", timeout=8)
        if not gc.isenabled():  # as `open_interface` leaves it
            self.set_timer(START_SECONDS, collect_garbage_again)

    def on_ready(self) -> None:
        """The first frame is painted: what is imported and asked from here on does not delay it."""
        self.look_up_all()

    def _terminal_gone(self) -> None:
        """SIGHUP: write the draft and be gone at once; painting to a dead terminal could block."""
        self.state.file.save()
        os._exit(HANGUP_STATUS)

    def _asked_to_end(self) -> None:
        """SIGTERM: write the draft and give the screen back."""
        self.state.file.save()
        self.exit(return_code=TERM_STATUS)

    def action_help_quit(self) -> None:
        """Who presses ^c would like to leave, or to stop something."""
        self.notify("^q leaves loratui.", markup=False, timeout=4)

    def action_command_palette(self) -> None:
        """Everything that can be done from here; its module is imported when it is first opened."""
        importlib.import_module("loratui.tui.palette").open_palette(self)

    async def action_quit(self) -> None:
        """End, unless the screen in front wants to ask first. The draft is kept."""
        for screen in reversed(self.screen_stack):
            may_quit = getattr(screen, "may_quit", None)
            if may_quit is not None and not may_quit():
                return
        from loratui.tui.farewell import farewell

        self.state.file.save()
        self.farewell = await asyncio.to_thread(farewell, self.state.run.met, self._began)
        self.exit()

    # Moving about

    def open_step(self, step: str) -> None:
        """Bring a step (or `runs`) to the front; it is made when it is first visited and kept from then on."""
        while len(self.screen_stack) > BASE_SCREENS:
            self.pop_screen()
        before = self.screen.name
        if step == "training" and before in SCREEN_CLASSES and before not in AFTER_TRAINING:
            self.before_training, self._panel_before_training = before, None
        self.switch_screen(step)
        if step in STEPS:
            self.state.choices.set_step(step)
        if step in ("recipe", "review"):
            self._measured_worker()

    @work(thread=True, exclusive=True, group="measured", exit_on_error=False)
    def _measured_worker(self) -> None:
        """Runs may have ended since: what they measured tells the time of the next one."""
        from loratui.tui.wizard import loading

        self._take(self.state.plan.take_measurements, loading.load_measurements())

    def push_screen(self, screen: Any, *arguments: Any, **options: Any) -> Any:
        """As Textual does; a panel of ours shows its own keys, on the line where the screen below has its."""
        answer = super().push_screen(screen, *arguments, **options)
        if isinstance(screen, ModalScreen) and screen.has_class("panel-over"):
            if "f1" not in screen._bindings.key_to_bindings:  # a panel hides the app's own keys
                screen._bindings.bind("f1,question_mark", "app.help", "Help", show=False)
            self.call_later(self._show_keys, screen)
        return answer

    async def _show_keys(self, panel: ModalScreen[Any]) -> None:
        if panel.is_running and not panel.query("#key-bar"):
            await panel.mount(KeyBar())

    def show_run(self, path: str) -> None:
        """Show a run on the training screen, and remember it in the draft."""
        self.state.run.start(path)
        self.open_step("training")

    def action_open_step(self, step: str) -> None:
        """For links in the step bar."""
        self.open_step(step)

    def show_other_run(self, path: str, panel: Callable[[], Screen[Any]] | None = None) -> None:
        """Show a run on the training screen; the draft keeps its own. panel: makes the one that is led back to."""
        self.state.run.show(path)
        self.open_step("training")
        self._panel_before_training = panel

    def leave_training(self) -> None:
        """Back to the screen from which the run was opened, and to the panel on it."""
        panel = self._panel_before_training
        self.open_step(self.before_training)
        if panel is not None:
            self.call_after_refresh(lambda: self.push_screen(panel()))

    def open_field(self, key: str) -> None:
        """Go to the recipe, to this field of the plan."""
        self.open_step("recipe")
        self.call_after_refresh(self._in_front, lambda screen: screen.go_to_field(key))

    def do_there(self, step: str, action: str) -> None:
        """Go to a step and do something there; where that is not possible now, it is said."""
        self.open_step(step)
        self.call_after_refresh(self._in_front, lambda screen: screen.do(action))

    def _in_front(self, call: Callable[[Any], object]) -> object:
        return call(self.screen)

    def action_runs(self) -> None:
        """Show all runs."""
        self.open_step(HOME)

    def action_help(self) -> None:
        """What the screen in front is for, and all its keys."""
        from loratui.tui.common.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        else:
            self.push_screen(HelpScreen(self.screen))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A look-up that failed is said on the screen; its traceback goes to the log of defects."""
        if event.state is WorkerState.ERROR and isinstance(event.worker.error, Exception):
            self.tell_defect(event.worker.error)

    def tell_defect(self, error: Exception) -> None:
        """Say that something of ours failed, and keep the traceback in a file."""
        self.notify(self._keep_traceback(error), markup=False, severity="error", timeout=15)

    def _keep_traceback(self, error: Exception) -> str:
        from loratui.defects import defect_sentence

        return harmless(f"A {defect_sentence(error)}", 300)

    def _fatal_error(self) -> None:
        """What Textual calls for an exception that nobody caught: one sentence on the terminal, the traceback to a
        file.
        """
        self.state.file.save()
        error = sys.exc_info()[1]
        said = self._keep_traceback(error) if isinstance(error, Exception) else "loratui was ended."
        if not self._exit_renderables:  # of several, Textual says how to see the others by a tool of its own
            self._exit_renderables.append(said)
        self._close_messages_no_wait()

    # The draft's file

    def _save(self) -> None:
        """At every change, at once: whoever kills the wizard the moment after loses nothing."""
        file = self.state.file
        problem = file.problem
        if not file.save() and file.problem != problem:
            self.notify(harmless(file.problem), markup=False, severity="warning", timeout=10)
        if notice := file.take_notice():
            self.notify(harmless(notice), markup=False, severity="warning", timeout=15)

    def on_notify(self, event: Notify) -> None:
        """A notice that still stands is not shown a second time; Textual shows every other."""
        new = event.notification
        if any(
            (one.message, one.title, one.severity) == (new.message, new.title, new.severity)
            for one in self._notifications
        ):
            event.prevent_default()
