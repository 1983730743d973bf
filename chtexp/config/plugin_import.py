"""How plug-ins are imported: the bytes that were hashed are executed, and what lies beside them is found before all else."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from chtexp.config.plugged import PLUGGED
from chtexp.config.plugin_source import Source
from chtexp.errors import UserError


class _Bytes(Loader):
    """Executes the source of one module, as it was read."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content = path, content

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module."""
        module.__file__ = str(self.path)
        exec(compile(self.content, str(self.path), "exec", dont_inherit=True), module.__dict__)


class _Finder(MetaPathFinder):
    """Finds the modules of plug-ins, before anything else of the same name is found."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[Path, bytes]] = {}  # by names of modules
        self.folders: dict[str, Path] = {}  # of packages, also those without __init__.py

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of a plug-in; None if it is none."""
        if name not in self.files and name not in self.folders:
            return None
        loader = _Bytes(*self.files[name]) if name in self.files else None
        origin = str(self.files[name][0]) if name in self.files else None
        spec = ModuleSpec(name, loader, origin=origin, is_package=name in self.folders)
        spec.has_location = loader is not None
        if name in self.folders:
            spec.submodule_search_locations = [str(self.folders[name])]
        return spec

    def add(self, source: Source) -> None:
        """Take over the modules of a plug-in.

        Raises:
            UserError: another plug-in has a module of the same name with another content.
        """
        for below, content in source.contents.items():
            if below.suffix != ".py":
                continue
            parts = below.with_suffix("").parts
            package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if package else parts)
            known = self.files.get(name)
            if known is not None and known[1] != content:
                raise UserError(
                    f"the plug-in '{source.name}' has a module '{name}', and so has the one in {known[0].parent}: rename one"
                )
            self.files.setdefault(name, (source.root / below, content))
            for depth in range(1, len(parts)):
                self.folders.setdefault(".".join(parts[:depth]), source.root.joinpath(*parts[:depth]))


FINDER = _Finder()


def import_plugin(source: Source) -> None:
    """Import a plug-in for the first time in this process. If that fails, nothing of it is left.

    Raises:
        UserError: it cannot be imported, or registers nothing.
    """
    if FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)
    found, modules = dict(PLUGGED.found), set(sys.modules)
    files, folders = dict(FINDER.files), dict(FINDER.folders)
    try:
        FINDER.add(source)
        with PLUGGED.registered_by(source.name):
            importlib.import_module(source.name)
        if not any(one.plugin == source.name for one in PLUGGED.found.values()):
            raise UserError('it registers nothing; a rule stands below @regrowth("name"), see chtexp new --help')
    except (Exception, SystemExit) as error:
        PLUGGED.found.clear()
        PLUGGED.found.update(found)
        FINDER.files, FINDER.folders = files, folders
        for name in set(sys.modules) - modules:
            if Path(str(getattr(sys.modules[name], "__file__", ""))) in {source.root / one for one in source.contents}:
                del sys.modules[name]
        if isinstance(error, UserError):
            raise UserError(f"plug-in {source.place.name}: {error}") from None
        raise UserError(f"the plug-in {source.place} cannot be imported: {_what_failed(error, source)}") from None


def _what_failed(error: BaseException, source: Source) -> str:
    """An error of a plug-in in one line, with the line of its source."""
    said = str(error).partition("\n")[0]
    if isinstance(error, SyntaxError):
        return f"{error.msg} (line {error.lineno})"
    return f"{type(error).__name__}: {said}{line_of(error, [source.root / one for one in source.contents])}"


def line_of(error: BaseException, files: Sequence[Path]) -> str:
    """Where in some files an error was raised, as ` (line 3)`, or `` where it was elsewhere."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) in files]
    return f" (line {frames[-1].lineno})" if frames else ""
