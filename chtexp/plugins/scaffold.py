"""A beginning for a rule, a method, a data set or a model of one's own: files that work, to be changed."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import yaml

from chtexp.config.plugged import PLUGGED, READABLE
from chtexp.config.plugin_source import Source
from chtexp.config.resources import conf_dir
from chtexp.errors import Unavailable, UserError

CONF = "my_conf"
RULES = {  # kinds of rules: what the method has of it, and its part of the method's YAML
    "regrowth": ("another regrowth", "regrowth: {rule: $name, soft: true, power: 1.0}"),
    "removal": ("another removal", "removal: {rule: $name, share: 0.1}"),
    "topology": ("another topology", "topology: {rule: $name, spread: 0.5}"),
    "density": ("a density that falls", "density: {kind: $name, initial_sparsity: 0.5, end: 0.5}"),
}
PARTS = ("model", "data", "task")


@dataclass(frozen=True)
class Scaffold:
    """The files of something new.

    Attributes:
        files: their contents, by their paths below the working directory.
        next: what to type next, each with what it does.
    """

    files: Mapping[str, str]
    next: Mapping[str, str]

    def write(self, folder: Path) -> list[Path]:
        """Write the files.

        Args:
            folder: below which they are written.

        Returns:
            Their paths.

        Raises:
            UserError: a file is there already.
            Unavailable: a file cannot be written.
        """
        paths = {folder / name: text for name, text in self.files.items()}
        if there := [path for path in paths if path.exists()]:
            raise UserError(f"{there[0]} is there already: choose another name, or remove it")
        try:
            for path, text in paths.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Unavailable(f"{error.filename} cannot be written ({error.strerror})") from None
        return list(paths)


def new_method(name: str) -> Scaffold:
    """A method of known parts.

    Raises:
        UserError: the name is taken, or is none.
    """
    _free(name, "method", "method")
    part = "# changes of its parts, e.g.\n# regrowth: {rule: ch3_l3n, soft: true}"
    values = {"name": name, "title": _title(name), "what": "parts of your choice", "part": part, "plugins": ""}
    return Scaffold(_method_files(values), _next(name, ""))


def new_rule(name: str, kind: str) -> Scaffold:
    """A rule, and a method that uses it.

    Args:
        name: of both.
        kind: one of RULES.

    Raises:
        UserError: the name is taken, or is none.
    """
    _free(name, "method", kind)
    what, part = RULES[kind]
    values = {"name": name, "title": _title(name), "what": what, "part": Template(part).substitute(name=name)}
    own = {f"{name}.py": _filled(f"{kind}.py", values)}
    plugins = f', plugins=[HERE / "{name}.py"]'
    return Scaffold({**own, **_method_files({**values, "plugins": plugins})}, _next(name, f" --plugin {name}.py"))


def new_part(name: str, kind: str) -> Scaffold:
    """A model, a data set or a task, and the YAML that chooses it.

    Args:
        name: of it.
        kind: one of PARTS.

    Raises:
        UserError: the name is taken, or is none.
    """
    _free(name, kind, kind)
    data = name if kind == "data" else "digits"
    class_name = "".join(word.capitalize() for word in name.split("_"))
    values = {"name": name, "title": _title(name), "kind": kind, "data": data, "class_name": class_name}
    made = {
        f"{name}.py": _filled(f"{kind}.py", values),
        f"{CONF}/{kind}/{name}.yaml": _filled(f"{kind}.yaml", values),
        f"test_{name}.py": _filled("test_part.py", values),
    }
    chosen = f"data={name}" if kind == "data" else f"data=digits {kind}={name}"
    flags = f"--config-dir {CONF} --plugin {name}.py"
    return Scaffold(
        made,
        {
            f"pytest test_{name}.py": "does it train, twice the same?",
            f"chtexp train {flags} {chosen} method=set method.sparsity=0.8 budget=smoke": "train it, in seconds",
            f"chtexp train {flags} {chosen} --cfg job": "show all that can be set",
        },
    )


def _method_files(values: Mapping[str, str]) -> dict[str, str]:
    name = values["name"]
    return {
        f"{CONF}/method/{name}.yaml": _filled("method.yaml", values),
        f"{CONF}/paper/{name}.yaml": _filled("grid.yaml", values),
        f"test_{name}.py": _filled("test_method.py", values),
    }


def _next(name: str, plugin: str) -> dict[str, str]:
    return {
        f"pytest test_{name}.py": "does it keep what every method promises?",
        f"chtexp sweep {name} --config-dir {CONF}{plugin} budget=smoke": "train it beside SET, in seconds",
        f"chtexp table {name} --config-dir {CONF}{plugin} budget=smoke": "print the table",
    }


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = files("chtexp.plugins").joinpath("templates", f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _free(name: str, axis: str, kind: str) -> None:
    """Check that a name can be one of a function, a module and a file, and that nothing shipped has it."""
    if not name.isidentifier() or name != name.lower():
        raise UserError(f"the name of a {kind} is made of lower-case letters, digits and _, not '{name}'")
    if (conf_dir() / axis / f"{name}.yaml").exists():
        raise UserError(f"there is a {axis} '{name}' already: choose another name")
    if kind in READABLE and name in PLUGGED.shipped(kind):
        raise UserError(f"there is a {kind} '{name}' already: choose another name")
    if keyword.iskeyword(name) or yaml.safe_load(name) != name:
        raise UserError(f"'{name}' is a word of Python's or YAML's own: choose another name")
    Source.check_name(name)
