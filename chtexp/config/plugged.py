"""What plug-ins register: functions by kind and name, what each of them reads, and its parameters.

A function reads what its arguments are called (`mask_OI`, `gradient_OI`, `generator`); what stands behind `*` in its signature
are its parameters, which a configuration sets by their names.

Shapes: O outputs, I inputs, K links.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from pydantic import create_model

from chtexp.config.typed import Description, describe
from chtexp.errors import FAILURE, UserError, unknown

ENTRY_POINTS = "chtexp.plugins"
READABLE = {  # by kind
    "topology": ("out_features", "in_features", "links", "generator", "correlation", "previous_output_degrees"),
    "removal": ("weight_K", "gradient_K", "weight_OI", "gradient_OI", "mask_OI", "links", "generator"),
    "regrowth": ("mask_OI", "weight_OI", "gradient_OI", "links", "generator"),
    "density": ("step", "initial", "final", "total", "interval"),
    "model": ("shape", "classes"),
    "data": (),
    "task": (),  # a class, whose parameters are its annotated attributes
}
RESERVED = {  # names of parameters that a configuration has for something else
    "topology": ("rule", "hidden"),
    "removal": ("rule", "soft"),
    "regrowth": ("rule", "soft"),
    "density": ("kind", "initial_sparsity", "prune", "prune_scope", "readmit"),
    "model": ("name",),
    "data": (
        "family",
        "source",
        "name",
        "size",
        "channels",
        "test_fraction",
        "augment",
        "mlp_hidden",
        "stands_in_for",
        "sha256",
    ),
    "task": (
        "name",
        "recipe",
        "config",
        "seed",
        "device",
        "processes",
        "length",
        "train",
        "validation",
        "test",
        "selection",
    ),
}
EXTENDED = {"ImageClassification": "images", "Translation": "translation", "LanguageModelling": "text"}  # by tasks


class Loader(Protocol):
    """Imports what an entry point of an installed package names.

    Attributes:
        value: the module, and perhaps something in it.
    """

    value: str

    def load(self) -> object:
        """Import it."""


@dataclass(frozen=True, eq=False)
class Registered:
    """A function that a plug-in registered.

    Attributes:
        kind: one of READABLE.
        name: by which configurations choose it.
        plugin: the name of the module, or of the package, that registered it.
        function: the function; None where only its name is known, from results.
    """

    kind: str
    name: str
    plugin: str
    function: Callable[..., Any] | None

    @property
    def title(self) -> str:
        """Kind and name, as messages and identities have them."""
        return f"{self.kind} {self.name}"

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The names of the arguments, of READABLE."""
        return tuple(name for name, one in self._signature if one.kind is not inspect.Parameter.KEYWORD_ONLY)

    @property
    def reads_gradient(self) -> bool:
        """Whether it reads the loss's dense gradient."""
        return any(name.startswith("gradient_") for name in self.reads)

    @cached_property
    def parameters(self) -> type[Description]:
        """A description of the parameters: their names, types and defaults."""
        if isinstance(self.function, type):
            return create_model(self.name, __base__=Description, **_attributes(self.function))
        own = {name: one for name, one in self._signature if one.kind is inspect.Parameter.KEYWORD_ONLY}
        fields: dict[str, Any] = {
            name: (_type_of(one.annotation, self.function), ... if one.default is one.empty else one.default)
            for name, one in own.items()
        }
        return create_model(self.name, __base__=Description, **fields)

    @cached_property
    def family(self) -> str:
        """Of a task: the kind of data (`data.family`) of the task that it extends."""
        return next(EXTENDED[base] for base in _shipped_bases(self.function))

    def described(self, values: Mapping[str, object]) -> Description | None:
        """Check the parameters that a configuration sets.

        Args:
            values: the parameters by name.

        Returns:
            All parameters; None where only the name of the function is known.

        Raises:
            UserError: a parameter is unknown, missing or of another type.
        """
        if self.function is None:
            return None
        for name in values.keys() - self.parameters.model_fields.keys():
            takes = ", ".join(self.parameters.model_fields) or "none"
            raise UserError(f"{self.title} has no parameter '{name}'; it takes: {takes}")
        try:
            return describe(self.parameters, values)
        except UserError as error:
            raise UserError(f"{self.title}: {error}") from None

    def call(self, values: Mapping[str, object], readable: Mapping[str, Callable[[], object]]) -> Any:
        """Call the function with what it reads.

        Args:
            values: the parameters that a configuration sets.
            readable: makes what it may read, by name.

        Raises:
            PluginFailed: the function raised an error.
            UserError: only the name of the function is known, or a parameter is wrong.
        """
        if self.function is None:
            raise UserError(
                f"{self.title} is registered by the plug-in '{self.plugin}', which is not here: name it by --plugin"
            )
        set_by_name = self.described(values)
        assert set_by_name is not None
        read = {name: readable[name]() for name in self.reads}
        parameters = {name: getattr(set_by_name, name) for name in type(set_by_name).model_fields}
        try:
            return self.function(**read, **parameters)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            said = str(error).partition("\n")[0]
            raise PluginFailed(f"{self.title} failed{_where(error)}: {type(error).__name__}: {said}") from error

    @property
    def _signature(self) -> Collection[tuple[str, inspect.Parameter]]:
        return inspect.signature(self.function).parameters.items() if self.function else ()


class PluginFailed(UserError):
    """A function of a plug-in raised an error, or returned what it must not."""

    exit_code = FAILURE


@dataclass
class Registry:
    """All that plug-ins have registered in this process.

    Attributes:
        found: by kind and name.
        missed: what was asked for and nothing has.
    """

    found: dict[tuple[str, str], Registered] = field(default_factory=dict)
    missed: set[tuple[str, str]] = field(default_factory=set)
    _installed: list[Loader] | None = None
    _importing: list[str] = field(default_factory=list)

    @contextmanager
    def registered_by(self, plugin: str) -> Iterator[None]:
        """While it is imported, what is registered is a plug-in's, wherever its functions are defined.

        Args:
            plugin: the name of the plug-in.
        """
        self._importing.append(plugin)
        try:
            yield
        finally:
            self._importing.pop()

    def shipped(self, kind: str) -> Collection[str]:
        """The names of a kind that are not free."""
        from chtexp.config.shipped import SHIPPED  # which is made of what looks things up here

        return SHIPPED[kind]

    @staticmethod
    def check_name(kind: str, name: object) -> None:
        """Check that something is registered by a name.

        Raises:
            UserError: it is no name.
        """
        if not isinstance(name, str) or not name.isidentifier():
            said = repr(name) if isinstance(name, str | int | float) else type(name).__name__
            raise UserError(
                f'a {kind} is registered by a name of letters, digits and _, @{kind}("my_own"), not by {said}'
            )

    def add(self, kind: str, name: str, function: Callable[..., Any]) -> None:
        """Register a function of the plug-in that is being imported; of a script, that of the module that defines it.

        Args:
            kind: one of READABLE.
            name: by which configurations choose it.
            function: the function.

        Raises:
            UserError: the name is taken, or an argument is nothing that a function of this kind may read.
        """
        self.check_name(kind, name)
        plugin = self._importing[-1] if self._importing else _module_of(function)
        one = Registered(kind, name, plugin, function)
        if name in self.shipped(kind):
            raise UserError(f"{one.title} is there already: choose another name")
        former = self.found.get((kind, name))
        if former is not None and former.function is not None and former.plugin != plugin:
            raise UserError(f"{one.title} is registered by two plug-ins, '{former.plugin}' and '{plugin}': rename one")
        if kind == "task":
            if not _shipped_bases(function):
                raise UserError(f"{one.title} must be a class that extends one of chtexp.tasks: {', '.join(EXTENDED)}")
        else:
            _check_arguments(one, function)
        if taken := [parameter for parameter in one.parameters.model_fields if parameter in RESERVED[kind]]:
            raise UserError(f"{one.title} has a parameter '{taken[0]}', which is a key of its own there: rename it")
        self.found[kind, name] = one

    def declare(self, kind: str, name: str, plugin: str) -> None:
        """Make a name known without its function, unless the function is there.

        Args:
            kind: one of READABLE.
            name: by which configurations choose it.
            plugin: the plug-in that registered it where it was there.
        """
        self.found.setdefault((kind, name), Registered(kind, name, plugin, None))

    def get(self, kind: str, name: str) -> Registered | None:
        """Look up what a plug-in registered; installed packages are imported if nothing else has it.

        Args:
            kind: one of READABLE.
            name: the name.

        Returns:
            What was registered; None if nothing was.
        """
        if (kind, name) not in self.found:
            if name in self.shipped(kind):
                return None
            self._import_installed()
        if (kind, name) not in self.found:
            self.missed.add((kind, name))
        return self.found.get((kind, name))

    def names(self, kind: str) -> list[str]:
        """List all names of a kind, the shipped ones included."""
        self._import_installed()
        return [*self.shipped(kind), *(name for of, name in self.found if of == kind)]

    def unknown(self, kind: str, title: str, name: object, choices: Collection[str] | None = None) -> UserError:
        """Make the error for a name that nothing has.

        Args:
            kind: one of READABLE.
            title: of the kind, for the message.
            name: the name.
            choices: those that there are; None: all of the kind.
        """
        known = unknown(title, name, self.names(kind) if choices is None else choices)
        return UserError(f"{known}; one of your own needs its plug-in: --plugin FILE.py")

    def _import_installed(self) -> None:
        """Import the plug-ins of installed packages, once."""
        if self._installed is None:
            self._installed = list(entry_points(group=ENTRY_POINTS))
            for point in self._installed:
                try:
                    with self.registered_by(point.value.partition(":")[0].partition(".")[0]):
                        point.load()
                except (Exception, SystemExit) as error:
                    print(
                        f"chtexp: the installed plug-in {point} cannot be imported ({type(error).__name__}: {error})",
                        file=sys.stderr,
                    )


PLUGGED = Registry()


def _shipped_bases(function: object) -> list[str]:
    """The tasks of the package that a class extends."""
    bases = function.__mro__ if isinstance(function, type) else ()
    return [one.__name__ for one in bases if one.__module__.startswith("chtexp.tasks.") and one.__name__ in EXTENDED]


def _module_of(function: Callable[..., Any]) -> str:
    """The top-level module that defines a function."""
    name = str(getattr(function, "__module__", "")).partition(".")[0]
    if not name or name in sys.stdlib_module_names or name == "chtexp":
        if name == "__main__":
            return name
        raise UserError(
            "what is registered must be a function, or a class, that your own module defines with def or class"
        )
    return name


def _check_arguments(one: Registered, function: Callable[..., Any]) -> None:
    """Check that a function reads what there is."""
    for name, argument in inspect.signature(function).parameters.items():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            raise UserError(f"{one.title} must name its arguments, without *{name}")
        if argument.kind is not argument.KEYWORD_ONLY and name not in READABLE[one.kind]:
            raise UserError(
                f"{one.title} has an argument '{name}'; it may read: {', '.join(READABLE[one.kind]) or 'nothing'}; "
                "parameters of its own stand behind * in its signature"
            )


def _type_of(annotation: object, function: object) -> Any:
    """The type of a parameter, which may be written as text."""
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, vars(sys.modules[str(getattr(function, "__module__", ""))]))
    except Exception as error:
        raise UserError(f"the type '{annotation}' of a parameter cannot be read ({error})") from None


def _where(error: BaseException) -> str:
    """Where the error of a function of a plug-in was raised: the innermost line of a file that is not installed."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)[1:]
        if not {"site-packages", "dist-packages"} & set(Path(frame.filename).parts) and "/chtexp/" not in frame.filename
    ]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _attributes(task: type) -> dict[str, Any]:
    """The parameters of a plug-in's task: annotated attributes with a value, of its own classes."""
    own = [one for one in reversed(task.__mro__) if not one.__module__.startswith(("chtexp.", "builtins"))]
    types = {name: _type_of(kind, one) for one in own for name, kind in inspect.get_annotations(one).items()}
    return {name: (kind, getattr(task, name, ...)) for name, kind in types.items()}
