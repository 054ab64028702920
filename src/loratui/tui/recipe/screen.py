"""The fourth step: every hyperparameter with its value, where it comes from, why, and what it does to the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from loratui.format import number_text, one_line, size, value_text
from loratui.tui.common.rate_curve import rate_curve
from loratui.tui.common.text import wrap
from loratui.tui.frame.step import StepScreen
from loratui.tui.recipe.field_list import FieldList, FieldRow
from loratui.tui.wizard.missing import Problem

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal


METHODS = {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}


class RecipeScreen(StepScreen):
    """Preset, fields, the reason of the field under the cursor, and the course of the learning rate."""

    STEP = "recipe"
    HEADING = "Recipe"
    EXPLANATION = "How it will learn: proposed, and yours to change."
    HELP_TEXT = (
        "Every value is proposed from your model, data and device; F1 on a field shows the formula with its numbers, "
        "the "
        "source, and what the sources disagree about. ← → go a step down or up, a digit or enter begins typing, and "
        "the "
        "memory bar answers each keystroke. What you set is yours: it stays when something else changes, until r "
        "gives it "
        "back to the proposal. u takes the last change back.\n\n"
        "m shows all fields, p chooses a preset (a starting point; what you set by hand stands above it), "
        "s saves the recipe as a preset of your own."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "more", "All fields", tooltip="Show all fields, or the everyday ones"),
        Binding("p", "preset", "Preset", tooltip="Choose a preset"),
        Binding("r,delete", "reset", "Reset", key_display="r", tooltip="Take the proposed value again"),
        Binding("u,ctrl+z", "undo", "Undo", key_display="u", tooltip="Take the last change back"),
        Binding("R", "reset_all", "Reset all", show=False, key_display="R", tooltip="Take all proposed values again"),
        Binding("s", "save_preset", "Save as preset", tooltip="Save this recipe as a preset of your own"),
        Binding(
            "f1,question_mark",
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
        with VerticalScroll(id="fields-box", can_focus=False):
            yield FieldList(id="fields")
        yield Static(id="why")
        yield Static(id="course")

    def on_mount(self) -> None:
        self.everything = False
        self._waiting = False
        self._pricing = False
        self.hear(self.app.state.plan.changed, self.shown)
        self.hear(self.app.state.check.changed, self._show_basis)
        self.set_focus(self.query_one(FieldList))

    @property
    def fields(self) -> FieldList:
        """The list of fields."""
        return self.query_one(FieldList)

    def problems(self) -> list[Problem]:
        if self.fields.editing and self.fields.error:
            return [Problem(self.fields.error, "#fields")]
        return super().problems()

    # Painting

    def shown(self) -> None:
        plan = self.app.state.plan
        self._show_preset()
        self._show_basis()
        if plan.proposal is not None:
            self._show_fields(plan.proposal)
            self._show_course(plan.proposal)
        self._show_why()
        if plan.problem:
            self.say(plan.problem, "error")
        elif plan.proposal is None:
            self.say(
                "Looking up model and machine …"
                if self.app.state.draft.model
                else "Choose a model first: F3 goes there."
            )
            self._waiting = True
        elif self._waiting:
            self._waiting = False
            self.say("")

    def _show_preset(self) -> None:
        state = self.app.state
        preset = state.plan.preset
        name = preset.title if preset else state.draft.preset
        mine = sum(1 for key in state.draft.mine if not key.startswith("dataset."))
        yours = f" · {mine} set by you" if mine else ""
        self.query_one("#preset-line", Static).update(
            Content.assemble(
                ("preset  ", "$text-muted"),
                (one_line(name, 40), "bold"),
                (yours, "$accent"),
                ("   " + one_line(preset.description if preset else "", 200), "$text-muted"),
            ),
            layout=False,
        )

    def _show_basis(self) -> None:
        """What the proposal rests on, where that is less than a check."""
        doubt, line = self.app.state.check.doubt, self.query_one("#basis", Static)
        if line.display != bool(doubt):
            line.display = bool(doubt)
        if doubt:
            line.update(Content(f"▲ {doubt}").stylize("$warning"))

    def _show_fields(self, proposal: Proposal) -> None:
        from loratui.core.plan_text import fields
        from loratui.tui.recipe.fields import kind_of, shown_keys, unit_of

        known = fields()
        rows: list[FieldRow] = []
        for group, keys in shown_keys(proposal.plan.method.kind, self.everything, proposal.device.count):
            if self.everything:
                rows.append(FieldRow("", group))
            for key in keys:
                rows.append(
                    FieldRow(
                        key,
                        str(known[key].title),
                        proposal.plan.get(key),
                        unit_of(key, proposal.plan.get(key)),
                        proposal.origins.get(key, ""),
                        proposal.why(key) or str(known[key].description),
                        kind_of(key),
                        METHODS.get(str(proposal.plan.get(key)), "") if key == "method.kind" else "",
                        self._proposed(proposal, key),
                    )
                )
        self.fields.set_rows(rows)

    @staticmethod
    def _proposed(proposal: Proposal, key: str) -> str:
        reason = proposal.recommendations.get(key)
        return (
            "" if reason is None or reason.value == proposal.plan.get(key) else one_line(value_text(reason.value), 40)
        )

    def _show_why(self) -> None:
        """The reason of the field under the cursor; once that is painted, what its neighbouring values do to the
        memory.
        """
        self._paint_why("…")
        if not self._pricing:
            self._pricing = True
            self.call_after_refresh(self._show_prices)

    def _show_prices(self) -> None:
        self._pricing = False
        self._paint_why(self._prices())

    def _prices(self) -> str:
        """What the next values of the field under the cursor do to the memory."""
        from loratui.tui.recipe.fields import neighbours

        plan, key = self.app.state.plan, self.fields.key
        if plan.proposal is None or not key:
            return ""
        told = []
        for value in neighbours(key, plan.proposal.plan.get(key)):
            change = plan.memory_if(key, value)
            if change is not None:
                name = METHODS.get(str(value), value_text(value)) if key == "method.kind" else value_text(value)
                told.append(
                    (
                        f"{name}: {'+' if change > 0 else '−'}{size(abs(change))}" if change else f"{name}: the same",
                        change,
                    )
                )
        if not told:
            return ""
        return (
            " · ".join(text for text, _ in told)
            if any(change for _, change in told)
            else "the same, whatever the value"
        )

    def _paint_why(self, prices: str) -> None:
        proposal, key = self.app.state.plan.proposal, self.fields.key
        widget = self.query_one("#why", Static)
        if proposal is None or not key:
            widget.update(Content(""), layout=False)
            return
        from loratui.core.plan_text import fields

        field, reason = fields()[key], proposal.recommendations.get(key)
        lines = [Content.assemble((f"{field.title}  ", "bold"), (one_line(str(field.description), 300), "$foreground"))]
        pairs = [("memory", prices)]
        if reason is not None:
            proposed = self._proposed(proposal, key)
            rule = (
                f" Rule of thumb: {one_line(value_text(reason.rule_of_thumb), 40)}."
                if reason.rule_of_thumb is not None
                else ""
            )
            instead = proposal.instead(key)
            price = f" ({instead.cost})" if instead else ""
            before = f"Proposed: {proposed}{price}. " if proposed else ""
            lines.append(Content(f"{before}{one_line(reason.why, 300)}{rule}").stylize("$text-muted"))
            pairs += [("up", reason.up), ("down", reason.down), ("formula", reason.formula)]
        for word, text in pairs:
            if text:
                first, *more = wrap(one_line(text, 400), max(20, (widget.content_size.width or 76) - 9))
                lines.append(Content.assemble((f"{word:<8} ", "bold $text-muted"), (first, "$text-muted")))
                lines += [Content(" " * 9 + line).stylize("$text-muted") for line in more]
        lines.append(Content("F1 tells the source, and what the sources disagree about.").stylize("$text-muted"))
        widget.update(Content("\n").join(lines), layout=False)

    def _show_course(self, proposal: Proposal) -> None:
        from loratui.core.schedule import curve

        widget = self.query_one("#course", Static)
        schedule, training = proposal.schedule, proposal.plan.training
        tall = self.size.height >= 30
        width = min(60, max(16, (widget.content_size.width or 70) - 50))
        lines = rate_curve(curve(proposal.plan, schedule, 120), width, 4 if tall else 1)
        words = [
            f"{schedule.total_steps:,} steps of {schedule.effective_batch_size:,} rows",
            f"{training.scheduler}, peak {number_text(training.learning_rate)}",
            f"warm-up {schedule.warmup_steps:,} of {schedule.total_steps:,} steps",
            f"{schedule.steps_per_epoch:,} steps an epoch",
        ]
        if not tall:
            widget.update(
                Content.assemble(
                    (f"{words[0]}  ", "$foreground"), (lines[0], "$accent"), (f"  {words[1]}", "$text-muted")
                ),
                layout=False,
            )
            return
        widget.update(
            Content("\n").join(
                Content.assemble((line, "$accent"), "   ", (word, "$foreground" if number == 0 else "$text-muted"))
                for number, (line, word) in enumerate(zip(lines, words, strict=True))
            ),
            layout=False,
        )

    def on_resize(self) -> None:
        self.call_after_refresh(self.shown)

    # What the list says

    @on(FieldList.Moved)
    def _moved(self, event: FieldList.Moved) -> None:
        self._show_why()

    @on(FieldList.Nudged)
    def _nudged(self, event: FieldList.Nudged) -> None:
        from loratui.tui.recipe.fields import choices_of, kind_of, nudged

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

    def _set(self, key: str, value: Any) -> None:
        from loratui.core.errors import LoratuiError

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
        from loratui.core.errors import LoratuiError
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
        from loratui.core.errors import LoratuiError
        from loratui.core.plan_text import allowed, parse_setting

        state = self.app.state
        if event.first:
            state.choices.begin_edit()
            state.plan.begin_edit()
        try:
            key, value = parse_setting(f"{event.key}={event.text}", where="")
            state.choices.set_value(key, value, remember=False)
        except LoratuiError:
            self.fields.say_error(f"takes {allowed(event.key)}")
        else:
            self.fields.say_error(one_line(state.plan.problem, 200))

    @on(FieldList.Finished)
    def _finished(self, event: FieldList.Finished) -> None:
        state = self.app.state
        if event.kept and not self.fields.error:
            state.plan.end_edit()
            return
        error = self.fields.error
        state.choices.cancel_edit()
        state.plan.end_edit()
        self.fields.say_error("")
        if event.kept:
            self.say(f"The value stays as it was: it {error}.", "error")

    # Actions

    def action_more(self) -> None:
        """Show all fields, or the everyday ones."""
        self.everything = not self.everything
        self.shown()
        self.call_after_refresh(self.fields.scroll_visible_line, self.fields.place)

    def action_reset(self) -> None:
        """Take the proposed value of the field under the cursor."""
        if self.app.state.choices.reset_value(self.fields.key):
            self.say("Proposed again.", "done")
        else:
            self.say("This value is not yours: it is proposed already, or comes from the preset.")

    def action_reset_all(self) -> None:
        """Take all proposed values."""
        self.app.state.choices.reset_all()
        self.say("All fields are proposed again; u takes that back.", "done")

    def action_undo(self) -> None:
        """Take the last change back."""
        self.say("Taken back." if self.app.state.choices.undo() else "There is nothing to take back.")

    def action_explain(self) -> None:
        """The derivation of the field under the cursor."""
        from loratui.tui.recipe.derivation import DerivationScreen

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
