"""Typed, frozen descriptions: plain mappings are checked once, here, and travel as objects from then on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from chtexp.errors import UserError, unknown


class Description(BaseModel):
    """A frozen record of typed fields that knows no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


Words = Annotated[  # one may stand without brackets
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
D = TypeVar("D", bound=BaseModel)


def describe(cls: type[D], values: Mapping[str, object], where: str = "") -> D:
    """Check plain values, and make them a description.

    Args:
        cls: the description.
        values: its fields.
        where: the dotted key that they stand at, for messages.

    Raises:
        UserError: a wrong key or value; the message gives its dotted key, its value and what is allowed.
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(_one_line(cls, error, where)) from None


def _one_line(cls: type[BaseModel], error: ValidationError, where: str) -> str:
    lines = []
    for problem in error.errors():
        path = _without_tags(cls, [str(part) for part in problem["loc"]])
        key = ".".join([where, *path] if where else path)
        if problem["type"] == "extra_forbidden":
            owner = _model_at(cls, path[:-1])
            lines.append(str(unknown("key", key, owner.model_fields)) if owner else f"unknown key '{key}'")
        elif isinstance(problem.get("ctx", {}).get("error"), ValueError):
            lines.append(f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"]))
        else:
            rule = (
                re.sub(r"^\w+ (?=should)", "", problem["msg"])
                .replace("Field required", "is required")
                .replace("valid tuple", "valid list")
            )
            lines.append(f"{key} {rule}" + ("" if problem["type"] == "missing" else f", not {problem['input']!r}"))
    return "; ".join(dict.fromkeys(lines))


def _without_tags(cls: type[BaseModel], path: list[str]) -> list[str]:
    """The `path` without the names by which pydantic chose among several descriptions of one field."""
    for place in range(1, len(path)):
        owner = _model_at(cls, path[: place - 1])
        field = owner.model_fields.get(path[place - 1]) if owner else None
        if field is not None and field.discriminator is not None:
            return path[:place] + path[place + 1 :]
    return path


def _model_at(cls: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The description that the dotted `path` leads to, looking through optional fields."""
    for name in path:
        field = cls.model_fields.get(name)
        if field is None:
            return None
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not models:
            return None
        cls = models[0]
    return cls


def identity(description: BaseModel) -> dict[str, object]:
    """Collect the fields that make a description what it is, as plain values.

    Fields marked `json_schema_extra={"identity": False}` are left out, since they only help to write other fields. Those marked
    `{"identity": "unless default"}` came later: they are left out where they have no effect.

    Args:
        description: the description.

    Returns:
        The values by field; a description within it is a mapping of its own.
    """
    values: dict[str, object] = dict(description.model_extra or {})
    for name, field in type(description).model_fields.items():
        extra, value = field.json_schema_extra, getattr(description, name)
        counts = extra.get("identity", True) if isinstance(extra, dict) else True
        if counts is False or (counts == "unless default" and value == field.default):
            continue
        values[name] = identity(value) if isinstance(value, BaseModel) else value
    return values
