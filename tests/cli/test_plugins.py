"""Plug-ins at the command line: every process of a sweep has the module as it was when the sweep began, and tables need none."""

from __future__ import annotations

import csv
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import plugin_files
import pytest

from chtexp.store import RunFolder

OWN = ("--config-dir", "conf")
NAMED = (*OWN, "--plugin", "own_rules.py")
SMALL = ("data=digits", "method=busy", "budget=smoke", "model.hidden=[40,40,40]", "budget.train_limit=160")
EDITED = "\nraise SystemExit('edited while the sweep was at work')\n"


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with plugin_files.nothing_left():
        yield


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return plugin_files.write(tmp_path)


def results(folder: Path) -> list[dict]:
    return [one.finished().said for one in RunFolder.every(folder / "runs") if one.finished()]


def test_one_run_and_its_record(mine: Path, chtexp: Callable, tmp_path: Path) -> None:
    chtexp("train", *NAMED, *SMALL)
    (folder,) = RunFolder.every(tmp_path / "runs")
    assert "own_rules" in folder.finished().science.plugins
    (copy,) = folder.plugins.glob("*/own_rules.py")
    assert copy.read_text() == mine.read_text()
    assert folder.commands.read_text().strip() == shlex.join(["chtexp", "train", *OWN, "--plugin", str(mine), *SMALL])
    with plugin_files.nothing_left():
        assert "done already" in chtexp("train", *OWN, *SMALL, "plugins=[own_rules.py]").stdout
    assert "not by both" in chtexp("train", *NAMED, *SMALL, "plugins=[own_rules.py]", check=2).stderr


@pytest.mark.parametrize("launcher", ["serial", "local"])
def test_a_sweep_keeps_the_module_as_it_was(
    launcher: str, mine: Path, chtexp_process: Callable, tmp_path: Path
) -> None:
    """What is edited once the sweep is frozen changes no run: the sweep is carried out after the edit."""
    from chtexp.config.compose import compose_run, compose_sweep
    from chtexp.launch.sweep_folder import SweepFolder, SweepTask

    words = [*SMALL, f"plugins=[{mine}]", f"paths.runs={tmp_path}/runs"]
    runs = [compose_run([*words, f"seed={seed}"], tmp_path / "conf") for seed in (0, 1)]
    settings = compose_sweep([f"launcher={launcher}"]).model_dump(mode="json")
    folder = SweepFolder.create(tmp_path / "runs", settings, [SweepTask.of(run, "chtexp train") for run in runs])
    mine.write_text(mine.read_text() + EDITED)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "chtexp.launch.conduct", folder.path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [one["id"] for one in results(tmp_path)] == [run.id for run in runs], done.stdout
    assert len(list((folder.path / "plugins").glob("*/own_rules.py"))) == 1


def test_several_processes_train_one_run(mine: Path, chtexp_process: Callable, tmp_path: Path) -> None:
    chtexp_process("train", *NAMED, *SMALL, "hardware=ddp", "hardware.processes=2", "hardware.threads=1")
    (result,) = results(tmp_path)
    assert result["environment"]["processes"] == 2


def test_hydras_own_sweep_takes_it_along(mine: Path, chtexp_process: Callable, tmp_path: Path) -> None:
    chtexp_process("train", "-m", *NAMED, *SMALL, "seed=0,1")
    assert len(results(tmp_path)) == 2


def test_finished_results_are_tabulated_where_the_module_is_not(mine: Path, chtexp: Callable, tmp_path: Path) -> None:
    chtexp("sweep", "own", *NAMED, "budget=smoke", "launcher=serial")
    chtexp("collect", "--output", "all.jsonl")
    mine.unlink()
    shown = []
    for places in (("--config-dir", "conf"), (*OWN, "--results", "all.jsonl", "paths.runs=none")):
        with plugin_files.nothing_left():
            shown.append(chtexp("table", "own", *places, "--format", "csv").stdout)
    assert shown[0] == shown[1]
    (mine_there,) = csv.DictReader(
        line for line in shown[0].splitlines() if "Busy" in line or line.startswith("table,")
    )
    assert (mine_there["kind"], mine_there["n"]) == ("cell", "1")
    with plugin_files.nothing_left():
        chtexp("report", *OWN, "--output", "page.html")
        assert "Busy" in (tmp_path / "page.html").read_text()
    with plugin_files.nothing_left():
        assert "needs its plug-in: --plugin FILE.py" in chtexp("plan", "own", *OWN, check=2).stderr


def test_results_of_two_versions_need_the_module(mine: Path, chtexp: Callable, tmp_path: Path) -> None:
    chtexp("train", *NAMED, *SMALL)
    mine.write_text(mine.read_text() + "\n# a remark\n")
    with plugin_files.nothing_left():
        chtexp("train", *NAMED, *SMALL)
    with plugin_files.nothing_left():
        said = chtexp("table", "own", *OWN, check=2).stderr
        assert (
            "results of two versions of the plug-in 'own_rules', which registers regrowth busy, removal shaken: name"
            in said
        )
        assert "unknown row of this table 'FFC'" in chtexp("table", "quickstart", "row=FFC", check=2).stderr, (
            "other tables need no module"
        )
    with plugin_files.nothing_left():
        chtexp("table", "own", *NAMED)


def test_a_mistake_leaves_no_folder(mine: Path, chtexp: Callable, tmp_path: Path) -> None:
    wrong = {
        "own_rule.py": "there is no plug-in 'own_rule.py'",
        "conf": "there is no plug-in 'conf'",
    }
    for named, said in wrong.items():
        assert said in chtexp("train", *OWN, "--plugin", named, *SMALL, check=2).stderr
        assert said in chtexp("train", *OWN, *SMALL, f"plugins=[{named}]", check=2).stderr
    assert "has no parameter 'pwer'" in chtexp("train", *NAMED, *SMALL, "+method.regrowth.pwer=1", check=2).stderr
    assert not (tmp_path / "runs").exists()
    mine.write_text(plugin_files.RULES.replace("+ gradient_OI.abs()", "- 100"))
    with plugin_files.nothing_left():
        assert "regrowth busy must return finite scores from 0 on" in chtexp("train", *NAMED, *SMALL, check=1).stderr
    mine.write_text(plugin_files.RULES.replace("return (mask_OI", "return 1 / 0 * (mask_OI"))
    with plugin_files.nothing_left():
        assert (
            "regrowth busy failed (own_rules.py, line 7): ZeroDivisionError"
            in chtexp("train", *NAMED, *SMALL, check=1).stderr
        )


def test_a_trained_run_is_used_by_its_own_copy(mine: Path, chtexp: Callable, tmp_path: Path) -> None:
    from chtexp.config.images import ImageClassificationRecipe
    from chtexp.trained.folder import trained_run

    chtexp("train", *NAMED, *SMALL)
    (folder,) = RunFolder.every(tmp_path / "runs")
    moved = shutil.move(folder.path, tmp_path / "seed-0")
    mine.unlink()
    with plugin_files.nothing_left():
        (Path(moved) / "selected.pt").touch()
        run = trained_run(Path(moved), ImageClassificationRecipe, "classify")
        assert run.plugins[0].place == next((Path(moved) / "plugins").glob("*/own_rules.py"))
