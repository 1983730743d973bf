"""Language modelling from text to text: runs that learn, are stopped, resumed, exported and used."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chtexp.config.run import Run
from chtexp.run.execute import execute
from chtexp.sparse import dense_weights, method_names
from chtexp.train.checkpoint import Checkpoints
from chtexp.trained.writer import Writer

from .test_resume import Stopped, _stop_before_step, timeless, timeless_lines

METHODS = [name for name in method_names() if name.startswith("llama/")]


@pytest.mark.parametrize(
    ("method", "precision", "packing"),
    [
        *((method, "float32", "stream") for method in METHODS),
        ("llama/rigl", "bf16", "stream"),
        ("llama/chtss", "pure_bf16", "document"),
        ("llama/chts", "float32", "document"),
    ],
)
def test_every_method_resumes_bit_for_bit(
    method: str, precision: str, packing: str, small_text: Callable[..., Run], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(Checkpoints, "busy", False)  # none is passed over
    overrides = [
        f"method={method}", "checkpoint.steps=1", f"hardware.precision={precision}",
        f"data.packing={packing}", "data.sequence_length=32",
    ]  # fmt: skip
    whole, stopped = (small_text(*overrides, f"paths.runs={tmp_path / name}") for name in ("whole", "stopped"))
    wanted = execute(whole, "undisturbed")
    for stop in sorted(random.Random(method).sample(range(2, wanted["steps"]), 2)):
        with monkeypatch.context() as patched:
            _stop_before_step(patched, stop)
            with pytest.raises(Stopped):
                execute(stopped, "stopped")
    assert timeless(execute(stopped, "resumed")) == timeless(wanted)
    assert timeless_lines(stopped.folder.metrics) == timeless_lines(whole.folder.metrics)
    state = Checkpoints(whole.folder.checkpoints, print).load(torch.device("cpu"))
    assert state is not None
    kept = state["training"]["model"]["network.model.embed_tokens.weight"].dtype
    assert kept == (torch.bfloat16 if precision == "pure_bf16" else torch.float32)


def test_a_small_network_learns_its_texts_goes_on_with_them_and_is_exported(
    small_text: Callable[..., Run], chtexp: Callable, tmp_path: Path, monkeypatch
) -> None:
    run = small_text(
        "method=llama/chtss", "task.steps=6000", "task.learning_rate.warmup=600", "data.sequence_length=16"
    )
    result = execute(run, "command")
    assert result["metric"] == "perplexity"
    lines = [line for line in run.folder.read_metrics() if line["kind"] == "evaluation"]
    final = [line for line in lines if line["links"] == result["links"]]
    assert result["reported"] == min(line["perplexity"] for line in final) < 5
    monkeypatch.chdir(tmp_path)
    folder = run.folder.path
    said = chtexp("generate", str(folder), "Once there was", "--tokens", "6", "--temperature", "0").stdout
    assert said.startswith("Once there was a king")
    assert "written: exported" in chtexp("export", str(folder), "exported").stdout

    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained("exported"), AutoModelForCausalLM.from_pretrained("exported")
    weights = dense_weights(torch.load(run.folder.selected, weights_only=True))
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[f"network.{name}"])
    sparse = [p for name, p in model.named_parameters() if name.endswith("_proj.weight")]
    links = sum(int(parameter.count_nonzero()) for parameter in sparse)
    assert links <= result["links"] < 1.01 * links
    ids = tokenizer("Once there was", return_tensors="pt").input_ids
    writer = Writer(folder, torch.device("cpu"))
    assert ids[0].tolist() == writer.tokenizer.encode("Once there was")
    torch.testing.assert_close(model(ids).logits, writer.network(ids).logits)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    for wrong, wanted in (
        (["generate", str(tmp_path), "x"], "is no run's folder"),
        (["generate", str(folder), ""], "no text to go on with"),
        (["generate", str(folder), "Once", "--tokens", "1000"], "too many"),
        (["generate", str(folder), "Once", "--tokens", "0"], "'0' is no whole number from 1 on"),
        (["generate", str(folder), "Once", "--temperature", "-1"], "'-1' is no number from 0 on"),
        (["zeroshot", str(folder), "--limit", "-5"], "'-5' is no whole number from 1 on"),
        (["export", str(folder), "exported"], "is not empty"),
        (["export", str(folder), "new", "--format", "onnx"], "--format is for image classifiers, and"),
        (["translate", str(folder), "x"], "which does not translate"),
    ):
        done = chtexp(*wrong, check=2)
        assert wanted in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
