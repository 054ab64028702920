"""Fixtures that tests of several floors share."""

from __future__ import annotations

from hub_standin import hub

__all__ = ["hub"]
