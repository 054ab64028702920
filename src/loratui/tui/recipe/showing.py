"""Which fields the recipe shows: all of them, or the everyday ones."""

from __future__ import annotations

from loratui.tui.recipe.trying import TryingScreen

VERY_WIDE = 160


class ShowingScreen(TryingScreen):
    """A step that shows all fields as asked for, else where there is room; its key tells what it would show."""

    _asked: bool | None = None

    @property
    def very_wide(self) -> bool:
        """Whether fields and reasons stand side by side (the breakpoint of the app)."""
        return self.size.width >= VERY_WIDE

    @property
    def everything(self) -> bool:
        """Whether all fields are shown."""
        return self.very_wide if self._asked is None else self._asked

    def ask_for(self, everything: bool) -> None:
        """Show all fields, or the everyday ones, from now on."""
        self._asked = everything
        self.refresh_bindings()

    def action_more(self, everything: bool) -> None:
        """Show all fields, or the everyday ones."""
        self.ask_for(everything)
        self.shown()

    async def do(self, action: str) -> None:
        if action in ("more(True)", "more(False)"):  # the key of what is shown already is hidden, and no refusal
            self.action_more(action == "more(True)")
        else:
            await super().do(action)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "more":
            return parameters != (self.everything,)
        return super().check_action(action, parameters)
