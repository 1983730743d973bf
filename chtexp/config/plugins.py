"""The plug-ins of a run: imported once by every process that needs them, and known by the hash of their source."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from chtexp.config.plugged import PLUGGED
from chtexp.config.plugin_import import import_plugin
from chtexp.config.plugin_source import Source
from chtexp.config.typed import Description, describe
from chtexp.errors import UserError

_imported: dict[str, Source] = {}  # each plug-in that was imported, as it was then
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
    """Copy the plug-ins of a run as they were imported, so that what is edited later does not change it.

    Args:
        plugins: the plug-ins.
        below: the folder of copies; equal sources have one copy in it.

    Returns:
        The plug-ins, with their places in the copy. Installed packages stay where they are.
    """
    return tuple(
        plugin
        if plugin.place is None
        else plugin.model_copy(update={"place": _imported[plugin.name].copied(below / plugin.folder).place})
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


@contextmanager
def declared(plugins: Mapping[str, tuple[str, Iterable[str]]]) -> Iterator[None]:
    """Know, for a while, what plug-ins registered that are not here, as results of their runs tell.

    Args:
        plugins: by name, the hash of the source, and what it registered.
    """
    found = dict(PLUGGED.found)
    try:
        for name, (_, registers) in plugins.items():
            for title in registers:
                kind, _, what = title.partition(" ")
                PLUGGED.declare(kind, what, name)
        _declared.update({name: sha256 for name, (sha256, _) in plugins.items()})
        yield
    finally:
        PLUGGED.found.clear()
        PLUGGED.found.update(found)
        _declared.clear()


_declared: dict[str, str] = {}  # the hash of each plug-in that is only known by what results tell


def _described(name: str, titles: Sequence[str]) -> Plugin:
    if name not in _imported and name in _declared:
        return Plugin(name=name, sha256=_declared[name], registers=tuple(titles))
    if name not in _imported:  # by a script of its own, and not by name
        _imported[name] = Source.of_module(name)
    source = _imported[name]
    place = None if source.is_installed else source.place
    return Plugin(name=name, sha256=source.sha256, registers=tuple(titles), place=place)


def _load_as_described(plugin: Plugin) -> None:
    """Import a plug-in that a description names, unless this very one is here already."""
    if plugin.name in _imported and _imported[plugin.name].sha256 == plugin.sha256:
        return
    if plugin.name not in _imported and plugin.place is not None and not plugin.place.exists():
        raise UserError(
            f"the plug-in '{plugin.name}' is no longer in {plugin.place}: name the file of its source by --plugin"
        )
    source = _imported.get(plugin.name) or plugin.source
    if source.sha256 != plugin.sha256:
        raise UserError(
            f"the plug-in '{plugin.name}' in {source.place} has changed: its source is {source.sha256[:10]}, and the run is of "
            f"{plugin.sha256[:10]}; a run keeps the source that it is of in its folder, plugins/"
        )
    _import(source)


def _import(source: Source) -> None:
    """Import a plug-in, once a process: what is edited later stays as it was when the command began."""
    known = _imported.get(source.name)
    if known is not None:
        if known.place != source.place and known.sha256 != source.sha256:
            raise UserError(f"two plug-ins are called '{source.name}': {known.place} and {source.place}; rename one")
        return
    module = sys.modules.get(source.name)
    if module is None or Path(str(getattr(module, "__file__", ""))).absolute() not in _files_of(source):
        import_plugin(source)
    _imported[source.name] = source


def _files_of(source: Source) -> list[Path]:
    return [source.root / one for one in source.contents]
