"""The recipe's way to an experiment: a field is marked, its values are proposed, and the panel shows what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work

from loratui.core.errors import InputError, LoratuiError
from loratui.tui.frame.step import StepScreen

if TYPE_CHECKING:
    from loratui.core.plan import Plan


class TryingScreen(StepScreen):
    """What a screen with a field under the cursor does to have several values of it tried."""

    def key_here(self) -> str:
        """The plan key under the cursor; empty where there is none."""
        raise NotImplementedError

    @work(group="try", exclusive=True, exit_on_error=False)
    async def action_vary(self) -> None:
        """Mark the field under the cursor, and show what its values take to be tried against each other."""
        state, key = self.app.state, self.key_here()
        plan, situation = state.plan.proposal, state.plan.situation()
        try:
            self._require_ready()
            if plan is None or situation is None or not key:
                self.say("There is no plan yet: model and machine are still being looked up.", "error")
                return
            if key not in state.draft.varied:
                values = await self._first_values(plan.plan, key)
                if not values:
                    return
                state.choices.vary(key, values)
        except LoratuiError as error:
            self.say(f"{error.message} {error.hint}".strip(), "error")
            return
        from loratui.tui.experiment.begin import TryScreen
        from loratui.tui.experiment.screen import ExperimentScreen

        name = await self.app.push_screen_wait(TryScreen(plan.plan, situation, state.choices.vary, key))
        if name:
            for varied in list(state.draft.varied):
                state.choices.vary(varied, "")
            self.app.push_screen(ExperimentScreen(name))
        elif marked := len(state.draft.varied):
            fields = "1 field is" if marked == 1 else f"{marked} fields are"
            self.say(f"{fields} marked (◆). V on another one marks it, too; V on a marked one shows what all take.")

    def _require_ready(self) -> None:
        """InputError where no experiment could begin here, whatever is varied."""
        from loratui.experiments.halving import require_installed

        require_installed()
        state = self.app.state
        if blocking := state.ready():
            raise InputError(blocking[0].sentence)
        if state.draft.gpu:
            raise InputError(f"This plan is for {state.draft.gpu}: trials wait in this machine's queue.")

    async def _first_values(self, plan: Plan, key: str) -> str:
        """The values that are proposed, else those that the person types; empty where they would rather not. InputError
        where the key cannot vary.
        """
        from loratui.core.plan_text import allowed, fields
        from loratui.experiments.vary import require_free
        from loratui.tui.common.dialogs import AskLineScreen
        from loratui.tui.recipe.tried import offered_values, typed_values

        require_free(plan, {key: []})
        offered = offered_values(plan, key)
        if len(offered) > 1:
            return typed_values(offered)
        title = f"Values of {fields()[key].title}, with commas between"
        needed = "Values are needed here; esc leaves the field unmarked."
        asked = AskLineScreen(title, f"each {allowed(key)}", typed_values(offered), needed=needed)
        return await self.app.push_screen_wait(asked)
