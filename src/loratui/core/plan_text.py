"""A plan as TOML text and back, and `key=value` settings: with errors that name key, value and what is allowed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from loratui.core.columns import read_columns
from loratui.core.dataset_part import DatasetPart
from loratui.core.errors import PlanError
from loratui.core.field_words import choices, is_finite, takes
from loratui.core.near import near
from loratui.core.parts_text import PARTS, read_parts
from loratui.core.plan import Plan
from loratui.format import lowered

END_MARK = "# The plan ends here."
"""Last line of every plan that is written: what lacks it may have been cut."""
LAST_BEFORE_THE_MARK = "hardware.parallelism"
"""Last key of the plans that were written before there was a mark."""
AFTER_THE_MARK = "cluster"
"""The section that came since: a plan that has it had the mark."""

PATH_KEYS = ("model.id", "model.chat_template", "dataset.path", "dataset.eval_path", "lora.adapter")
"""Keys of a plan that may name a file or folder."""


@cache
def fields() -> dict[str, FieldInfo]:
    """Every dotted key of a plan with its pydantic field (title, description, bounds)."""
    found: dict[str, FieldInfo] = {}
    for section, info in Plan.model_fields.items():
        nested = getattr(info.annotation, "model_fields", None)
        for name, field in (nested or {}).items():
            found[f"{section}.{name}"] = field
    return found


def label_of(key: str, *, within: bool = False) -> str:
    """How a key is called wherever a person reads it. within: in the middle of a sentence."""
    label = str(fields()[key].title)
    return lowered(label) if within else label


def allowed(key: str) -> str:
    """What a key takes, in words: its choices, or its type and bounds."""
    return takes(fields()[key])


def check_key(key: str, *, where: str = "") -> None:
    """Raise PlanError when no plan has this dotted key, naming the nearest one."""
    if key in fields():
        return
    meant = near(key, fields())
    if not meant:
        meant = [name for name in fields() if name.endswith("." + key.rpartition(".")[2])][:1]
    hint = f"Did you mean {meant[0]}?" if meant else f"Keys are: {', '.join(fields())}."
    raise PlanError(f"there is no key {key}.", where=where, hint=hint)


def check_value(key: str, value: Any, *, where: str = "") -> Any:
    """The value as the plan holds it; PlanError naming key, value and what is allowed.

    A whole number is taken for a float, text for a number where it reads as one.
    """
    check_key(key, where=where)
    if key == PARTS:
        return read_parts(value, where)
    field = fields()[key]
    try:
        if not is_finite(value):
            raise ValueError
        return _adapter(key).validate_python(value)
    except (ValueError, OverflowError):  # pydantic's own is a ValueError
        shown = json.dumps(value, ensure_ascii=False, default=str)
        raise PlanError(
            f"{key} = {shown} is not allowed.", where=where, hint=f"{field.title} takes {allowed(key)}."
        ) from None


@cache
def _adapter(key: str) -> TypeAdapter[Any]:
    field = fields()[key]
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, *field.metadata] if field.metadata else annotation)


def parse_setting(text: str, *, where: str = "--set") -> tuple[str, Any]:
    """`lora.r=32` as ("lora.r", 32). Lists are comma-separated; numbers, true and false are read as such.

    Raises PlanError where the text has no `=`, or names a key that no plan has.
    """
    key, equals, words = text.partition("=")
    key, words = key.strip(), words.strip()
    if not equals:
        raise PlanError(f"{text!r} has no '='.", where=where, hint="Write KEY=VALUE, e.g. lora.r=32.")
    check_key(key, where=where)
    return key, check_value(key, _read(key, words), where=where)


def _read(key: str, words: str) -> Any:
    annotation = fields()[key].annotation
    kinds = {get_origin(kind) or kind for kind in (annotation, *get_args(annotation))}
    if words[:1] in "[{" and words:
        try:
            return json.loads(words)
        except ValueError:
            return words
    if dict in kinds:
        return read_columns(words)
    if list in kinds and words not in choices(annotation):
        return [part.strip() for part in words.split(",") if part.strip()]
    if bool in kinds:
        return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(
            words.lower(), words
        )
    return words


def plan_from_document(document: Mapping[str, Any], *, where: str = "") -> Plan:
    """A plan from parsed TOML or JSON; PlanError for the first unknown key or value that is not allowed."""
    version = document.get("version", 1)
    if version != 1:
        raise PlanError(
            f"version = {version!r} is not allowed.", where=where, hint="This loratui reads plans of version 1."
        )
    checked: dict[str, dict[str, Any]] = {}
    for section, values in document.items():
        if section == "version":
            continue
        if section not in Plan.model_fields:
            meant = near(section, Plan.model_fields)
            hint = (
                f"Did you mean [{meant[0]}]?"
                if meant
                else f"Sections are: {', '.join(s for s in Plan.model_fields if s != 'version')}."
            )
            raise PlanError(f"there is no section [{section}].", where=where, hint=hint)
        if not isinstance(values, Mapping):
            raise PlanError(f"{section} is not a section.", where=where, hint=f"Write [{section}] and its keys below.")
        checked[section] = {
            name: check_value(f"{section}.{name}", value, where=where) for name, value in values.items()
        }
    return _agreed(checked, where)


def _agreed(document: Mapping[str, Any], where: str) -> Plan:
    """The plan of a document whose values are each allowed; PlanError where they do not agree with each other."""
    try:
        return Plan.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise PlanError(first["msg"].removeprefix("Value error, ") + ".", where=where) from None


def plan_from_toml(text: str, *, where: str = "plan.toml") -> Plan:
    """A plan from TOML text, keys that it leaves out by their defaults; PlanError with the line where the text is no
    TOML.
    """
    return plan_from_document(_parsed(text, where), where=where)


def whole_plan_from_toml(text: str, *, where: str = "plan.toml") -> Plan:
    """A plan that `plan_to_toml` wrote. PlanError where its end is missing: what was cut off would silently become
    defaults. Keys that it has not because it is older than they are get their defaults.
    """
    document = _parsed(text, where)
    plan = plan_from_document(document, where=where)
    missing = [key for key in fields() if key != PARTS and not _has(document, key)]
    marked = text.rstrip().endswith(END_MARK)
    newer = all(key.startswith(f"{AFTER_THE_MARK}.") for key in missing)  # all that older plans had not is there
    if missing and not marked and (LAST_BEFORE_THE_MARK in missing or AFTER_THE_MARK in document or newer):
        more = f" and {len(missing) - 1} keys more are" if len(missing) > 1 else " is"
        raise PlanError(
            f"this plan was cut off: {missing[0]}{more} missing.",
            where=where,
            hint="Put the file back from a copy (plan.1.toml beside it is an earlier one), or write the keys anew.",
        )
    return plan


def _has(document: Mapping[str, Any], key: str) -> bool:
    section, _, name = key.partition(".")
    values = document.get(section)
    return isinstance(values, Mapping) and name in values


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # tomllib's own, and numbers of thousands of digits
        fault = f"this is not TOML: {error}."
    except RecursionError:
        fault = "its values are nested too deeply."
    raise PlanError(fault, where=where, hint="Mend the line, or write a new plan with `loratui plan -o`.")


def with_values(plan: Plan, values: Mapping[str, Any], *, where: str = "") -> Plan:
    """The plan with some dotted keys changed; PlanError when they do not agree with each other."""
    document = plan.model_dump()
    for key, value in values.items():
        section, _, name = key.partition(".")
        document[section][name] = check_value(key, value, where=where)
    return _agreed(document, where)


def plan_to_toml(plan: Plan, *, comments: bool = True) -> str:
    """The whole plan as TOML. comments: each key with its help, and a mark at the end."""
    lines = [f"version = {plan.version}"]
    for section, values in plan.model_dump(exclude={"version"}).items():
        lines += ["", f"[{section}]"]
        for name, value in values.items():
            if f"{section}.{name}" != PARTS:
                lines.append(_line(name, value, fields()[f"{section}.{name}"], comments=comments))
        for part in values.get("parts", []):
            lines += ["", f"[[{PARTS}]]"]
            for name, value in part.items():
                lines.append(_line(name, value, DatasetPart.model_fields[name], comments=comments))
    return "\n".join([*lines, "", END_MARK] if comments else lines) + "\n"


def _line(name: str, value: Any, field: FieldInfo, *, comments: bool) -> str:
    text = f"{name} = {toml_value(value)}"
    return f"{text:<40} # {field.description}" if comments else text


def toml_value(value: Any) -> str:
    """A value of a plan as TOML writes it (JSON's strings and numbers are TOML's too)."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
