"""chtexp new: what it writes works as it is, and nothing is overwritten."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import plugin_files
import pytest

from chtexp.errors import UserError
from chtexp.plugins.scaffold import PARTS, RULES


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with plugin_files.nothing_left():
        yield


def next_commands(said: str) -> list[str]:
    lines = [line.partition("  #")[0].strip() for line in said.partition("next:\n")[2].splitlines()]
    assert all(line.startswith(("pytest ", "chtexp ")) for line in lines)
    return lines


def pytest_passes(folder: Path) -> None:
    """As its author runs it."""
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_own.py"]
    done = subprocess.run(test, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def run_its_test(folder: Path) -> None:
    """In this process, which has loaded what it needs."""
    with plugin_files.nothing_left():
        (test,) = (
            one for name, one in runpy.run_path(str(folder / "test_my_own.py")).items() if name.startswith("test_")
        )
        test()


@pytest.mark.parametrize(("what", "kind"), [("method", None), *(("rule", kind) for kind in RULES)])
def test_what_is_written_keeps_the_promises_of_a_method(
    what: str, kind: str | None, chtexp: Callable, tmp_path: Path
) -> None:
    made = chtexp("new", what, "my_own", *(["--kind", kind] if kind else []))
    assert next_commands(made.stdout)[0] == "pytest test_my_own.py"
    if kind is None:
        pytest_passes(tmp_path)
        return
    run_its_test(tmp_path)
    path = tmp_path / "my_own.py"  # a rule that breaks a promise fails the very test
    path.write_text(path.read_text().replace("    return ", "    return 0 * "))
    breaks = kind not in ("regrowth", "removal")  # scores of zero are scores
    with pytest.raises((AssertionError, UserError)) if breaks else nullcontext():
        run_its_test(tmp_path)


@pytest.mark.parametrize("part", PARTS)
def test_what_is_written_of_a_part_trains_as_it_is(part: str, chtexp: Callable, tmp_path: Path) -> None:
    commands = next_commands(chtexp("new", part, "my_own").stdout)
    pytest_passes(tmp_path)
    small = ("budget.train_limit=160", f"paths.cache={tmp_path}")
    assert "done: accuracy" in chtexp(*commands[1].split()[1:], *small).stdout
    with plugin_files.nothing_left():
        assert "my_own" in chtexp(*commands[2].split()[1:], *small).stdout


def test_what_to_type_next_makes_the_table(chtexp: Callable) -> None:
    _, sweep, table = next_commands(chtexp("new", "rule", "my_own").stdout)
    small = ("model.hidden=[40,40,40]", "budget.train_limit=160", "seed=0")
    assert "3 of 3 runs done" in chtexp(*sweep.split()[1:], *small, "launcher=serial").stdout
    with plugin_files.nothing_left():
        assert "| My own " in chtexp(*table.split()[1:], *small[:2]).stdout


def test_names_that_are_taken_or_are_none(chtexp: Callable, tmp_path: Path) -> None:
    for name, said in {
        "set": "there is a method 'set' already",
        "random": "there is a regrowth 'random' already",
        "torch": "'torch' is the name of another module",
        "class": "'class' is a word of Python's or YAML's own",
        "null": "'null' is a word of Python's or YAML's own",
        "Mine": "made of lower-case letters, digits and _, not 'Mine'",
        "my-own": "not 'my-own'",
    }.items():
        assert said in chtexp("new", "rule", name, check=2).stderr
    assert "--kind is for rules" in chtexp("new", "method", "mine", "--kind", "removal", check=2).stderr
    assert not list(tmp_path.iterdir())
    (tmp_path / "my_conf/paper").mkdir(parents=True)
    (tmp_path / "my_conf/paper/my_own.yaml").write_text("kept")
    assert "my_conf/paper/my_own.yaml is there already" in chtexp("new", "rule", "my_own", check=2).stderr
    assert not (tmp_path / "my_own.py").exists()
    assert "wrote elsewhere/my_own.py" in chtexp("new", "rule", "my_own", "--folder", "elsewhere").stdout
