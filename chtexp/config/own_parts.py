"""Networks and tasks of plug-ins, described: their parameters are fields like any other."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import create_model

from chtexp.config.models import ImageNetwork
from chtexp.config.plugged import PLUGGED, Registered
from chtexp.config.typed import Description

R = TypeVar("R", bound=Description)


class OwnNetwork(ImageNetwork):
    """A network that a plug-in builds. What it counts is found out by building it (`chtexp.cost.own_networks`)."""

    methods: ClassVar[str] = "cnn"


def own_network(name: object) -> type[OwnNetwork] | None:
    """The description of a plug-in's network; None if no plug-in has one of this name."""
    own = PLUGGED.get("model", str(name))
    return _described(own, OwnNetwork) if own else None


def own_recipe(name: object, recipe: type[R]) -> type[R]:
    """The description of a task: of a plug-in's, what it extends with the parameters of its own.

    Args:
        name: of the task.
        recipe: of the task that it extends.
    """
    own = PLUGGED.found.get(("task", str(name)))
    return _described(own, recipe) if own else recipe


def own_values(description: Description, kind: str) -> dict[str, object]:
    """The parameters of a plug-in's part, as a description sets them.

    Args:
        description: of the part; its name is the registered one.
        kind: `model` or `task`.
    """
    own = PLUGGED.found[kind, str(getattr(description, "name", ""))]
    return {name: getattr(description, name) for name in own.parameters.model_fields}


@cache
def _described(own: Registered, base: type[R]) -> type[R]:
    fields: dict[str, Any] = {name: (info.annotation, info) for name, info in own.parameters.model_fields.items()}
    named: Any = (Literal[own.name], own.name)
    return create_model(f"{base.__name__} {own.name}", __base__=base, name=named, **fields)
