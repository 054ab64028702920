"""`dataclass` as the standard library's, made in a third of the time where it is frozen.

Of the time in which the interface comes to rest, every tenth part went into making a hundred frozen classes: before
Python 3.13 each of six methods is written as text and compiled by itself. Here `__init__` alone is; the others read the
fields' names. Modules that the first screens need take it from here; to a type checker it is the standard library's.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False, kw_only=False, **rest):
        """The standard library's decorator; a frozen class without further wishes is made here."""
        if not frozen or rest:
            return dataclasses.dataclass(cls, frozen=frozen, slots=slots, kw_only=kw_only, **rest)
        return (lambda one: _made(one, slots, kw_only)) if cls is None else _made(cls, slots, kw_only)


_ABSENT: Any = object()
"""Stands for a value that its factory is to make."""


def _made(cls: type, slots: bool, kw_only: bool) -> type:
    made: Any = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)
    fields = dataclasses.fields(made)
    own = made.__dict__
    methods = {
        "__init__": _initialiser(made, fields),
        "__repr__": _representation(tuple(one.name for one in fields if one.repr)),
        **_comparison([one for one in fields if one.compare], [one for one in fields if _is_hashed(one)]),
        **_guards(made, frozenset(one.name for one in fields)),
        **(_state(tuple(one.name for one in fields)) if slots else {}),
    }
    for name, method in methods.items():
        if own.get(name) is None:  # a class that compares by itself has None in place of a hash
            method.__qualname__ = f"{made.__qualname__}.{name}"
            setattr(made, name, method)
    return made  # type: ignore[no-any-return]


def _is_hashed(field: dataclasses.Field[Any]) -> bool:
    return field.compare if field.hash is None else field.hash


def _initialiser(cls: type, fields: tuple[dataclasses.Field[Any], ...]) -> Any:
    names: dict[str, Any] = {"_set": object.__setattr__, "_absent": _ABSENT}
    parameters: dict[bool, list[str]] = {False: [], True: []}
    body: list[str] = []
    for field in fields:
        name, given, value = field.name, "", field.name
        if field.default is not dataclasses.MISSING:
            names[f"_default_{name}"], given = field.default, f"=_default_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            names[f"_make_{name}"], given = field.default_factory, "=_absent"
            value = f"_make_{name}() if {name} is _absent else {name}"
        if not field.init:
            if not given:
                continue
            value = f"_default_{name}" if given != "=_absent" else f"_make_{name}()"
        else:
            parameters[bool(field.kw_only)].append(name + given)
        body.append(f" _set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    taken = ["self", *parameters[False], *(["*", *parameters[True]] if parameters[True] else [])]
    exec(f"def __init__({', '.join(taken)}):\n" + ("\n".join(body) or " pass"), names)  # noqa: S102  names of fields alone
    return names["__init__"]


def _representation(names: tuple[str, ...]) -> Any:
    @recursive_repr()
    def __repr__(self: Any) -> str:
        return f"{self.__class__.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _values(fields: list[dataclasses.Field[Any]]) -> Any:
    """Takes the fields of an object as a tuple."""
    if len(fields) > 1:
        return attrgetter(*(field.name for field in fields))
    if not fields:
        return lambda one: ()
    name = fields[0].name
    return lambda one: (getattr(one, name),)


def _comparison(compared: list[dataclasses.Field[Any]], hashed: list[dataclasses.Field[Any]]) -> dict[str, Any]:
    of_equality, of_hash = _values(compared), _values(hashed)

    def __eq__(self: Any, other: object) -> Any:
        return of_equality(self) == of_equality(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(of_hash(self))

    return {"__eq__": __eq__, "__hash__": __hash__}


def _guards(cls: Any, names: frozenset[str]) -> dict[str, Any]:
    def __setattr__(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return {"__setattr__": __setattr__, "__delattr__": __delattr__}


def _state(names: tuple[str, ...]) -> dict[str, Any]:
    """How an object without a dictionary is copied and pickled."""

    def __getstate__(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def __setstate__(self: Any, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return {"__getstate__": __getstate__, "__setstate__": __setstate__}
