"""The ways by which people are told where no terminal is: a program of theirs, and a webhook."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from loratui.core.errors import InputError
from loratui.format import first_line
from loratui.notify.happening import Happening
from loratui.settings import WEBHOOK, Form, Notify

TOKEN = "LORATUI_NOTIFY_TOKEN"
"""Environment variable: what is sent as `Authorization: Bearer`."""
TIMEOUT_SECONDS = 20.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
GRAVE = ("diverged", "failed", "lost", "waits")
TAGS = {"finished": "white_check_mark", "stopped": "octagonal_sign", "waits": "hourglass"}


class NotTold(Exception):
    """It did not arrive. again: whether another try may help."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


def webhook_of(settings: Notify) -> str:
    """The address that messages are posted to; empty for none. InputError where a token would travel unencrypted."""
    address = os.environ.get(WEBHOOK, "").strip() or settings.webhook
    parts = urlsplit(address)
    if address and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise InputError("it is no address of http or https.", where=WEBHOOK)
    if address and settings.form == "ntfy" and not parts.path.strip("/"):
        raise InputError("it names no topic.", where="the webhook of ntfy", hint="Write https://ntfy.sh/my-topic, say.")
    if address and _token() and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise InputError(f"the token in {TOKEN} would go to {parts.hostname} unencrypted.", hint="Use https.")
    return address


def post(address: str, form: Form, told: Happening) -> None:
    """Send it to a webhook. NotTold where it did not arrive."""
    address, body = body_of(address, form, told)
    headers = {"Content-Type": "application/json", "User-Agent": "loratui"}
    if token := _token():
        headers["Authorization"] = f"Bearer {token}"
    asked = urllib.request.Request(address, json.dumps(body).encode(), headers, method="POST")
    host = urlsplit(address).netloc.rpartition("@")[2]
    try:
        with urllib.request.build_opener(_NoRedirect).open(asked, timeout=TIMEOUT_SECONDS) as answer:
            answer.read(1 << 16)
    except urllib.error.HTTPError as error:
        with error:
            why = f"{host} refuses it ({error.code} {first_line(str(error.reason), 80)})"
        raise NotTold(why, again=error.code in (408, 425, 429) or error.code >= 500) from None
    except (OSError, HTTPException, ValueError) as error:
        raise NotTold(f"{host} cannot be reached: {first_line(error, 120)}", again=True) from None


def body_of(address: str, form: Form, told: Happening) -> tuple[str, dict[str, Any]]:
    """Where a message goes, and what is posted there as JSON."""
    text = f"{told.message} {told.command}".strip()
    if form == "slack":
        return address, {"text": f"*{_slack(told.title)}*\n{_slack(told.message)}\n{_slack(told.command)}".strip()}
    if form == "ntfy":
        parts = urlsplit(address)
        above, _, topic = parts.path.rstrip("/").rpartition("/")
        root = urlunsplit((parts.scheme, parts.netloc, f"{above}/", parts.query, ""))
        tag = TAGS.get(told.kind, "rotating_light")
        priority = 4 if told.kind in GRAVE else 3
        return root, {"topic": topic, "title": told.title, "message": text, "priority": priority, "tags": [tag]}
    return address, told.as_json()


def _slack(text: str) -> str:
    """Text in which Slack finds no link, no mention and no format of a stranger's."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("*", "∗").replace("`", "ˋ")


def execute(settings: Notify, told: Happening) -> None:
    """Start the person's program, and wait for it; no shell is between. NotTold where it fails."""
    facts = told.as_json()
    names: Mapping[str, str] = {f"LORATUI_{name.upper()}": str(value) for name, value in facts.items()}
    try:
        done = subprocess.run(
            list(settings.command),
            input=json.dumps(facts) + "\n",
            text=True,
            env={**os.environ, **names},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=settings.command_seconds,
            start_new_session=True,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise NotTold(f"{settings.command[0]} took more than {settings.command_seconds:g} s", again=True) from None
    except (OSError, ValueError) as error:
        raise NotTold(f"{settings.command[0]} cannot be started: {first_line(error, 120)}", again=False) from None
    if done.returncode:
        why = f": {first_line(done.stderr, 120)}" if done.stderr.strip() else ""
        raise NotTold(f"{settings.command[0]} ended with status {done.returncode}{why}", again=True)


def _token() -> str:
    return os.environ.get(TOKEN, "").strip()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Text and token go where the person said, and nowhere else."""

    def redirect_request(self, *given: Any, **more: Any) -> None:
        return None
