"""Where a plug-in lies, and what its source is: found by what a person names, hashed, and copied.

The source of a plug-in is its file, or its package's files, and whatever it imports from beside it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from chtexp.errors import UserError


@dataclass(frozen=True)
class Source:
    """The source of a plug-in.

    Attributes:
        name: of the module or package.
        place: its file (`mine.py`), or its folder with `__init__.py`.
    """

    name: str
    place: Path

    @classmethod
    def found(cls, named: str) -> Source:
        """Find the plug-in that a person names.

        Args:
            named: a file (`mine.py`), a package's folder, or a module that Python can import; `mine` is also mine.py in the
                working directory.

        Raises:
            UserError: there is no such plug-in.
        """
        path = Path(named).expanduser()
        looked = [path, *([path.with_suffix(".py")] if path.suffix != ".py" else [])]
        for place in looked:
            if place.suffix == ".py" and place.is_file():
                return cls(place.stem, place.resolve())._checked(named)
            if (place / "__init__.py").is_file():
                return cls(place.resolve().name, place.resolve())._checked(named)
        if named.replace(".", "a").isidentifier() and (found := _importable(named)):
            return found
        raise UserError(
            f"there is no plug-in '{named}': name a Python file, a package's folder or an installed module, e.g. --plugin mine.py"
        )

    @classmethod
    def of_module(cls, name: str) -> Source:
        """Find the source of a module that is imported already.

        Args:
            name: of the module or package.

        Raises:
            UserError: it has no file, as what is typed in a notebook.
        """
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None:
            raise UserError(
                f"the plug-in '{name}' has no file: write it into one, e.g. mine.py, and name it by --plugin"
            )
        path = Path(file).resolve()
        return cls(name, path.parent if path.name == "__init__.py" else path)

    def _checked(self, named: str) -> Source:
        """Check that importing it hides no other module."""
        if not self.name.isidentifier():
            raise UserError(f"the plug-in {named} needs a name that Python can import, of letters, digits and _")
        if not self.is_installed:
            self.check_name(self.name)
        return self

    @staticmethod
    def check_name(name: str) -> None:
        """Check that no module of Python's own, and none that is installed, has a name.

        Raises:
            UserError: there is such a module.
        """
        if name in sys.stdlib_module_names or name == "chtexp" or _is_of_a_library(name):
            raise UserError(
                f"'{name}' is the name of another module, which a plug-in of that name would hide: rename it"
            )

    @property
    def is_installed(self) -> bool:
        """Whether it lies where packages are installed: there it stays, and needs no copy."""
        return any(self.place.is_relative_to(folder) for folder in _installed_in())

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Its files: all Python files of a package; a single file, and what it imports from beside it."""
        if self.place.is_dir():
            return tuple(sorted(path for path in self.place.rglob("*.py") if "__pycache__" not in path.parts))
        found, waiting = {self.place}, [self.place]
        while waiting:
            for path in _imported_from_beside(waiting.pop()):
                if path not in found:
                    found.add(path)
                    waiting.append(path)
        return tuple(sorted(found))

    @property
    def _root(self) -> Path:
        return self.place.parent

    def sha256(self) -> str:
        """Hash names and contents of its files.

        Raises:
            UserError: a file cannot be read.
        """
        digest = hashlib.sha256()
        for path in self.files:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(self._root).as_posix()}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def copied(self, below: Path) -> Source:
        """Copy its files as they are now.

        Args:
            below: the folder of the copy, made if needed.

        Returns:
            The source of the copy.
        """
        for path in self.files:
            target = below / path.relative_to(self._root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        return Source(self.name, below / self.place.relative_to(self._root))


def _importable(named: str) -> Source | None:
    """A module that Python can import by its name."""
    top = named.partition(".")[0]
    if top in sys.modules:
        return Source.of_module(top)
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        return None
    path = Path(str(spec.origin)).resolve()
    return Source(top, path.parent if path.name == "__init__.py" else path)


def _is_of_a_library(name: str) -> bool:
    """Whether a module of this name is installed."""
    if module := sys.modules.get(name):
        file = getattr(module, "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        file = spec.origin if spec else None
    return file is not None and any(Path(file).resolve().is_relative_to(folder) for folder in _installed_in())


def _installed_in() -> set[Path]:
    return {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}


def _imported_from_beside(path: Path) -> Iterator[Path]:
    """The files beside a file that it imports, directly."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError):  # importing it will say so
        return
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        for name in names:
            top = path.parent / name.partition(".")[0]
            if top.with_suffix(".py").is_file():
                yield top.with_suffix(".py")
            elif (top / "__init__.py").is_file() and top.name != "chtexp":
                yield from (file for file in top.rglob("*.py") if "__pycache__" not in file.parts)
