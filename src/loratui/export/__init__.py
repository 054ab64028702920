"""A plan as other tools' files: text, companion files, and a list of what did not carry over. Pure functions of the
plan.
"""

from __future__ import annotations

from loratui.export.document import Export, Rows
from loratui.export.tools import TOOLS, export_plan

__all__ = ["TOOLS", "Export", "Rows", "export_plan"]
