"""The plug-ins of a run: imported once by every process that needs them, and known by the hash of their source."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import Loader
from pathlib import Path
from types import ModuleType

from chtexp.config.plugged import PLUGGED
from chtexp.config.plugin_source import Source
from chtexp.config.typed import Description, describe
from chtexp.errors import UserError

_imported: dict[str, str] = {}  # the hash of each plug-in that was imported, as it was then
_named: list[str] = []  # the places of those that the command of this process named


class Plugin(Description):
    """A plug-in that a run uses.

    Attributes:
        name: of its module or package.
        sha256: the hash of its source.
        registers: what the run uses of it, e.g. `regrowth preferential`.
        place: its file or folder; None where it is an installed package.
    """

    name: str
    sha256: str
    registers: tuple[str, ...]
    place: Path | None = None

    @property
    def folder(self) -> str:
        """The name of the folder of a copy."""
        return f"{self.name}-{self.sha256[:10]}"

    @property
    def source(self) -> Source:
        """Where its source lies."""
        return Source(self.name, self.place) if self.place else Source.found(self.name)


def name_plugin(named: str) -> None:
    """Import a plug-in that the command of this process names.

    Args:
        named: as for `Source.found`.

    Raises:
        UserError: there is no such plug-in, or it cannot be imported.
    """
    source = Source.found(named)
    _import(source)
    if str(source.place) not in _named:
        _named.append(str(source.place))


def plugins_named() -> tuple[str, ...]:
    """List the places of the plug-ins that the command of this process named."""
    return tuple(_named)


def load_plugins(wanted: object) -> None:
    """Import the plug-ins that a run names.

    Args:
        wanted: names as a person types them, or plain values of `Plugin`.

    Raises:
        UserError: there is no such plug-in, it cannot be imported, or its source is not what it was.
    """
    if isinstance(wanted, str):
        wanted = [wanted]
    if not isinstance(wanted, Iterable) or isinstance(wanted, Mapping):
        raise UserError(f"plugins must be a list of Python files or modules, e.g. plugins=[mine.py], not {wanted!r}")
    for one in wanted:
        if isinstance(one, Mapping):
            _load_as_described(describe(Plugin, one, "plugins"))
        else:
            _import(Source.found(str(one)))


def used_plugins(choices: Iterable[tuple[str, str]]) -> tuple[Plugin, ...]:
    """Describe the plug-ins that registered what a run has chosen.

    Args:
        choices: kind and name of all that it has chosen.

    Raises:
        UserError: the source of a plug-in cannot be found, or was changed after its import.
    """
    used: dict[str, list[str]] = {}
    for kind, name in sorted(set(choices)):
        if (kind, name) in PLUGGED.found:
            one = PLUGGED.found[kind, name]
            used.setdefault(one.plugin, []).append(one.title)
    return tuple(_described(name, titles) for name, titles in used.items())


def frozen_plugins(plugins: Sequence[Plugin], below: Path) -> tuple[Plugin, ...]:
    """Copy the plug-ins of a run, so that what is edited later does not change it.

    Args:
        plugins: the plug-ins.
        below: the folder of copies; equal sources have one copy in it.

    Returns:
        The plug-ins, with their places in the copy. Installed packages stay where they are.
    """
    return tuple(
        plugin
        if plugin.place is None
        else plugin.model_copy(update={"place": plugin.source.copied(below / plugin.folder).place})
        for plugin in plugins
    )


def kept_plugins(values: object, below: Path) -> object:
    """Point plug-ins to their copies, where `frozen_plugins` has made them.

    Args:
        values: plain values of a run's plug-ins.
        below: the folder of copies.

    Returns:
        The plain values, with the places of the copies that there are.
    """
    if not isinstance(values, list | tuple):
        return values
    found = [describe(Plugin, one, "plugins") for one in values if isinstance(one, Mapping)]
    copies = {one: below / one.folder / one.place.name for one in found if one.place}
    return [
        one.model_copy(update={"place": copies[one]} if one in copies and copies[one].exists() else {}).model_dump(
            mode="json"
        )
        for one in found
    ]


def declare_plugin(name: str, sha256: str, registers: Iterable[str]) -> None:
    """Make known what a plug-in registered that is not here, as a result of its runs tells.

    Args:
        name: of the plug-in.
        sha256: the hash of its source.
        registers: what the run used of it.
    """
    _imported.setdefault(name, sha256)
    for title in registers:
        kind, _, what = title.partition(" ")
        PLUGGED.declare(kind, what, name)


def _described(name: str, titles: Sequence[str]) -> Plugin:
    if name not in _imported:  # by a script of its own, and not by name
        _imported[name] = Source.of_module(name).sha256()
    place = None
    if name in sys.modules:
        source = Source.of_module(name)
        place = None if source.is_installed else source.place
    return Plugin(name=name, sha256=_imported[name], registers=tuple(titles), place=place)


def _load_as_described(plugin: Plugin) -> None:
    """Import a plug-in that a description names, unless this very one is here already."""
    if _imported.get(plugin.name) != plugin.sha256:
        if plugin.place is not None and not plugin.place.exists():
            raise UserError(
                f"the plug-in '{plugin.name}' is no longer in {plugin.place}: name the file of its source by --plugin"
            )
        _import(plugin.source)
    if _imported[plugin.name] != plugin.sha256:
        raise UserError(
            f"the plug-in '{plugin.name}' has changed: its source is {_imported[plugin.name][:10]}, and the run is of "
            f"{plugin.sha256[:10]}"
        )


def _import(source: Source) -> None:
    """Import a plug-in, once a process."""
    sha256 = source.sha256()
    if source.name in _imported and source.name in sys.modules:
        if _imported[source.name] != sha256:
            raise UserError(
                f"two plug-ins are called '{source.name}', or its source was changed while it was in use: {source.place}"
            )
        return
    module, loader = _module_of(source)
    sys.modules[source.name] = module
    folder = str(source.place.parent)
    sys.path.insert(0, folder)  # what it imports from beside it comes from beside it
    writes, sys.dont_write_bytecode = (
        sys.dont_write_bytecode,
        True,
    )  # which an edit within a second would leave as it is
    try:
        loader.exec_module(module)
    except Exception as error:
        del sys.modules[source.name]
        if isinstance(error, UserError):
            raise UserError(f"plug-in {source.place.name}: {error}") from None
        raise UserError(f"the plug-in {source.place} cannot be imported: {_what_failed(error, source)}") from None
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(folder)
        if not source.is_installed and folder not in sys.path:
            sys.path.append(folder)  # for what it imports later
    _imported[source.name] = sha256


def _module_of(source: Source) -> tuple[ModuleType, Loader]:
    """The module of a plug-in before its code has run, and what runs it."""
    file = source.place / "__init__.py" if source.place.is_dir() else source.place
    search = [str(source.place)] if source.place.is_dir() else None
    spec = importlib.util.spec_from_file_location(source.name, file, submodule_search_locations=search)
    assert spec
    assert spec.loader
    return importlib.util.module_from_spec(spec), spec.loader


def _what_failed(error: Exception, source: Source) -> str:
    """An error of a plug-in in one line, with the line of its source."""
    said = str(error).partition("\n")[0]
    if isinstance(error, SyntaxError):
        return f"{error.msg} (line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) in source.files]
    line = f" (line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {said}{line}"
