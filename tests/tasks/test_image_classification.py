"""The image task: batches by step, lengths by budget, held-out selection."""

from __future__ import annotations

import math

import pytest
import torch

from chtexp.config.compose import compose_run
from chtexp.config.images import ImageLength
from chtexp.data import PixelScale, load_images
from chtexp.errors import UserError
from chtexp.tasks import ImageClassification


def task_of(*overrides: str, seed: int = 0) -> ImageClassification:
    run = compose_run(["data=digits", "budget=smoke", *overrides])
    return ImageClassification(
        run.task, run.data, run.budget, load_images("digits", None), seed=seed, device=torch.device("cpu")
    )


@pytest.mark.parametrize("first", [0, 1, 4, 5, 7, 14])
def test_batches_from_any_step_are_the_tail_of_all_batches(first: int) -> None:
    task = task_of("budget.train_limit=150", "data.augment=crop_flip")
    every = [batch for (batch,) in task.batches(0)]
    tail = [batch for (batch,) in task.batches(first)]
    assert len(every) == task.total_steps == 15
    assert len(tail) == len(every) - first
    for (images, labels, _), (images_, labels_, _) in zip(every[first:], tail, strict=True):
        assert torch.equal(images, images_)
        assert torch.equal(labels, labels_)


def test_an_epoch_holds_every_example_once_in_an_order_of_its_own() -> None:
    task, other = task_of("budget.train_limit=150"), task_of("budget.train_limit=150", seed=1)
    every = [batch for (batch,) in task.batches(0)]
    assert [len(labels) for _, labels, _ in every[:5]] == [32, 32, 32, 32, 22]
    orders = [_order(every[:5]), _order(every[5:10]), _order([batch for (batch,) in other.batches(0)][:5])]
    wanted = _order([(PixelScale(task.config.mean, task.config.std)(task.train[0]), task.train[1])])
    for order in orders:
        assert sorted(order) == pytest.approx(sorted(wanted))
    assert orders[0] != orders[1] != orders[2] != orders[0]


def _order(batches: list) -> list[float]:
    """One number an image, in the order of the batches."""
    return torch.cat([images for images, *_ in batches]).flatten(1).sum(1).tolist()


def test_the_paper_recipe_has_the_papers_length() -> None:
    run = compose_run(["data=mnist", "budget=paper"])
    length = ImageLength(run.task, run.data, run.budget)
    assert (length.total_steps, length.update_interval, length.epochs) == (187_500, 1875, 100)
    assert length.positions(187_500) == 6_000_000
    assert length.positions(1876) == 60_032
    run = compose_run(["data=cifar10", "budget=cpu"])
    length = ImageLength(run.task, run.data, run.budget)
    assert (length.total_steps, length.epochs) == (10 * 1563, 10)
    assert length.positions(1563) == 50_000
    smoke = compose_run(["data=mnist", "budget=smoke"])
    assert ImageLength(smoke.task, smoke.data, smoke.budget).total_steps == 150


def test_validation_examples_are_held_out_of_training_and_the_same_for_every_seed() -> None:
    tasks = [task_of("task.selection=validation", "budget.train_limit=200", seed=seed) for seed in (0, 1)]
    for task in tasks:
        assert len(task.validation[1]) == 20
        assert len(task.train[1]) == 180
        assert (task.selection.moment, task.selection.metric) == ("best validation", "validation_accuracy")
    assert torch.equal(tasks[0].validation[0], tasks[1].validation[0])
    held_out = {tuple(image.flatten().tolist()) for image in tasks[0].validation[0]}
    trained = {tuple(image.flatten().tolist()) for image in tasks[0].train[0]}
    assert not held_out & trained


def test_evaluation_is_the_share_of_right_answers_and_leaves_no_trace() -> None:
    task = task_of()
    _, labels = task.test

    class Knows(torch.nn.Module):
        def forward(self, batch):
            guess = torch.zeros(len(batch), 10)
            guess[:, 3] = 1.0
            return guess

    state = torch.get_rng_state()
    metrics = task.evaluate(Knows())
    assert torch.equal(torch.get_rng_state(), state)
    share = (labels == 3).float().mean().item()
    assert metrics["accuracy"] == pytest.approx(100 * share)
    wanted = -(share * math.log(math.e / (math.e + 9)) + (1 - share) * math.log(1 / (math.e + 9)))
    assert metrics["test_loss"] == pytest.approx(wanted, rel=1e-5)


def test_data_that_is_not_what_the_config_says_is_an_error() -> None:
    with pytest.raises(UserError, match=r"data\.classes is 11, but the files of 'digits' hold 10"):
        task_of("data.classes=11")
