"""conf/paper/ids.lock.json is true, is used where it is true, and is left alone where it is not."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chtexp.config.compose import Composer
from chtexp.config.method import Method
from chtexp.config.resources import conf_dir, conf_folders
from chtexp.paper import lock as locking
from chtexp.paper.grid import BUDGETS, Selection, load_grid, select
from chtexp.paper.identities import Identities
from chtexp.paper.lock import FILE, hash_of_conf, hash_of_grid, read_lock, write_lock
from chtexp.paper.lock_making import composed_cells, locked_run, locked_tables
from chtexp.paper.plan import plan_runs

STALE = "scripts/update_ids.py writes it anew"


@pytest.fixture
def lock() -> locking.Lock:
    found = read_lock()
    assert found is not None, STALE
    return found


def test_it_was_made_from_the_files_as_they_are(lock: locking.Lock) -> None:
    assert lock.conf == hash_of_conf(), STALE
    assert lock.grids == {name: hash_of_grid(load_grid(name, [conf_dir()])) for name in locked_tables()}, STALE
    used = {
        identity
        for table in lock.cells.values()
        for row in table.values()
        for ids in row.values()
        for identity in ids.values()
    }
    assert used == {*lock.runs}


def test_a_cell_of_each_table_is_what_the_lock_says(lock: locking.Lock) -> None:
    pick = random.Random(0)
    for name in locked_tables():
        budget = pick.choice(BUDGETS)
        cell = pick.choice(select(load_grid(name, [conf_dir()]), [f"budget={budget}"]).cells)
        run = Composer().run(cell.overrides)
        assert lock.cells[name][cell.row][cell.column][budget] == run.id, STALE
        assert lock.runs[run.id] == locked_run(run), STALE


@pytest.mark.slow
@pytest.mark.parametrize("name", locked_tables())
def test_every_cell_is_what_the_lock_says(name: str, lock: locking.Lock) -> None:
    found: dict[str, dict[str, dict[str, str]]] = {}
    for cell, budget, run in composed_cells(name, BUDGETS):
        found.setdefault(cell.row, {}).setdefault(cell.column, {})[budget] = run.id
        assert lock.runs[run.id] == locked_run(run), STALE
    assert lock.cells[name] == found, STALE


def test_it_is_written_as_it_is_read(lock: locking.Lock, tmp_path: Path) -> None:
    write_lock(tmp_path / "lock.json", lock)
    assert (tmp_path / "lock.json").read_text() == (conf_dir() / FILE).read_text()


def cells_of(name: str, *overrides: str, config_dir: Path | None = None) -> tuple[Selection, Identities]:
    folders = conf_folders(config_dir)
    selection = select(load_grid(name, folders), overrides, folders)
    return selection, Identities(name, selection.grid, Composer(config_dir))


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        ([], True),
        (["budget=smoke"], True),
        (["data=mnist", "row=CHT,SET", "seed=0,1", "paths.runs=elsewhere", "hardware.threads=1"], True),
        (["logger=wandb", "hardware.execution=dense", "overwrite=true", "checkpoint.steps=3"], True),
        (["data=emnist47"], False),
        (["method.zeta=0.2"], False),
        (["hardware.precision=bf16"], False),
        (["budget.fraction=0.5"], False),
        (["model.hidden=[8]"], False),
    ],
)
def test_only_cells_as_they_are_in_the_grid_are_looked_up(overrides: list[str], known: bool) -> None:
    selection, identities = cells_of("table7", *overrides)
    assert {identities.looked_up(cell) is not None for cell in selection.cells} == {known}
    cell = selection.cells[-1]
    assert identities.of(cell) == identities.composer.run(cell.overrides).id


def test_a_row_that_is_added_is_composed_and_the_others_are_looked_up() -> None:
    selection, identities = cells_of("table7", "data=mnist", "method=set", "+method=granet")
    assert [identities.looked_up(cell) is not None for cell in selection.cells if cell.row in ("SET", "granet")] == [
        True,
        False,
    ]


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of conf/ in its place."""
    copy = tmp_path / "conf"
    shutil.copytree(conf_dir(), copy)
    for module in ("chtexp.paper.lock", "chtexp.config.resources", "chtexp.config.reader", "chtexp.paper.identities"):
        monkeypatch.setattr(f"{module}.conf_dir", lambda: copy)
    read_lock.cache_clear()
    yield copy
    read_lock.cache_clear()


def test_an_edited_file_makes_identities_be_composed(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = conf / "method" / "set.yaml"
    path.write_text(path.read_text().replace("zeta: 0.3", "zeta: 0.123"))
    (item,) = plan_runs("table7", ["data=mnist", "row=SET", "seed=0"], None)
    assert item.run.method.zeta == 0.123
    assert item.id == item.run.id != plan_before(conf)
    assert "ids.lock.json is not of conf/" in capsys.readouterr().err


def plan_before(conf: Path) -> str:
    identity: str = json.loads((conf / FILE).read_text())["cells"]["table7"]["SET"]["mnist"]["paper"]
    return identity


def test_an_edited_grid_makes_its_own_cells_be_composed(conf: Path, tmp_path: Path) -> None:
    path = conf / "paper" / "table7.yaml"
    path.write_text(path.read_text().replace("[method=set]", "[method=set, method.sparsity=0.98]"))
    (item,) = plan_runs("table7", ["data=mnist", "row=SET", "seed=0"], None)
    assert item.run.method.sparsity == 0.98
    (same,) = plan_runs("quickstart", ["row=SET", "seed=0"], None)
    assert same.identities.looked_up(same.cell)


def test_a_table_of_ones_own_of_the_same_name_is_composed(tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    shutil.copy(conf_dir() / "paper" / "quickstart.yaml", tmp_path / "paper")
    selection, identities = cells_of("quickstart", config_dir=tmp_path)
    assert identities.looked_up(selection.cells[0]) is None


@pytest.mark.parametrize("content", ["", "[]", "[1]", "{}", '{"conf": 1}', "\x00"])
def test_a_damaged_lock_is_said_and_done_without(conf: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (conf / FILE).write_text(content)
    (item,) = plan_runs("quickstart", ["row=SET", "seed=0"], None)
    assert item.id == item.run.id
    assert "cannot be read" in capsys.readouterr().err


def test_a_description_with_another_default_makes_identities_be_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hash_of_conf()
    monkeypatch.setattr(Method.model_fields["zeta"], "default", 0.4)
    assert hash_of_conf() != before


def test_a_cell_whose_name_is_told_by_composing_alone_may_be_any(tmp_path: Path) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "zz.yaml").write_text("defaults: [set, _self_]\nname: Z${method.zeta}\n")
    selection, identities = cells_of("table7", "data=mnist", "method=set", "+method=zz", config_dir=tmp_path)
    (cell,) = [cell for cell in selection.cells if cell.row == "zz"]
    assert identities.could_be(cell, {("mnist", "z0_3")})
    assert not identities.could_be(cell, {("cifar10", "z0_3")})
    (named,) = cells_of("table7", "data=mnist", "row=SET", "++method.name=Foo")[0].cells
    assert identities.could_be(named, {("mnist", "foo")})
