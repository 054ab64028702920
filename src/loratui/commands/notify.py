"""`loratui notify`: how people are told of their runs, and a message to try it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from loratui.terminal import fail, ring, say, say_json

if TYPE_CHECKING:
    from loratui.settings import Notify


@click.command()
@click.option("--test", "try_it", is_flag=True, help="Send a message now, by every way that is set.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, try_it: bool, as_json: bool) -> None:
    """Show how you are told when a run ends, diverges, is lost or waits for you; with --test, send a message now.

    It stands in [notify] of settings.toml, in the folder of settings. The address and the token of a webhook may come
    from LORATUI_NOTIFY_WEBHOOK and LORATUI_NOTIFY_TOKEN; what is secret must.
    """
    from loratui.paths import user_settings_path
    from loratui.settings import Notify, read_settings

    settings = read_settings().notify
    facts = _facts(settings)
    if as_json and not try_it:
        say_json({"settings": str(user_settings_path()), **facts})
        return
    if not as_json:
        say(f"settings: {user_settings_path()}")
        for name, field in Notify.model_fields.items():
            value = facts[name]
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            say(f"  {name:<16} {shown or '–':<24} {field.description}")
    if try_it:
        ctx.exit(_try(settings, as_json))


def _facts(settings: Notify) -> dict[str, Any]:
    """The settings as they are in force, without an address that may be secret."""
    from urllib.parse import urlsplit

    from loratui.notify.ways import webhook_of

    host = urlsplit(webhook_of(settings)).netloc.rpartition("@")[2]
    return settings.model_dump(mode="json") | {"webhook": host}


def _try(settings: Notify, as_json: bool) -> int:
    """Send a message by every way; the exit status."""
    from loratui.notify.happening import Happening
    from loratui.notify.ways import NotTold, execute, post, webhook_of

    told = Happening("finished", "a-test", "a-test finished", "This is how loratui tells you.", 0.0, "loratui runs")
    outcome: dict[str, str] = {}
    if settings.command:
        outcome["command"] = ""
        try:
            execute(settings, told)
        except NotTold as error:
            outcome["command"] = str(error)
    if address := webhook_of(settings):
        outcome["webhook"] = ""
        try:
            post(address, settings.form, told)
        except NotTold as error:
            outcome["webhook"] = str(error)
    ring(told.title, told.message, settings.terminal)
    if as_json:
        failed = {way: why for way, why in outcome.items() if why}
        say_json({"sent": [way for way in outcome if way not in failed], "failed": failed})
    else:
        for way, why in outcome.items():
            if why:
                fail(f"the {way} did not take it: {why}.")
            else:
                say(f"the {way} took it.")
        if not outcome:
            say("Neither a command nor a webhook is set: only the terminal that follows a run is rung.")
    return 1 if any(outcome.values()) else 0
