"""Language modelling: lengths, batches of several parts, the exact perplexity, learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from chtexp.build import builder_of
from chtexp.config.compose import compose_run
from chtexp.config.run import Run
from chtexp.config.text import LanguageModellingLength
from chtexp.data.text import PADDING
from chtexp.distributed.group import Processes
from chtexp.errors import UserError
from chtexp.tasks.language_modelling import LanguageModelling


def task_of(run: Run, processes: Processes | None = None) -> LanguageModelling:
    task, _ = builder_of(run).task(run.paths.data, torch.device("cpu"), processes or Processes())
    assert isinstance(task, LanguageModelling)
    return task


@pytest.mark.parametrize(
    ("model", "budget", "steps", "interval", "warmup"),
    [
        ("llama_60m", "paper", 10_000, 100, 1000),
        ("llama_130m", "paper", 30_000, 100, 10_000),
        ("llama_1b", "paper", 100_000, 100, 10_000),
        ("llama_60m", "smoke", 300, 30, 30),
    ],
)
def test_the_paper_recipe_has_the_papers_length(
    model: str, budget: str, steps: int, interval: int, warmup: int
) -> None:
    run = compose_run(["data=openwebtext", f"model={model}", f"budget={budget}"])
    length = LanguageModellingLength(run.task, run.budget, run.data.sequence_length)
    assert (length.total_steps, length.update_interval, length.warmup) == (steps, interval, warmup)
    assert length.positions(3) == 3 * 512 * 256


def test_the_rate_ramps_after_updates_once_the_warm_up_is_over() -> None:
    common = ["data=openwebtext", "model=llama_60m"]
    sparse, plain = (compose_run([*common, *more]) for more in ([], ["task.learning_rate.schedule=cosine"]))
    last = sparse.method.last_update(10_000, 100)
    rates = [builder_of(run).learning_rate(10_000, lambda: last) for run in (sparse, plain)]
    assert rates[1](999) == pytest.approx(3e-3)
    assert rates[1](9999) == pytest.approx(3e-4)
    assert rates[0](900) == rates[1](900)
    assert rates[0](1100) == pytest.approx(rates[1](1100) / 20)
    assert rates[0](1119) == rates[1](1119)
    dense = compose_run([*common, "method=llama/fc", "task.learning_rate.peak=${model.peak_dense}"])
    assert builder_of(dense).learning_rate(10_000, lambda: 0)(999) == pytest.approx(1e-3)


def test_the_parts_of_a_step_are_its_batch_and_its_loss(small_text: Callable[..., Run]) -> None:
    run = small_text("task.at_once=3")
    whole, parted = task_of(small_text("task.at_once=8")), task_of(run)
    model = builder_of(run).model().model
    for (one,), parts in zip(whole.batches(2), parted.batches(2), strict=True):
        assert [len(part.tokens) for part in parts] == [3, 3, 2]
        assert torch.equal(torch.cat([part.tokens for part in parts]), one.tokens)
    assert sum(parted.loss(model, part).item() for part in parts) == pytest.approx(
        whole.loss(model, one).item(), rel=1e-5
    )


def test_ranks_share_every_step_and_its_loss(small_text: Callable[..., Run]) -> None:
    run = small_text("task.batch=7")
    model = builder_of(run).model().model
    alone = task_of(run)
    ranks = [task_of(run, Processes(rank, 3)) for rank in range(3)]
    for parts, *of_ranks in zip(alone.batches(0), *(task.batches(0) for task in ranks), strict=True):
        sequences = sorted(tuple(row) for part in parts for row in part.tokens.tolist())
        assert sorted(tuple(row) for parts_ in of_ranks for part in parts_ for row in part.tokens.tolist()) == sequences
    loss = sum(alone.loss(model, part).item() for part in parts)
    means = [sum(alone.loss(model, part).item() for part in parts_) for parts_ in of_ranks]
    assert sum(means) / 3 == pytest.approx(loss, rel=1e-5)


def test_batches_from_any_step_are_the_tail_of_all(small_text: Callable[..., Run]) -> None:
    task = task_of(small_text())
    every, tail = list(task.batches(0)), list(task.batches(9))
    assert len(every) == task.total_steps == 21
    for parts, others in zip(every[9:], tail, strict=True):
        for part, other in zip(parts, others, strict=True):
            assert torch.equal(part.tokens, other.tokens)


def nats_of(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return -model(tokens[:, :-1]).log_softmax(-1).gather(-1, tokens[:, 1:, None]).flatten().double()


def test_perplexity_is_that_of_every_validation_token(small_text: Callable[..., Run]) -> None:
    run = small_text()
    task = task_of(run)
    model = builder_of(run).model().model.eval()
    text = task.data.validation
    count = text.sequences(16)
    assert count % 4  # the last batch is a smaller one
    rest = text.rest(16)
    assert rest.shape[1] > 1
    nats = torch.cat([nats_of(model, text.take(range(count), 16)), nats_of(model, rest)])
    assert len(nats) == len(text) - 1
    found = task.evaluate(model)
    assert found["validation_loss"] == pytest.approx(float(nats.mean()), rel=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(found["validation_loss"]))
    limited = task_of(small_text("budget.test_limit=1")).evaluate(model)
    assert limited["validation_loss"] == pytest.approx(float(nats[:16].mean()), rel=1e-6)


class Sums(Processes):
    """One of several processes, which notes what it would send to the others."""

    def __init__(self, rank: int, world: int) -> None:
        super().__init__(rank, world)
        self.mine = torch.zeros(())

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        self.mine = values
        return values


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_evaluate_the_same_tokens_as_one(small_text: Callable[..., Run], world: int) -> None:
    run = small_text("task.at_once=3")
    model = builder_of(run).model().model.eval()
    alone = task_of(run)
    ranks = [Sums(rank, world) for rank in range(world)]
    for one in ranks:
        task_of(run, one).evaluate(model)
    nats, tokens = sum(one.mine for one in ranks).tolist()
    assert tokens == len(alone.data.validation) - 1
    assert nats / tokens == pytest.approx(alone.evaluate(model)["validation_loss"])


def test_a_step_wants_enough_text_and_a_sequence_for_every_process(small_text: Callable[..., Run]) -> None:
    with pytest.raises(UserError, match="fewer than a batch of 4000"):
        task_of(small_text("task.batch=4000"))
    with pytest.raises(UserError, match=r"task\.batch=2 leaves nothing to some of 3 processes"):
        task_of(small_text("task.batch=2"), Processes(0, 3))


# --- the beginnings of documents ---------------------------------------------------------------------------

DOCUMENTS = ("data.packing=document", "data.sequence_length=64")


def test_padding_counts_nowhere(small_text: Callable[..., Run]) -> None:
    """The loss of a step is the mean over the real targets of its documents, each asked alone and without padding."""
    run = small_text(*DOCUMENTS, "task.at_once=3")
    task = task_of(run)
    model = builder_of(run).model().model
    for parts in task.batches(18):
        rows = [row[row != PADDING] for part in parts for row in part.tokens]
        assert len({len(row) for row in rows}) > 1  # one is shorter than another
        nats = torch.cat([nats_of(model, row[None]) for row in rows])
        assert len(nats) == sum(len(row) - 1 for row in rows)
        assert sum(task.loss(model, part).item() for part in parts) == pytest.approx(float(nats.mean()), rel=1e-5)
    count = task.data.validation.sequences(64)
    rows = [row[row != PADDING] for row in task.data.validation.take(range(count), 64)]
    nats = torch.cat([nats_of(model, row[None]) for row in rows])
    assert task.evaluate(model)["validation_loss"] == pytest.approx(float(nats.mean()), rel=1e-6)


def test_what_is_padded_with_changes_no_gradient(small_text: Callable[..., Run]) -> None:
    run = small_text(*DOCUMENTS, "task.at_once=8")
    task = task_of(run)
    (part,) = next(task.batches(0))
    assert (part.tokens == PADDING).any()
    gradients = []
    for padding in (0, 7):
        model = builder_of(run).model().model
        task.data.tokenizer.padding = padding
        task.loss(model, part).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_mean_over_real_tokens(small_text: Callable[..., Run], world: int) -> None:
    run = small_text(*DOCUMENTS, "task.batch=7", "task.at_once=2")
    model = builder_of(run).model().model
    alone, ranks = task_of(run), [task_of(run, Processes(rank, world)) for rank in range(world)]
    for parts, *of_ranks in zip(alone.batches(0), *(task.batches(0) for task in ranks), strict=True):
        loss = sum(alone.loss(model, part).item() for part in parts)
        shares = [sum(alone.loss(model, part).item() for part in parts_) for parts_ in of_ranks]
        assert sum(shares) / world == pytest.approx(loss, rel=1e-5)
    sums = [Sums(rank, world) for rank in range(world)]
    for one in sums:
        task_of(run, one).evaluate(model)
    nats, tokens = sum(one.mine for one in sums).tolist()
    validation = alone.data.validation
    assert tokens == validation.targets(range(validation.sequences(64)), 64)
    assert nats / tokens == pytest.approx(alone.evaluate(model)["validation_loss"])


def test_tokens_seen_are_real_ones(small_text: Callable[..., Run]) -> None:
    task = task_of(small_text(*DOCUMENTS, "task.batch=20"))  # several epochs
    seen = [0]
    for parts in task.batches(0):
        seen.append(seen[-1] + sum(int((part.tokens[:, 1:] != PADDING).sum()) for part in parts))
        assert task.passed(len(seen) - 1)["tokens"] == seen[-1]
    assert seen[-1] < task.positions(21) == 21 * 20 * 64
    resumed = task_of(small_text(*DOCUMENTS, "task.batch=20"))
    next(resumed.batches(9))
    assert [resumed.passed(step)["tokens"] for step in (10, 4, 21)] == [seen[10], seen[4], seen[21]]
    packed = task_of(small_text("task.batch=20"))
    assert packed.passed(9)["tokens"] == packed.positions(9)
