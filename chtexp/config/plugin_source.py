"""Where a plug-in lies, and what its source is: its files as they were read, hashed together, and copied as they were read.

The source of a plug-in is its file, or all files of its package, and what these import from beside it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from chtexp.errors import Unavailable, UserError

INSTALLED = ("site-packages", "dist-packages")  # folders that packages are installed in
CACHES = ("__pycache__", ".git", ".ipynb_checkpoints")


@dataclass(frozen=True)
class Source:
    """The source of a plug-in, read once: what is edited later does not change it.

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
        try:
            paths = [Path(named).expanduser(), Path(f"{named}.py").expanduser()] if named.strip() else []
        except RuntimeError:  # ~ of nobody
            paths = []
        for place in paths:
            if place.suffix == ".py" and place.is_file():
                return cls(place.stem, place.absolute())._checked(named)
            if (place / "__init__.py").is_file():
                return cls(place.absolute().name, place.absolute())._checked(named)
        if named.isidentifier() and (found := _importable(named)):
            return found
        package = named.partition(".")[0]
        if (
            package.isidentifier()
            and package != named
            and named.replace(".", "_").isidentifier()
            and _importable(package)
        ):
            raise UserError(f"'{named}' is a part of a package: name the package, --plugin {package}")
        raise UserError(
            f"there is no plug-in '{named}': name a Python file, a package's folder or an installed module, e.g. --plugin mine.py"
        )

    @classmethod
    def of_module(cls, name: str) -> Source:
        """Find the source of a module that is imported already.

        Args:
            name: of the module or package.

        Raises:
            UserError: it has no file, as what is typed in a notebook, or is the script that runs.
        """
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or name == "__main__":
            raise UserError(
                "what a run uses must be registered by a module with a file of its own, not by a notebook or the script that "
                "runs: write it into one, e.g. mine.py, and import it or name it by --plugin"
            )
        path = Path(file).absolute()
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
        return _is_installed(self.place)

    @property
    def root(self) -> Path:
        """The folder that it lies in, and what it imports from beside it."""
        return self.place.parent

    @cached_property
    def contents(self) -> dict[Path, bytes]:
        """The contents of its files by their paths below the root, as they are when this is first asked for.

        Raises:
            Unavailable: a file cannot be read.
        """
        found: dict[Path, bytes] = {}
        waiting = sorted(_all_files(self.place)) if self.place.is_dir() else [self.place]
        while waiting:
            path = waiting.pop(0)
            below = path.relative_to(self.root)
            if below in found:
                continue
            try:
                found[below] = path.read_bytes()
            except OSError as error:
                raise Unavailable(f"the plug-in's {path} cannot be read ({error.strerror})") from None
            if path.suffix == ".py" and not self.is_installed:
                waiting += _imported_from_beside(found[below], self.root)
        return dict(sorted(found.items()))

    @cached_property
    def sha256(self) -> str:
        """The hash of names and contents of its files."""
        digest = hashlib.sha256()
        for path, content in self.contents.items():
            digest.update(f"{path.as_posix()}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def copied(self, below: Path) -> Source:
        """Write its files as they were read.

        Args:
            below: the folder of the copy, made if needed.

        Returns:
            The source of the copy.
        """
        for path, content in self.contents.items():
            target = below / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return Source(self.name, below / self.place.relative_to(self.root))


def _importable(name: str) -> Source | None:
    """A module that Python can import by its name."""
    if name in sys.modules:
        return Source.of_module(name)
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        return None
    path = Path(str(spec.origin)).absolute()
    return Source(name, path.parent if path.name == "__init__.py" else path)


def _is_of_a_library(name: str) -> bool:
    """Whether a module of this name is installed."""
    if module := sys.modules.get(name):
        file = getattr(module, "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        file = spec.origin if spec else None
    return file is not None and _is_installed(Path(file))


def _is_installed(path: Path) -> bool:
    return any(part in INSTALLED for part in path.parts)


def _all_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".pyc" and not any(part in CACHES for part in path.parts):
            yield path


def _imported_from_beside(code: bytes, root: Path) -> Iterator[Path]:
    """The files below the root that a file imports, by absolute names."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):  # importing it will say so
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "chtexp" or parts[0] in sys.stdlib_module_names or _is_installed(root):
                continue
            for depth in range(1, len(parts) + 1):
                path = root.joinpath(*parts[:depth])
                yield from (one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file())
