"""What README.md and docs/ show is true: the list of the code is true, links lead somewhere, and the examples run."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from chtexp.config.typed import describe
from chtexp.paper.grid import Grid

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {path: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
TEXT = "\n".join(PAGES.values())


def test_the_list_of_rooms_is_what_the_files_say() -> None:
    spec = spec_from_file_location("update_map", ROOT / "scripts" / "update_map.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    page = script.PAGE.read_text()
    assert page == script.updated(page), "python scripts/update_map.py writes it anew"
    for path in (ROOT / "chtexp").rglob("*.py"):
        assert f"`{path.name}`" in page or f"/{path.name}`" in page or path.name == "__init__.py", path


@pytest.mark.parametrize(
    "page", [page for page, text in PAGES.items() if "```python\n" in text], ids=lambda page: page.name
)
def test_the_python_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as in one notebook."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL):
        exec(compile(code, page.name, "exec"), names)


def test_the_grid_shown_is_one() -> None:
    shown = re.search(r'(    title: "Two ways to regrow"\n(?:    .*\n)*)', README)
    assert shown
    grid = describe(Grid, yaml.safe_load(dedent(shown[1])))
    assert grid.claims
    assert grid.means


@pytest.mark.parametrize("name", sorted(set(re.findall(r"<!-- (\w[\w/]*) -->", TEXT)) - {"rooms"}))
def test_the_tables_shown_are_those_in_results(name: str) -> None:
    shown = TEXT.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]
    assert shown.strip() == next((ROOT / "results").glob(f"{name}*.md")).read_text().strip()


def test_tables_are_shown() -> None:
    assert {"quickstart", "table7", "cht_variants", "bench/step"} <= set(re.findall(r"<!-- (\w[\w/]*) -->", TEXT))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for address in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGES[page]):
        path, _, heading = address.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), address
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}, address


def test_every_chtexp_command_shown_is_one_that_there_is() -> None:
    from chtexp.cli.main import COMMANDS

    shown = set(re.findall(r"^ {4}(?:CHTEXP_DATA=\S+ )?chtexp (\w+)", TEXT, re.MULTILINE))
    assert {"train", "sweep", "table", "translate", "generate", "bench"} <= shown <= set(COMMANDS)
