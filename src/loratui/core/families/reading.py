"""Values of a config.json, checked: a wrong one is a ModelError that names key and value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from loratui.core.errors import ModelError


class Config(NamedTuple):
    """The part of a config.json that describes the text model.

    values: the keys as written. defaults: what the family's config class in transformers 5.23 sets where a key is
    missing. where: what error sentences name.
    """

    values: Mapping[str, Any]
    defaults: Mapping[str, Any]
    where: str

    def integer(self, key: str, *, least: int = 1, default: int | None = None) -> int:
        """A whole number of at least `least`; `default` stands in for a key that is missing or null.

        Raises ModelError naming key and value where there is none, or another kind of value.
        """
        value = self._value(key)
        if value is None:
            value = default
        if value is None:
            raise ModelError(f"config.json has no {key}.", where=self.where, hint="Is the download whole?")
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ModelError(
                f"config.json says {key} = {value!r}, but it must be a whole number of at least {least}.",
                where=self.where,
            )
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self._value(key)
        return default if value is None else bool(value)

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; empty where the key is missing."""
        value = self._value(key)
        return tuple(item for item in value if isinstance(item, int)) if isinstance(value, list) else ()

    def _value(self, key: str) -> Any:
        value = self.values.get(key)
        return self.defaults.get(key) if value is None else value
