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

    def identifies(self, field: str) -> bool:
        """Tell whether a field makes the description what it is.

        Fields marked `json_schema_extra={"identity": False}` do not, since they only help to write other fields. Those marked
        `{"identity": "unless default"}` came later: they do where they have an effect.

        Args:
            field: the name of the field.
        """
        info = type(self).model_fields[field]
        counts = info.json_schema_extra.get("identity", True) if isinstance(info.json_schema_extra, dict) else True
        return counts is not False and not (counts == "unless default" and getattr(self, field) == info.default)


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
        path, owner = _located(cls, [str(part) for part in problem["loc"]])
        key = ".".join([where, *path] if where else path)
        context = problem.get("ctx", {})
        if problem["type"] == "extra_forbidden":
            lines.append(str(unknown("key", key, owner.model_fields)) if owner else f"unknown key '{key}'")
        elif problem["type"] == "union_tag_invalid":
            tag = context["discriminator"].strip("'")
            lines.append(f"{key}.{tag} should be one of {context['expected_tags']}, not '{context['tag']}'")
        elif isinstance(context.get("error"), ValueError):
            lines.append(f"{key}: {context['error']}" if key else str(context["error"]))
        else:
            rule = (
                re.sub(r"^\w+ (?=should)", "", problem["msg"])
                .replace("Field required", "is required")
                .replace("valid tuple", "valid list")
            )
            lines.append(f"{key} {rule}" + ("" if problem["type"] == "missing" else f", not {problem['input']!r}"))
    return "; ".join(dict.fromkeys(lines))


def _located(cls: type[BaseModel], location: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    """The keys that a problem's location names, and the description that the last of them belongs to, if that is known.

    Where a field holds one of several descriptions, pydantic names the chosen one in between, which is no key.
    """
    path: list[str] = []
    owner: type[BaseModel] | None = cls
    held: list[type[BaseModel]] = [cls]  # what the last key may hold
    tag: str | None = None
    for part in location:
        if tag is not None:
            held = [one for one in held if one.model_fields[tag].default == part]
            tag = None
            continue
        path.append(part)
        owner = held[0] if held else None
        field = owner.model_fields.get(part) if owner else None
        inside = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        held = [one for one in inside if isinstance(one, type) and issubclass(one, BaseModel)]
        tag = field.discriminator if field and isinstance(field.discriminator, str) else None
    return path, owner


def identity(description: Description) -> dict[str, object]:
    """Collect the fields that make a description what it is, as plain values.

    Args:
        description: the description.

    Returns:
        The values by field; a description within it is a mapping of its own.
    """
    values: dict[str, object] = dict(description.model_extra or {})
    for name in filter(description.identifies, type(description).model_fields):
        value = getattr(description, name)
        values[name] = identity(value) if isinstance(value, Description) else value
    return values
