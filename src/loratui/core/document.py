"""What every pydantic document here has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A frozen document that refuses unknown keys; units and sources are the fields' own. Raises
    pydantic.ValidationError.

    What checks its values is built when it is first needed: a section's own, beside that of its plan, seldom is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
