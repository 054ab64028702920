"""What a person set for this machine, whatever the plan: `settings.toml` in the folder of settings.

Secrets do not belong there: they come from the environment alone, and what looks like one is refused.
"""

from __future__ import annotations

import os
import shlex
import tomllib
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from loratui.core.errors import InputError
from loratui.core.near import near
from loratui.files import read_document
from loratui.paths import user_settings_path

Kind = Literal["finished", "stopped", "diverged", "failed", "lost", "waits"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Form = Literal["ntfy", "slack", "json"]
Terminal = Literal["off", "bell", "osc9", "osc777"]
WEBHOOK = "LORATUI_NOTIFY_WEBHOOK"
"""Environment variable: the address that messages are posted to, before that of the file."""
SECRET_HOSTS = ("hooks.slack.com", "discord.com", "discordapp.com")
"""Where the address itself is the secret: whoever knows it may write there."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Notify(_Section):
    """How people are told of their runs. The webhook may also stand in LORATUI_NOTIFY_WEBHOOK."""

    on: Annotated[
        tuple[Kind, ...],
        Field(description="Of what: finished, stopped, diverged, failed, lost, waits (for a person)."),
    ] = ("finished", "diverged", "failed", "lost", "waits")
    terminal: Annotated[
        Terminal,
        Field(
            description="The terminal that follows the run: off, bell, osc9 (a message), osc777 (title and message)."
        ),
    ] = "bell"
    command: Annotated[
        tuple[str, ...],
        Field(description="A program and its arguments; it is told by LORATUI_… variables and JSON on its input."),
    ] = ()
    command_seconds: Annotated[float, Field(gt=0, le=600, description="How long that program may take.")] = 30.0
    webhook: Annotated[str, Field(description="An address of http or https that the message is posted to.")] = ""
    form: Annotated[Form, Field(description="As what: ntfy, slack, or json.")] = "json"
    tries: Annotated[
        int, Field(ge=1, le=20, description="How often a webhook or program is tried, ever longer apart.")
    ] = 6

    @field_validator("command", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(shlex.split(value)) if isinstance(value, str) else value  # no shell ever sees it

    @field_validator("webhook")
    @classmethod
    def _an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("it is no address of http or https")
        return value

    @model_validator(mode="after")
    def _no_secret(self) -> Notify:
        parts = urlsplit(self.webhook)
        slack = bool(self.webhook) and self.form == "slack"
        if parts.password or parts.username or slack or (parts.hostname or "") in SECRET_HOSTS:
            raise ValueError("this webhook is a secret: set it in the environment, as LORATUI_NOTIFY_WEBHOOK")
        return self


Tracker = Literal["tensorboard", "wandb", "trackio", "mlflow"]


class Track(_Section):
    """Which trackers follow every run that is started here. Their tokens are read by them, from the environment."""

    live: Annotated[tuple[Tracker, ...], Field(description="tensorboard, wandb, trackio, mlflow.")] = ()
    project: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")] = "loratui"


class Queue(_Section):
    """How runs that wait share this machine."""

    side_by_side: Annotated[
        bool,
        Field(description="Start a run beside others on a GPU where it fits by the estimate; both are slower then."),
    ] = False


class Settings(_Section):
    """The whole file."""

    notify: Notify = Notify()
    track: Track = Track()
    queue: Queue = Queue()


def has_way(settings: Notify) -> bool:
    """Whether anybody can be told without a terminal."""
    return bool(settings.command or os.environ.get(WEBHOOK, "").strip() or settings.webhook)


def read_settings() -> Settings:
    """The settings; the usual ones where there is no file. InputError in one sentence where it cannot be used."""
    path = user_settings_path()
    try:
        found = tomllib.loads(read_document(path))
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise InputError(f"the settings cannot be read: {error.strerror or error}.", where=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"it is no TOML: {error}.", where=str(path)) from None
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"]]
        why = str(first["msg"]).removeprefix("Value error, ")
        hint = ""
        if first["type"] == "extra_forbidden":
            sections: dict[str, type[BaseModel]] = {"notify": Notify, "track": Track, "queue": Queue}
            known = sections.get(place[0], Settings).model_fields if len(place) > 1 else Settings.model_fields
            meant = near(place[-1], known)
            why = "there is no such setting"
            hint = f"Did you mean {meant[0]}?" if meant else f"There are: {', '.join(known)}."
        raise InputError(
            f"{why[:1].lower()}{why[1:].rstrip('.')}.", where=f"{path}: {'.'.join(place)}", hint=hint
        ) from None
