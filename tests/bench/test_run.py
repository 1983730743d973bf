"""`bench run`: parts of a run's time that add up, measured on the network that the run describes."""

from __future__ import annotations

import pytest

from chtexp.bench import run, run_benchmark
from chtexp.config.compose import compose_run
from chtexp.errors import UserError
from chtexp.train.loop import Training

pytestmark = pytest.mark.timing

DIGITS = [
    "data=digits",
    "budget=smoke",
    "method.sparsity=0.8",
    "model.hidden=[40,40]",
    "task.epochs=400",
    "hardware.threads=1",
]
QUICK = ["seconds=0.2", "rounds=3", "updates=2"]


@pytest.mark.parametrize("method", ["set", "rigl"])
@pytest.mark.parametrize("hardware", ["execution=csr", "execution=dense", "precision=fp16", "precision=bf16"])
def test_parts_of_a_run_and_a_network_that_stays_what_it_is(method: str, hardware: str, monkeypatch) -> None:
    kept: list[Training] = []
    prepared = run.prepared

    def noted(*arguments: object) -> object:
        task, source, training = prepared(*arguments)  # type: ignore[arg-type]
        kept.append(training)
        return task, source, training

    monkeypatch.setattr(run, "prepared", noted)
    words = [*DIGITS, *QUICK, f"method={method}", f"hardware.{hardware}"]
    outcome = run_benchmark("run", words, compose_run)
    rows = {row["part"]: row for row in outcome.findings.rows}
    assert rows["the whole step"]["percent"] == pytest.approx(100)
    assert rows["a topology update"]["ms"].rounds == 2
    assert rows["a topology update"]["bytes"] >= 0
    assert rows["an evaluation"]["bytes"] is None
    assert rows["an evaluation"]["ms"].median > 0
    assert outcome.settings["threads"] == 1
    assert "2 of 2 updates" in " ".join(outcome.findings.notes)
    sparsity = kept[0].sparsity
    sparsity.make_dense()
    for layer in sparsity.layers:
        weight = layer.linear.weight
        assert bool(weight.isfinite().all())
        assert bool((weight[~layer.mask_OI] == 0).all())


def test_a_dense_run_has_no_updates() -> None:
    outcome = run_benchmark("run", [*DIGITS[:2], *QUICK, "method=fc", "hardware.threads=1"], compose_run)
    assert "a topology update" not in {row["part"] for row in outcome.findings.rows}


def test_a_run_that_only_starts_takes_no_step(monkeypatch) -> None:
    monkeypatch.setattr(Training, "_train_on", None)
    outcome = run_benchmark("run", [*DIGITS, "parts=start", "method=set"], compose_run)
    (row,) = outcome.findings.rows
    assert (row["part"], row["percent"], row["steps"]) == ("a start", None, None)
    assert row["ms"].median > 0
    assert len(outcome.findings.notes) == 1


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["data=digits", "parts=start,step"], "unknown part of a run 'step'"),
        (["data=digits", "hardware=ddp"], "measures one process"),
        (["data=digits", "threads=1"], "hardware.threads=N"),
        (["data=digits", "rounds=1"], "rounds"),
        (["data=digitz"], "did you mean 'digits'"),
    ],
)
def test_mistakes(words: list[str], wanted: str) -> None:
    with pytest.raises(UserError, match=wanted):
        run_benchmark("run", words, compose_run)
