"""The loop: what counts as best, what a diverged loss does, precision, learning rate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chtexp.build import builder_of
from chtexp.config.run import Run
from chtexp.errors import UserError
from chtexp.run.execute import RunFailed, execute
from chtexp.tasks import ImageClassification, Selection
from chtexp.train.checkpoint import Checkpoints
from chtexp.train.loop import Judged
from chtexp.train.precision import with_weights_in


class Task:
    metric, higher_is_better = "accuracy", True
    selection = Selection(moment="best validation", metric="validation", higher_is_better=True)


def test_best_counts_only_at_the_final_density_and_last_is_last() -> None:
    judged = Judged()
    judged.judge(Task, {"accuracy": 99.0, "validation": 99.0}, 1, at_final_density=False)
    assert judged.best is None
    judged.judge(Task, {"accuracy": 90.0, "validation": 80.0}, 2, at_final_density=True)
    judged.judge(Task, {"accuracy": 95.0, "validation": 70.0}, 3, at_final_density=True)
    judged.judge(Task, {"accuracy": 91.0, "validation": 85.0}, 4, at_final_density=True)
    assert (judged.best, judged.best_step) == (95.0, 3)
    assert (judged.selected, judged.selected_step) == (91.0, 4)
    assert judged.last["accuracy"] == 91.0


def test_lower_is_better_where_the_task_says_so() -> None:
    class Perplexity(Task):
        higher_is_better = False
        selection = Selection(moment="best test", metric="accuracy", higher_is_better=False)

    judged = Judged()
    for step, value in enumerate([30.0, 20.0, 25.0]):
        judged.judge(Perplexity, {"accuracy": value}, step, at_final_density=True)
    assert (judged.best, judged.best_step) == (20.0, 1)
    assert judged.selected is None


def test_the_last_evaluation_is_selected_where_the_task_reports_it() -> None:
    class Last(Task):
        higher_is_better = False
        selection = Selection(moment="last", metric="validation", higher_is_better=False)

    judged = Judged()
    selected = [
        judged.judge(Last, {"accuracy": value, "validation": value}, step, at_final_density=step > 0)
        for step, value in enumerate([10.0, 30.0, 20.0, 25.0])
    ]
    assert selected == [False, True, True, True]
    assert (judged.selected, judged.selected_step, judged.best) == (25.0, 3, 20.0)


def test_best_of_a_decay_is_measured_at_its_target_density(small_run: Callable[..., Run]) -> None:
    run = small_run("method=chtss_n", "task.epochs=200")
    result = execute(run, "test")
    lines = [line for line in run.folder.read_metrics() if line["kind"] == "evaluation"]
    assert len(lines) == 6
    at_target = [line for line in lines if line["links"] == result["links"]]
    assert 0 < len(at_target) < len(lines)
    assert result["best"] == max(line["accuracy"] for line in at_target)
    assert result["density"] == pytest.approx(0.2, abs=1e-3)


def test_an_update_is_never_the_last_thing_and_evaluation_comes_before_it(small_run: Callable[..., Run]) -> None:
    run = small_run("method=set", "task.epochs=200")
    execute(run, "test")
    kinds = [(line["kind"], line["step"]) for line in run.folder.read_metrics()]
    assert kinds == [("evaluation", 5)] + [
        entry for step in (5, 10, 15, 20, 25) for entry in (("update", step), ("evaluation", step + 5))
    ]


def test_validation_selection_is_recorded(small_run: Callable[..., Run]) -> None:
    run = small_run("method=set", "task.selection=validation", "task.epochs=200")
    result = execute(run, "test")
    lines = [line for line in run.folder.read_metrics() if line["kind"] == "evaluation"]
    best = max(lines, key=lambda line: line["validation_accuracy"])  # the first of equals
    assert result["validation_selected"] == best["accuracy"]
    assert result["validation_selected_step"] == best["step"]
    assert (result["reported"], result["selected_by"]) == (best["accuracy"], "validation_accuracy")


def test_bf16_autocast_trains_with_float32_weights(small_run: Callable[..., Run], monkeypatch) -> None:
    seen = []
    loss = ImageClassification.loss

    def spy(self, model, batch):
        seen.append((model(batch[0]).dtype, next(model.parameters()).dtype))
        return loss(self, model, batch)

    monkeypatch.setattr(ImageClassification, "loss", spy)
    run = small_run("method=chts_n", "hardware.precision=bf16")
    result = execute(run, "test")
    assert set(seen) == {(torch.bfloat16, torch.float32)}
    assert result["science"]["precision"] == "bf16"
    assert run.id != small_run("method=chts_n").id  # another arithmetic is another run


def test_a_loss_that_forgets_everything_ends_the_run(small_run: Callable[..., Run], monkeypatch) -> None:
    """Finite, but above ln 10 after having been below: not before, when the network had yet to learn."""
    loss, factors = ImageClassification.loss, []

    def scaled(self, model, batch):
        return loss(self, model, batch) * factors.pop(0)

    monkeypatch.setattr(ImageClassification, "loss", scaled)
    factors += [100.0] * 5 + [1e-3] * 25  # five steps an epoch
    run = small_run("method=set", "task.epochs=200")
    assert execute(run, "test")["steps"] == 30
    factors += [1e-3] * 12 + [100.0] * 3
    with pytest.raises(RunFailed, match=r"rose from 0\.\d+ to \d+\.\d+ by step 15, more than by guessing \(2\.303\)"):
        execute(run.model_copy(update={"seed": 1}), "test")


def loaded(run: Run) -> dict:
    state = Checkpoints(run.folder.checkpoints, print).load(torch.device("cpu"))
    assert state is not None
    return state


def test_the_result_counts_what_is_there(small_run: Callable[..., Run]) -> None:
    run = small_run("method=chts_n")
    result = execute(run, "chtexp train ...")
    state = loaded(run)["training"]
    saved = [*state["model"].values(), *(layer["weight"] for layer in state["sparsity"]["layers"].values())]
    assert result["nonzeros"] == sum(int(value.count_nonzero()) for value in saved)
    assert result["parameters"] == 64 * 40 + 2 * 1600 + 400 + 3 * 40 + 10
    assert result["links"] == 512 + 2 * 320 == round(0.2 * 64 * 40) + 2 * round(0.2 * 40 * 40)
    assert result["flops"]["dense"] == 6 * 160 * 3 * (64 * 40 + 2 * 1600 + 400)
    assert result["flops"]["sparse"] == 6 * 160 * 3 * (result["links"] + 400)
    assert result["density"] == result["links"] / result["pairs"]


def test_a_method_without_topology_trains_as_plain_torch(small_run: Callable[..., Run]) -> None:
    run = small_run("method=fc")
    execute(run, "test")
    task = ImageClassification(run.task, run.data, run.budget, _digits(), seed=0, device=torch.device("cpu"))
    model = builder_of(run).model().model
    first = dict(model.named_parameters())
    _kaiming_as_the_engine(model, run)
    optimizer = torch.optim.SGD(first.values(), lr=1, momentum=0.9, weight_decay=5e-4)
    for step, ((images, labels, _),) in enumerate(task.batches(0)):
        optimizer.param_groups[0]["lr"] = builder_of(run).learning_rate(task.total_steps, lambda: 0)(step)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    trained = loaded(run)["training"]["model"]
    for name, value in model.named_parameters():
        torch.testing.assert_close(trained[name], value.detach(), rtol=1e-4, atol=1e-6)


def _digits():
    from chtexp.data import load_images

    return load_images("digits", None)


def _kaiming_as_the_engine(model: torch.nn.Module, run: Run) -> None:
    from chtexp.sparse.initialisation import initialise_weights
    from chtexp.sparse.wiring import sparse_layers

    linears = sparse_layers(model, model.sparse_layers())
    with torch.no_grad():
        initialise_weights(linears, [1.0] * len(linears), run.method.weight_init, run.seed)


@pytest.mark.parametrize("family", ["translation", "text"])
def test_recomputed_activations_change_nothing_but_memory(
    family: str, small_translation: Callable[..., Run], small_text: Callable[..., Run], tmp_path: Path, monkeypatch
) -> None:
    """Dropout, where there is any, is drawn as it was. Layers are passed twice a step, which is how it is known to happen."""
    describe = small_translation if family == "translation" else small_text
    losses, passes = [], []
    for recompute in ("false", "true"):
        counted = forward_passes(monkeypatch)
        run = describe(
            "hardware.execution=dense", f"hardware.recompute={recompute}", f"paths.runs={tmp_path / recompute}"
        )
        execute(run, "test")
        losses.append([line["train_loss"] for line in run.folder.read_metrics() if line["kind"] == "evaluation"])
        passes.append(len(counted))
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert passes[1] == 2 * passes[0] > 0


def forward_passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with every forward pass, in training, of a block inside the layers of a Transformer."""
    from transformers.models.llama.modeling_llama import LlamaMLP
    from transformers.models.pegasus.modeling_pegasus import PegasusAttention

    passed: list[str] = []
    for block in (LlamaMLP, PegasusAttention):
        forward = block.forward

        def counting(self, *args, forward=forward, **named):
            if self.training:
                passed.append(type(self).__name__)
            return forward(self, *args, **named)

        monkeypatch.setattr(block, "forward", counting)
    return passed


def test_recomputing_is_for_transformers(small_run: Callable[..., Run]) -> None:
    with pytest.raises(UserError, match="is for Transformers, and the model is a MLP"):
        execute(small_run("hardware.recompute=true"), "test")


@pytest.mark.slow
def test_a_compiled_training_is_the_same_but_for_rounding(small_text: Callable[..., Run], tmp_path: Path) -> None:
    """And compiled once: what updates of the topology change is no part of what is compiled."""
    from torch._dynamo.utils import counters

    counters.clear()
    records, graphs = [], []
    for compiled in ("false", "true"):
        run = small_text(
            "hardware.execution=dense", f"hardware.compile={compiled}", f"paths.runs={tmp_path / compiled}"
        )
        execute(run, "test")
        records.append(run.folder.read_metrics())
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == 0 < graphs[1]
    assert sum(line["kind"] == "update" for line in records[1]) > graphs[1]
    for one, other in zip(*records, strict=True):
        numbers = {key: value for key, value in one.items() if isinstance(value, int | float) and key != "seconds"}
        assert {key: other[key] for key in numbers} == pytest.approx(numbers, rel=1e-3)


def test_parameters_become_half_precision_but_those_of_batch_norms() -> None:
    norm = torch.nn.BatchNorm1d(3)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), norm)
    assert with_weights_in("pure_bf16", model) is model
    assert {parameter.dtype for parameter in model[0].parameters()} == {torch.bfloat16}
    assert norm.running_mean is not None
    assert {norm.weight.dtype, norm.bias.dtype, norm.running_mean.dtype} == {torch.float32}
    assert with_weights_in("bf16", torch.nn.Linear(2, 2)).weight.dtype == torch.float32
