"""Settings: lists by commas, and every mistake one clear line with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from chtexp.bench.settings import read_settings
from chtexp.bench.step import StepSettings
from chtexp.bench.update import UpdateSettings
from chtexp.cli import main

MISTAKES = {
    "stepp": "unknown benchmark 'stepp' (did you mean 'step'?); choose one of: checkpoint, epoch, linkpred, memory, run, step",
    "step density": "cannot read 'density': a setting is key=value, one of: threads, seed",
    "step densty=0.1": "unknown key 'densty' (did you mean 'density'?); choose one of: batch, density, hidden",
    "step density=2": "density.0 should be less than or equal to 1, not '2'",
    "step density=": "density.0 should be a valid number",
    "step density=0.1,0.1": "density: names 0.1 twice",
    "step density=0.1 density=0.2": "density is given twice",
    "step networks=mnits": "unknown network 'mnits' (did you mean 'mnist'?); choose one of: cifar10",
    "step networks=cifar100x": "unknown network 'cifar100x'",
    "step hidden=0": "hidden.0 should be greater than or equal to 1, not '0'",
    "step optimizer=lion": "optimizer should be 'sgd' or 'adam', not 'lion'",
    "step threads=0": "threads should be greater than or equal to 1",
    "step rounds=two": "rounds should be a valid integer",
    "step seconds=-1": "seconds should be greater than 0",
    "step networks=digits density=0.0000001 hidden=8": "leaves a layer",
    "linkpred figure=plot.gif": "figure: unknown suffix of plot.gif '.gif'",
    "linkpred size=big": "size.0 should be a valid integer",
    "update methods=chtz": "unknown method 'chtz' (did you mean 'cht'?)",
    "update methods=fc": "method 'fc' never updates its topology",
    "update methods=static": "method 'static' never updates its topology",
    "update paths.dat=x": "unknown key 'paths.dat'; choose one of: data",
    "update paths.data=nowhere": "nowhere",
    "memory seconds=1": "unknown key 'seconds'",
    "epoch method=fc": "the dense network that every method is compared with",
    "epoch data=mnist paths.data=": "chtexp prepare data=mnist",
    "checkpoint every=0": "every should be greater than 0",
    "checkpoint networks=mnits": "unknown network 'mnits'",
    "checkpoint folder=/dev/null/x hidden=8": "folder /dev/null/x cannot be made (Not a directory)",
    "step --output table.csv": "unknown suffix of table.csv '.csv'; choose one of: .json, .md",
    "step --output /dev/null/x.md": "/dev/null",
}


@pytest.mark.parametrize("typed", MISTAKES, ids=str)
def test_a_mistake_is_one_clear_line_and_exit_code_2(typed: str, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.delenv("CHTEXP_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["bench", *typed.split()])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.err.startswith("chtexp: ")
    assert "\n" not in said.err.strip()
    assert MISTAKES[typed] in said.err
    assert not said.out


def test_lists_stand_between_commas() -> None:
    settings = read_settings(StepSettings, ["networks=mnist", "density=0.01,0.1", "hidden=32,32", "threads=2"])
    assert (settings.networks, settings.density, settings.hidden) == (("mnist",), (0.01, 0.1), (32, 32))
    assert (settings.threads, settings.seed) == (2, 0)


def test_the_data_folder_is_the_one_said_or_that_of_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("CHTEXP_DATA", "/env")
    assert read_settings(UpdateSettings, []).paths.data == Path("/env")
    assert read_settings(UpdateSettings, ["paths.data=/said"]).paths.data == Path("/said")
    assert read_settings(UpdateSettings, ["paths.data="]).paths.data is None
