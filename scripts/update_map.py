"""Put the list of rooms and files into docs/code.md: `python scripts/update_map.py`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "code.md"
ORDER = (  # from the top of the house to its foundations
    *("cli", "paper", "bench", "launch", "report", "run", "trained", "cost", "build", "train", "tasks"),
    *("sparse", "topology", "models", "data", "integrations", "distributed", "plugins", "config", "pictures"),
    *("store", "system"),
)


def rooms() -> str:
    """The list, by the first line of each file's docstring."""
    package = ROOT / "chtexp"
    found = {path.parent.name for path in package.glob("*/__init__.py")}
    if missing := found - {*ORDER}:
        raise SystemExit(f"say in scripts/update_map.py where these rooms stand: {', '.join(sorted(missing))}")
    parts = [_room(package / name) for name in ORDER if name in found]
    parts.append("### At the top\n\n" + _table(sorted(package.glob("*.py")), package))
    return "\n".join(parts)


def _room(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*.py") if path != folder / "__init__.py")
    return f"### {folder.name}\n\n{_said(folder / '__init__.py')}\n\n{_table(files, folder)}"


def _table(files: list[Path], folder: Path) -> str:
    rows = [f"| `{_name(path, folder)}` | {said} |" for path in files if (said := _said(path))]
    return "\n".join(["| file | what |", "|---|---|", *rows]) + "\n"


def _name(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    return name.removesuffix("__init__.py") or name


def _said(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")


def updated(page: str) -> str:
    """`page` with the list between its markers."""
    return re.sub(
        r"(<!-- rooms -->\n).*?(<!-- /rooms -->)", lambda found: found[1] + rooms() + found[2], page, flags=re.S
    )


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
