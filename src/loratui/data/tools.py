"""Tools and their calls, from every form that data have them in to the one that chat templates read.

One call is `{"type": "function", "function": {"name": …, "arguments": …}}`, with its id where it has one. Arguments
stay as they came, an object or JSON text: what a template needs is known where it is applied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loratui.data.row import RowError

ARGUMENTS = ("arguments", "parameters", "args", "input", "kwargs")
"""Names that a call's arguments go by."""
SCHEMAS = ("parameters", "input_schema", "inputSchema", "arguments")
"""Names that a tool's schema goes by."""


def tools_of(cell: Any, column: str) -> tuple[Mapping[str, Any], ...]:
    """The tools of a cell: a list, an object or JSON text, in OpenAI's form, bare, or Anthropic's. RowError else."""
    cell = _parsed(cell, column)
    if cell is None or cell == "":
        return ()
    if isinstance(cell, Mapping):
        named = all(isinstance(tool, Mapping) for tool in cell.values()) and "name" not in cell and cell
        many = [{"name": name, **tool} for name, tool in cell.items()] if named and "function" not in cell else [cell]
    else:
        many = cell
    if not isinstance(many, list | tuple):
        raise RowError("type", f"{column} is no list of tools.")
    return tuple(_tool(_parsed(tool, column), number, column) for number, tool in enumerate(many, 1))


def calls_of(value: Any, place: str) -> list[dict[str, Any]]:
    """The calls of an answer: one or a list, objects or JSON text. RowError where a call has no name."""
    value = _parsed(value, place)
    many = list(value) if isinstance(value, list | tuple) else [value]
    return [_call(_parsed(call, place), place) for call in many]


def parted(parts: list[Any]) -> tuple[Any, str | None, list[Any]]:
    """Content parts as what is left of them, the thinking among them, and the calls among them; the parts themselves
    where there are neither.
    """
    rest: list[Any] = []
    thoughts: list[str] = []
    calls: list[Any] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in ("thinking", "reasoning"):
            thoughts.append(str(next((part[key] for key in (kind, "text", "value", "content") if part.get(key)), "")))
        elif kind in ("tool_call", "tool_use", "function_call"):
            calls.append(next((part[key] for key in ("value", kind) if part.get(key)), part))
        else:
            rest.append(part)
    return (rest or ("" if thoughts or calls else parts)), "\n\n".join(thoughts) or None, calls


def _tool(tool: Any, number: int, column: str) -> Mapping[str, Any]:
    if not isinstance(tool, Mapping):
        raise RowError("type", f"tool {number} of {column} is no object.")
    if isinstance(tool.get("function"), Mapping):
        return tool if tool.get("type") else {"type": "function", **tool}
    if "name" not in tool:
        return {"type": "function", "function": dict(tool)}
    schema = next((tool[name] for name in SCHEMAS if isinstance(tool.get(name), Mapping)), None)
    function = {key: value for key, value in tool.items() if key not in (*SCHEMAS, "type")}
    return {"type": "function", "function": function | ({"parameters": schema} if schema is not None else {})}


def _call(call: Any, place: str) -> dict[str, Any]:
    if not isinstance(call, Mapping):
        raise RowError("type", f"{place} has a call that is no object.")
    function = _parsed(call.get("function"), place) if isinstance(call.get("function"), str | Mapping) else None
    inner = function if isinstance(function, Mapping) else call
    if not isinstance(inner.get("name"), str) or not inner["name"]:
        raise RowError("type", f"{place} has a function call without a name.")
    given: Any = next((inner[name] for name in ARGUMENTS if inner.get(name) is not None), {})
    arguments = given if isinstance(given, str | Mapping) else json.dumps(given, ensure_ascii=False)
    kept = {key: call[key] for key in ("id", "index") if call.get(key) is not None}
    return {**kept, "type": "function", "function": {"name": inner["name"], "arguments": arguments}}


def _parsed(value: Any, place: str) -> Any:
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise RowError("json", f"{place} was expected to be JSON and is not: {error}.") from None
