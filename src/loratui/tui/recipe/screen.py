"""The fourth step: every hyperparameter with its value, where it comes from, why, and what it does to the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from loratui.core.errors import LoratuiError
from loratui.core.plan_text import allowed, parse_setting
from loratui.format import one_line
from loratui.tui.common.text import whole_words
from loratui.tui.keys import bindings
from loratui.tui.recipe.course import course
from loratui.tui.recipe.derivation import DerivationScreen, derivation
from loratui.tui.recipe.field_list import NOT_TAKEN, FieldList
from loratui.tui.recipe.find import FindingScreen
from loratui.tui.recipe.rows import field_rows
from loratui.tui.recipe.showing import ShowingScreen
from loratui.tui.recipe.why import nothing_yet, price_words, short_lines, why_lines
from loratui.tui.wizard.change import title
from loratui.tui.wizard.fields import choices_of, kind_of, nudged
from loratui.tui.wizard.missing import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.timer import Timer

    from loratui.core.proposal import Proposal
    from loratui.tui.wizard.change import Change

RESTING_SECONDS = 0.1
"""How long the keys rest before the derivation beside the fields follows."""
WAITING = "…"
"""Stands for the prices until they are known."""


class RecipeScreen(ShowingScreen, FindingScreen):
    """Preset, fields, the reason of the field under the cursor, and the course of the learning rate."""

    CSS_PATH = "recipe.tcss"
    STEP = "recipe"
    HEADING = "Recipe"
    EXPLANATION = "How it will learn: proposed, yours to change."
    HELP_TEXT = (
        "Every value is proposed from your model, data and device; F1 on a field shows the formula with its numbers, "
        "the source, and what the sources disagree about. ← → go a step down or up. A digit or enter begins typing, "
        "and the memory bar answers each keystroke; where there are choices, enter shows them, the arrows point, and "
        "enter takes one. esc leaves the value as it was. What you set is yours: it stays when something else "
        "changes, until r gives it back to the proposal. u takes the last change back.\n\n"
        "m shows all fields, or the everyday ones again; / finds one by its name; p chooses a preset (a starting "
        "point; what you set by hand stands above it), w writes the recipe as a preset of your own, h holds a value so "
        "that nothing else moves it.\n\n"
        "V marks a field (◆): several values of it are tried in short trials, the worse half of them stopped early, "
        "and you are told which is best and whether that is more than chance. Marked fields multiply."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("recipe"),
        Binding(
            "f1",
            "explain",
            "Why",
            key_display="F1",
            id="recipe.why",
            tooltip="The derivation of the field under the cursor, then the keys",
        ),
    ]

    def body(self) -> ComposeResult:
        yield Static(id="preset-line")
        yield Static(id="basis")
        with Container(id="recipe-main"):
            with VerticalScroll(id="fields-box", can_focus=False):
                yield FieldList(id="fields")
            with Vertical(id="beside-fields"):
                with VerticalScroll(id="why-box", can_focus=False):
                    yield Static(id="why")
                yield Static(id="course")

    def on_mount(self) -> None:
        self._fitted = True
        self._resting: Timer | None = None
        self._waiting = False
        self._pricing = False
        self._following = False
        self._begun = False
        self._before: Change | None = None
        """The last change before these fields were first seen: what they were then, nobody knows of."""
        self.hear(self.app.state.plan.changed, self.shown)
        self.hear(self.app.state.choices.varied_changed, self.shown)
        self.hear(self.app.state.check.changed, self._show_basis)
        self.set_focus(self.query_one(FieldList))

    @property
    def fields(self) -> FieldList:
        """The list of fields."""
        return self.query_one(FieldList)

    def on_screen_suspend(self) -> None:
        if self not in self.app.screen_stack:  # left, by whichever way, and not only covered by a panel
            self.fields.end_edit()

    def key_here(self) -> str:
        return self.fields.key

    def problems(self) -> list[Problem]:
        if self.fields.editing and self.fields.error:
            return [Problem(NOT_TAKEN, "#fields")]
        return super().problems()

    # Painting

    def shown(self) -> None:
        plan = self.app.state.plan
        self._show_preset()
        self._show_basis()
        if plan.proposal is not None:
            self._show_fields(plan.proposal, at_once=True)
        if not self._following:
            self._following = True
            self.once_painted(lambda: self.once_painted(self._show_what_follows))
        if self._fitted != (fits := plan.proposal is None or plan.proposal.fits):
            self._fitted = fits
            self.refresh_bindings()
        if plan.problem:
            self.say(plan.problem, "error")
        elif plan.proposal is None:
            model = self.app.state.model
            if model.problem:
                self.say(model.problem, "error")
            else:
                self.say("Looking up model and machine …" if self.app.state.draft.model else "")
            self._waiting = True
        elif self._waiting:
            self._waiting = False
            self.say("")

    def once_painted(self, then: Callable[[], object]) -> None:
        # By way of the fields, which first tell this screen that they are to be painted.
        self.fields.call_later(self.call_later, self.call_after_refresh, then)

    def _show_preset(self) -> None:
        state = self.app.state
        preset = state.plan.preset
        name = preset.title if preset else state.draft.preset
        by_hand = sum(1 for key in state.draft.by_hand if not key.startswith("dataset."))
        held = len(state.draft.held)
        yours = (f" · {by_hand} mine" if by_hand else "") + (f" · {held} held" if held else "")
        line = self.query_one("#preset-line", Static)
        content = Content.assemble(("preset  ", "$text-muted"), (one_line(name, 40), "bold"), (yours, "$accent"))
        room = (line.content_size.width or self.size.width - 6) - len(content) - 3
        words = whole_words(one_line(preset.description if preset else "", 200), room)
        content = Content.assemble(content, (f"   {words}", "$text-muted"))
        if line.content != content:
            line.update(content, layout=False)

    def _show_basis(self) -> None:
        """What the proposal rests on, where that is less than a check."""
        doubt, line = self.app.state.check.doubt, self.query_one("#basis", Static)
        if line.display != bool(doubt):
            line.display = bool(doubt)
        if doubt:
            line.update(Content(f"▲ {doubt}").stylize("$warning"))

    def _show_what_follows(self) -> None:
        """What the values rest on, once these are painted: reasons, prices and the course take several proposals."""
        self._following = False
        if (proposal := self.app.state.plan.proposal) is not None:
            self._show_fields(proposal)
            self._show_course(proposal)
        if self.very_wide or proposal is None:
            self._show_why()
        else:
            self._show_prices()

    def _show_fields(self, proposal: Proposal, *, at_once: bool = False) -> None:
        """at_once: as `field_rows` keeps reasons."""
        kept = {row.key: row for row in self.fields.rows} if at_once else {}
        state = self.app.state
        if not self._begun:
            self._begun, self._before = True, state.plan.change
        change = state.plan.change if state.plan.change is not self._before else None
        self.fields.set_rows(field_rows(proposal, change, self.everything, kept, state.draft.varied))

    def _show_why(self) -> None:
        """The reason of the field under the cursor; once that is painted, what its neighbouring values do to the
        memory. Where the whole derivation stands beside the fields, it follows once the keys rest.
        """
        if self.very_wide:
            if self._resting is not None:
                self._resting.stop()
            self._resting = self.set_timer(RESTING_SECONDS, self._show_derivation)
            return
        self._paint_why(WAITING)
        if not self._pricing:
            self._pricing = True
            self.call_after_refresh(self._show_prices)

    def _show_prices(self) -> None:
        self._pricing = False
        plan, key = self.app.state.plan, self.fields.key
        self._paint_why(price_words(plan, key) if plan.proposal is not None and key else "")

    def _paint_why(self, prices: str) -> None:
        proposal, key = self.app.state.plan.proposal, self.fields.key
        widget = self.query_one("#why", Static)
        if proposal is None or not key:
            widget.update(nothing_yet(self.app.state), layout=False)
            return
        width = max(20, widget.content_size.width or 76)
        height = widget.content_size.height or self.size.height
        widget.update(Content("\n").join(why_lines(proposal, key, prices, width, height)), layout=False)

    def _show_derivation(self) -> None:
        plan, key = self.app.state.plan, self.fields.key
        widget = self.query_one("#why", Static)
        if plan.proposal is None or not key:
            widget.update(nothing_yet(self.app.state))
            return
        width = max(20, widget.content_size.width or 76)
        short = short_lines(plan.proposal, key, price_words(plan, key), width)
        widget.update(Content("\n\n").join([*short, *derivation(key, plan.proposal, width)]))

    def _show_course(self, proposal: Proposal) -> None:
        widget = self.query_one("#course", Static)
        if not (width := widget.content_size.width):
            self.call_after_refresh(self._show_course, proposal)
            return
        height = 8 if self.very_wide and self.size.height >= 40 else 4 if self.size.height >= 30 else 1
        widget.update(course(proposal, width, height), layout=widget.size.height != height)

    def on_resize(self) -> None:
        self.call_after_refresh(self.shown)
        self.call_after_refresh(self.refresh_bindings)  # the width may decide what is shown

    # What the list says

    @on(FieldList.Moved)
    def _moved(self, event: FieldList.Moved) -> None:
        self._show_why()

    @on(FieldList.Nudged)
    def _nudged(self, event: FieldList.Nudged) -> None:
        proposal, key = self.app.state.plan.proposal, event.key
        if proposal is None:
            return
        value, kind = proposal.plan.get(key), kind_of(key)
        if kind in ("choice", "flag"):
            choices = choices_of(key)
            place = choices.index(value) if value in choices else 0
            self._set(key, choices[(place + event.direction) % len(choices)])
        elif kind == "number":
            self._set(key, nudged(key, value, event.direction))
        else:
            self.say("enter begins typing.")

    @on(FieldList.Chosen)
    def _chosen(self, event: FieldList.Chosen) -> None:
        self._set(event.key, event.value)

    def _set(self, key: str, value: Any) -> None:
        try:
            self.app.state.choices.set_value(key, value)
        except LoratuiError as error:
            self.say(error.sentence, "error")
        else:
            if not self.app.state.plan.problem:
                self.say("")
            if key == "model.trust_remote_code" and value is True:
                self._ask_about_code()

    @work(exclusive=True, group="code", exit_on_error=False)
    async def _ask_about_code(self) -> None:
        from loratui.tui.common.trust import may_run_code

        try:
            if (proposal := self.app.state.plan.proposal) is None or await may_run_code(self.app, proposal.plan):
                self.app.check_dataset(again=True)
            else:
                self._set("model.trust_remote_code", False)
        except LoratuiError as error:
            self.say(error.sentence, "error")

    @on(FieldList.Typed)
    def _typed(self, event: FieldList.Typed) -> None:
        state = self.app.state
        if event.first:
            state.choices.begin_edit()
            state.plan.begin_edit()
        try:
            key, value = parse_setting(f"{event.key}={event.text}", where="")
            state.choices.set_value(key, value, remember=False)
        except LoratuiError:
            refused = f"takes {allowed(event.key)}"
        else:
            refused = one_line(state.plan.problem, 200)
        self.fields.say_error(refused)
        self.say("")
        if refused:  # not what was typed on the way to it, either
            state.choices.refuse_edit()

    @on(FieldList.Finished)
    def _finished(self, event: FieldList.Finished) -> None:
        state, error = self.app.state, self.fields.error
        if event.kept and not error:
            state.plan.end_edit()
            return
        state.choices.cancel_edit()
        state.plan.end_edit()
        self.fields.say_error("")
        if event.kept:
            self.say(f"The value stays as it was: it {error}.", "error")
        elif error:
            self.say("")

    # Actions

    def go_to_field(self, key: str) -> None:
        """Put the cursor on a field, and show all of them where it is none of the everyday ones."""
        if key not in {row.key for row in self.fields.rows} and not self.everything:
            self.ask_for(True)
            self.shown()
        if key not in {row.key for row in self.fields.rows}:
            self.say(f"{title(key)} means nothing for this method, objective and machine.")
        self.set_focus(self.fields)
        self.call_after_refresh(self.fields.go_to, key)

    def action_more(self, everything: bool) -> None:
        """Show all fields, or the everyday ones."""
        super().action_more(everything)
        self.call_after_refresh(self.fields.scroll_visible_line, self.fields.place)

    def action_reset(self) -> None:
        """Take the proposed value of the field under the cursor."""
        choices, key = self.app.state.choices, self.fields.key
        if choices.reset_value(key) or choices.release_value(key):
            self.say("Proposed again.", "done")
        else:
            self.say("This value is not yours: it is proposed already, or comes from the preset.")

    def action_hold(self) -> None:
        """Hold the value of the field under the cursor, or let it follow the rest again."""
        state, key = self.app.state, self.fields.key
        proposal = state.plan.proposal
        if proposal is None or not key:
            return
        if key in state.draft.by_hand:
            self.say("This value is yours: nothing moves it; r gives it back to the proposal.")
        elif state.choices.release_value(key):
            self.say(f"{title(key)} follows the rest again.", "done")
        else:
            try:
                state.choices.hold_value(key, proposal.plan.get(key))
            except LoratuiError as error:
                self.say(error.sentence, "error")
            else:
                self.say("Nothing else moves it now; h lets it go.", "done")

    def action_reset_all(self) -> None:
        """Take all proposed values."""
        self.app.state.choices.reset_all()
        self.say("All fields are proposed again; u takes that back.", "done")

    def action_undo(self) -> None:
        """Take the last change back."""
        self.say("Taken back." if self.app.state.choices.undo() else "There is nothing to take back.")

    def action_explain(self) -> None:
        """The derivation of the field under the cursor."""
        proposal = self.app.state.plan.proposal
        if proposal is None or not self.fields.key:
            self.app.action_help()
        else:
            self.app.push_screen(DerivationScreen(self, self.fields.key, proposal))

    @work
    async def action_preset(self) -> None:
        """Choose a preset."""
        from loratui.tui.recipe.presets import PresetScreen

        name = await self.app.push_screen_wait(PresetScreen())
        if name:
            self.app.state.choices.set_preset(name)
            self.say("Preset taken; what you had set by hand stays.", "done")

    @work
    async def action_save_preset(self) -> None:
        """Save this recipe as a preset of one's own."""
        from loratui.tui.recipe.presets import SavePresetScreen

        name = await self.app.push_screen_wait(SavePresetScreen())
        if name:
            self.say(f"Saved as preset {name}.", "done")
