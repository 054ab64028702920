"""Whether the Python code that a model brings may run: asked in a panel, once per model and revision."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from loratui.models.trust import RemoteCode, agree, unanswered
from loratui.tui.common.dialogs import ConfirmScreen

if TYPE_CHECKING:
    from textual.app import App

    from loratui.core.plan import Plan


async def may_run_code(app: App[Any], plan: Plan) -> bool:
    """Whether nothing stands between a plan and its model's own code: none is brought, or the person agrees to it now
    or has before. ModelError where the code cannot be read or fetched.
    """
    code = await asyncio.to_thread(unanswered, plan)
    return code is None or await ask_about(app, code)


async def ask_about(app: App[Any], code: RemoteCode) -> bool:
    """Show what would run and ask; a yes is remembered."""
    if not await app.push_screen_wait(ConfirmScreen("Run this code?", code.question, "run it", "do not run it")):
        return False
    await asyncio.to_thread(agree, code)
    return True
