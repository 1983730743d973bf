"""Translation from raw text to a translated sentence: runs that learn, are stopped, resumed and used."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from subwords import SUBWORDS

from chtexp.config.run import Run
from chtexp.errors import UserError
from chtexp.run.execute import execute
from chtexp.sparse import method_names
from chtexp.train.checkpoint import Checkpoints
from chtexp.trained.translator import Translator

from .test_resume import Stopped, _stop_before_step, timeless, timeless_lines

METHODS = [name for name in method_names() if name.startswith("transformer/")]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_resumes_bit_for_bit(
    method: str, small_translation: Callable[..., Run], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(Checkpoints, "busy", False)  # none is passed over
    overrides = [f"method={method}", "checkpoint.steps=1"]
    whole, stopped = (small_translation(*overrides, f"paths.runs={tmp_path / name}") for name in ("whole", "stopped"))
    wanted = execute(whole, "undisturbed")
    for stop in sorted(random.Random(method).sample(range(2, wanted["steps"]), 2)):
        with monkeypatch.context() as patched:
            _stop_before_step(patched, stop)
            with pytest.raises(Stopped):
                execute(stopped, "stopped")
    assert timeless(execute(stopped, "resumed")) == timeless(wanted)
    assert timeless_lines(stopped.folder.metrics) == timeless_lines(whole.folder.metrics)
    files = [folder.path / "translations.jsonl" for folder in (whole.folder, stopped.folder)]
    assert files[0].read_text() == files[1].read_text()


@pytest.mark.parametrize(
    ("units", "dog", "sings"),
    [((), "Ein Hund läuft.", "Er singt."), ((*SUBWORDS, "task.selection=loss"), "ein hund läuft.", "er singt.")],
)
def test_a_small_network_learns_its_sentences_and_translates_them(
    units: tuple,
    dog: str,
    sings: str,
    small_translation: Callable[..., Run],
    chtexp: Callable,
    tmp_path: Path,
    monkeypatch,
) -> None:
    """The test set is the training set; the network that is tested is the one of best validation accuracy, or loss."""
    run = small_translation(*units, "method=transformer/chtss", "method.sparsity=0.5", "task.steps=2500", "budget.fraction=0.1",
                            "task.learning_rate.factor=0.5", "task.learning_rate.warmup=500", "model.dropout=0")  # fmt: skip
    result = execute(run, "command")
    assert result["reported"] == result["metrics"]["bleu"] > 90
    assert result["last"] is None
    assert result["validation_selected"] == result["reported"]
    evaluations = [line for line in run.folder.read_metrics() if line["kind"] == "evaluation"]
    final = [line for line in evaluations if line["links"] == result["links"]]
    best = max(final, key=lambda line: -line["validation_loss"] if units else line["validation_accuracy"])
    assert result["validation_selected_step"] == best["step"]
    assert "case:lc" in result["tested"]["signatures"]["bleu"]
    lines = [json.loads(line) for line in (run.folder.path / "translations.jsonl").read_text().splitlines()]
    assert lines[0]["source"] == "A dog runs."
    assert lines[0]["hypothesis"] == dog
    folder = run.folder.path
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("A dog runs.\n\nHe sings.\n")
    monkeypatch.chdir(tmp_path)
    assert chtexp("translate", str(folder), "A dog runs.").stdout == f"{dog}\n"
    assert chtexp("translate", str(folder), "--file", str(sentences)).stdout == f"{dog}\n\n{sings}\n"
    for wrong, said in (
        ([str(folder)], "say what to translate"),
        ([str(tmp_path), "x"], "is no run's folder"),
        ([str(folder), "--file", str(tmp_path / "none")], "No such file"),
    ):
        done = chtexp("translate", *wrong, check=2)
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    (folder / "result.json").unlink()
    with pytest.raises(UserError, match="is not done yet"):
        Translator(folder, torch.device("cpu"))


def test_data_that_are_not_prepared_name_the_command(small_translation: Callable[..., Run], tmp_path: Path) -> None:
    run = small_translation("data.most_words=7", f"paths.cache={tmp_path}/nothing")
    with pytest.raises(UserError, match="run 'chtexp prepare data=multi30k'"):
        execute(run, "command")
