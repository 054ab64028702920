"""A group of commands, each imported when it is called: what `--help` reads of them is a list of words."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class NearGroup(click.Group):
    """Commands by name; where there is none of that name, the nearest is named."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            from loratui.core.near import near

            meant = near(name, self.list_commands(ctx))
            hint = f"Did you mean {meant[0]!r}?" if meant else f"`{ctx.command_path} --help` lists the commands."
            raise click.UsageError(f"There is no command {name!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(NearGroup):
    """Commands by name, in `loratui.commands`, each with its line of help."""

    def __init__(self, *, listed: Mapping[str, str], modules: Mapping[str, str] | None = None, **options: Any) -> None:
        """listed: names and their words. modules: where a command's module has another name."""
        super().__init__(**options)
        self.listed, self._modules = listed, modules or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.listed:
            return None
        module = self._modules.get(cmd_name, cmd_name)
        command = importlib.import_module(f"loratui.commands.{module}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.listed.items()))
