"""The command that does what the wizard would do: its headless twin, to be copied or kept."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from loratui.format import exact_text
from loratui.tui.wizard.draft import Draft
from loratui.tui.wizard.mixing import PARTS, short_parts


def setting_value(value: Any) -> str:
    """A value as `--set KEY=VALUE` takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{column}" for name, column in value.items())
    if isinstance(value, (list, tuple)) and any("," in str(item) for item in value):
        return json.dumps([str(item) for item in value], ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return ",".join(str(item) for item in value)
    return exact_text(value) if isinstance(value, float) else str(value)


def setting_text(key: str, value: Any) -> str:
    """One `--set` as the command line takes it."""
    return f"--set {shlex.quote(f'{key}={setting_value(value)}')}"


def command_text(draft: Draft, file: str = "plan.toml") -> str:
    """`loratui plan … -o plan.toml && loratui train plan.toml`."""
    mix = draft.by_hand.get(PARTS, [])
    parts = ["loratui plan", f"-m {shlex.quote(draft.model or 'demo')}"]
    if mix:
        parts.append(f"--set {shlex.quote(f'{PARTS}={json.dumps(short_parts(mix), ensure_ascii=False)}')}")
    else:
        parts.append(f"-d {shlex.quote(draft.dataset or 'demo')}")
    if draft.preset != "auto":
        parts.append(f"--preset {shlex.quote(draft.preset)}")
    if draft.gpu:
        parts.append(f"--gpu {shlex.quote(draft.gpu)}")
    settings = {key: value for key, value in {**draft.held, **draft.by_hand}.items() if key != PARTS}
    if draft.devices and not draft.gpu:
        settings = {"hardware.devices": draft.devices, **settings}
    if draft.cpu:
        settings = {"hardware.cpu": True, **settings}
    parts += [setting_text(key, value) for key, value in settings.items()]
    return f"{' '.join(parts)} -o {shlex.quote(file)} && loratui train {shlex.quote(file)}"
