"""Every benchmark at a tiny size: its table, its JSON and its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from chtexp.bench import BENCHMARKS
from chtexp.cli import main

pytestmark = pytest.mark.timing

SMALL = ["networks=digits", "hidden=48,48", "density=0.1,0.3", "batch=8", "threads=1"]
TIMED = ["rounds=3", "seconds=0.02"]
TINY = {
    "step": [*SMALL, *TIMED],
    "linkpred": ["density=0.05,0.2", "fixed_size=48", "size=32,64", "threads=1", *TIMED],
    "update": [
        "network=digits", "hidden=48,48", "density=0.2", "batch=8", "threads=1", "rounds=3", "steps=8",
        "methods=chts_n,chts_p,set,rigl,gmp,granet",
    ],
    "memory": SMALL,
    "epoch": ["data=digits", "hidden=48,48", "density=0.3", "batch=16", "threads=1", "steps=20", "train_limit=640"],
    "checkpoint": [*SMALL, "rounds=3", "every=0.05"],
    "run": [
        "data=digits", "budget=smoke", "method=set", "method.sparsity=0.8", "model.hidden=[40,40]", "task.epochs=400",
        "hardware.threads=1", "updates=2", *TIMED,
    ],
}  # fmt: skip


@pytest.fixture
def bench(monkeypatch, capsys, tmp_path) -> Callable[..., str]:
    """`chtexp bench` in this process; what it printed."""
    monkeypatch.delenv("CHTEXP_DATA", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*typed: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["bench", *typed])
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        assert not said.err
        return said.out

    return call


def check_spread(value: dict) -> None:
    assert set(value) == {"median", "low", "high", "rounds"}
    assert 0 < value["low"] <= value["median"] <= value["high"]
    assert value["rounds"] >= 3


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_prints_one_json_object(name: str, bench: Callable[..., str]) -> None:
    threads = torch.get_num_threads()
    found = json.loads(bench(name, *TINY[name], "--json"))
    assert list(found) == ["bench", "settings", "rows", "notes", "machine", "seconds"]
    assert found["bench"] == name
    assert set(found["settings"]) == set(BENCHMARKS[name].settings.model_fields) - {
        "paths",
        "folder",
        "run",
    }  # where data lie is nobody's affair
    assert found["rows"]
    assert found["seconds"] > 0
    assert {"cpu", "cores", "gpus", "commit", "python", "busy_with_others"} < set(found["machine"])
    assert found["machine"]["threads"] == 1
    assert {"torch", "numba"} < set(found["machine"]["versions"])
    assert torch.get_num_threads() == threads


def test_step(bench: Callable[..., str]) -> None:
    rows = json.loads(bench("step", *TINY["step"], "optimizer=adam", "--json"))["rows"]
    on_cpu = [row for row in rows if row["device"] == "cpu"]
    assert [(row["density"], row["candidate"]) for row in on_cpu] == [
        (density, kind) for density in (0.1, 0.3) for kind in ("plain", "fused", "dense", "csr")
    ]
    for row in rows:
        check_spread(row["ms"])
        check_spread(row["ratio"])
        assert (row["bookkeeping_percent"] is None) == (row["candidate"] != "dense")
        if row["candidate"] == "plain":
            assert row["ratio"]["median"] == 1


def test_link_prediction_and_its_figure(bench: Callable[..., str], tmp_path: Path) -> None:
    figure = tmp_path / "made" / "figure2.png"
    rows = json.loads(bench("linkpred", *TINY["linkpred"], f"figure={figure}", "--json"))["rows"]
    on_cpu = [row for row in rows if row["device"] == "cpu"]
    assert [(row["panel"], row["size"], row["density"]) for row in on_cpu[::2]] == [
        ("a", 48, 0.05), ("a", 48, 0.2), ("b", 32, 0.05), ("b", 64, 0.05),
    ]  # fmt: skip
    assert {row["rule"] for row in rows} == {"ch2_l3n", "ch3_l3p"}
    for row in rows:
        check_spread(row["ms"])
        check_spread(row["ratio"])
        assert row["links"] == round(row["density"] * row["size"] ** 2)
    with Image.open(figure) as image:
        assert image.format == "PNG"
        assert image.width > 1200
        assert image.height > 500
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_the_figure_in_other_formats(suffix: str, bench: Callable[..., str], tmp_path: Path) -> None:
    bench("linkpred", *TINY["linkpred"], f"figure={tmp_path}/figure2.{suffix}")
    assert (tmp_path / f"figure2.{suffix}").stat().st_size > 1000


def test_update_by_stage(bench: Callable[..., str]) -> None:
    found = json.loads(bench("update", *TINY["update"], "--json"))
    rows = {row["method"]: row for row in found["rows"]}
    assert list(rows) == ["chts_n", "chts_p", "set", "rigl", "gmp", "granet"]
    for row in rows.values():
        for key in ("ms", "ratio", "step_ms", "epoch_percent"):
            check_spread(row[key])
        stages = {key: spread["median"] for key, spread in row.items() if key.endswith("_ms") and key != "step_ms"}
        assert all(median >= 0 for median in stages.values())
        assert stages["install_ms"] > 0
    assert rows["chts_n"]["score_ms"]["median"] > 0
    assert rows["chts_n"]["percolate_ms"]["median"] > 0
    assert rows["set"]["score_ms"]["median"] == rows["set"]["percolate_ms"]["median"] == 0
    assert rows["gmp"]["select_ms"]["median"] == 0  # it prunes, and regrows nothing
    assert rows["chts_n"]["ratio"]["median"] == 1
    assert "scikit-learn digits" in found["notes"][0]


def test_update_without_data_takes_random_numbers_and_says_so(bench: Callable[..., str]) -> None:
    typed = ["network=mnist", "hidden=64", "density=0.2", "batch=8", "threads=1", "rounds=3", "steps=5"]
    assert "csti correlates: random numbers" in bench("update", *typed, "methods=chts_n")


def test_epoch(bench: Callable[..., str]) -> None:
    sparse, dense = json.loads(bench("epoch", *TINY["epoch"], "--json"))["rows"]
    assert (sparse["method"], sparse["measured_steps"], sparse["scaled"]) == ("chts_n", 40, False)
    assert (dense["method"], dense["measured_steps"], dense["scaled"]) == ("fc", 20, True)
    assert dense["ratio"]["median"] == dense["epoch_ratio"] == 1
    assert dense["update_seconds"] == 0
    assert dense["training_seconds"] == pytest.approx(40 * dense["step_ms"]["median"] / 1000, rel=0.5)
    for part in ("training_seconds", "evaluation_seconds", "update_seconds"):
        assert 0 < sparse[part] < sparse["epoch_seconds"]
    assert sparse["evaluation_percent"] == pytest.approx(
        100 * sparse["evaluation_seconds"] / sparse["training_seconds"]
    )


def test_checkpoint(bench: Callable[..., str], tmp_path: Path) -> None:
    rows = json.loads(bench("checkpoint", *TINY["checkpoint"], f"folder={tmp_path}/made", "--json"))["rows"]
    assert [(row["density"], row["candidate"]) for row in rows] == [
        (density, kind) for density in (None, 0.1, 0.3) for kind in ("none", "beside", "waited for")
    ]
    weights = 64 * 48 + 48 * 48
    for row in rows:
        check_spread(row["step_ms"])
        check_spread(row["ratio"])
        if row["candidate"] == "none":
            assert row["ratio"]["median"] == 1
            assert row["bytes"] is row["lost_seconds"] is row["held_up_seconds"] is None
            continue
        check_spread(row["held_up_seconds"])
        links = row["density"] or 1
        assert (
            2 * 4 * links * weights < row["bytes"] < 2 * 4 * links * weights + 60_000
        )  # values and momentum, and the rest
    assert not list((tmp_path / "made").iterdir())


@pytest.mark.parametrize("suffix", [".md", ".json"])
def test_output_writes_what_is_printed(suffix: str, bench: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "deep" / f"memory{suffix}"
    said = bench("memory", *TINY["memory"], "--output", str(path))
    assert said.splitlines()[0].split()[:3] == ["network", "density", "candidate"]
    written = path.read_text()
    if suffix == ".json":
        assert json.loads(written)["bench"] == "memory"
    else:
        assert written.startswith("### chtexp bench memory\n\n| network")
        assert "torch 2." in written
