"""Sweepers of others decide what is trained, by what runs report; Hydra's own goes on as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from chtexp.store import RunFolder, condition

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="hydra-optuna-sweeper is not installed")

SEARCH = (
    "train", "-m", "hydra/sweeper=optuna", "data=digits", "method=set", "budget=smoke",
    "model.hidden=[40,40]", "method.sparsity=interval(0.5,0.95)",
)  # fmt: skip


def found(folder: Path) -> list[float]:
    """What all finished runs report."""
    results = [one.finished() for one in RunFolder.every(folder)]
    return [result.reported for result in results if result is not None and result.reported is not None]


def test_optuna_finds_the_best_of_ten_trials_and_a_study_goes_on(chtexp_process: Callable, tmp_path: Path) -> None:
    study = (f"hydra.sweeper.storage=sqlite:///{tmp_path}/study.db", "hydra.sweeper.study_name=mine")
    said = chtexp_process(*SEARCH, *study, "hydra.sweeper.n_trials=7").stdout
    assert len(found(tmp_path / "runs")) == 7
    assert f"best_value: {max(found(tmp_path / 'runs'))}" in said
    chtexp_process(*SEARCH, *study, "hydra.sweeper.n_trials=3")
    assert len(found(tmp_path / "runs")) == 10
    with sqlite3.connect(tmp_path / "study.db") as database:
        assert database.execute("select count(*) from trials where state = 'COMPLETE'").fetchone() == (10,)
    newest = max(
        (tmp_path / "runs" / ".sweeps").glob("*/optimization_results.yaml"), key=lambda path: path.stat().st_mtime
    )
    best = yaml.safe_load(newest.read_text())
    assert best["best_value"] == max(found(tmp_path / "runs"))
    assert 0.5 <= best["best_params"]["method.sparsity"] <= 0.95


def test_what_all_trials_share_is_checked_before_the_first(chtexp: Callable, tmp_path: Path) -> None:
    assert "did you mean 'task.epochs'" in chtexp(*SEARCH, "task.epocs=3", check=2).stderr
    assert (
        "unknown hydra/sweeper 'optunaa'"
        in chtexp("train", "-m", "hydra/sweeper=optunaa", "data=digits", check=2).stderr
    )
    assert not RunFolder.every(tmp_path / "runs")


def test_a_trial_that_fails_is_the_sweepers_to_judge(chtexp_process: Callable, tmp_path: Path) -> None:
    diverging = (
        *SEARCH,
        "hydra.sweeper.n_trials=2",
        "task.learning_rate.start=choice(1e9,0.01)",
        "hydra.sweeper.sampler.seed=3",
    )
    failed = chtexp_process(*diverging, "task.learning_rate.start=choice(1e9,2e9)", check=1).stderr
    assert "Traceback" not in failed
    assert "hydra.sweeper may say how many trials may fail" in failed
    allowed = chtexp_process(*diverging, "hydra.sweeper.max_failure_rate=1", "hydra.sweeper.n_trials=4", check=0)
    states = [condition(one).state for one in RunFolder.every(tmp_path / "runs")]
    assert {"failed", "done"} <= set(states)
    assert f"best_value: {max(found(tmp_path / 'runs'))}" in allowed.stdout
