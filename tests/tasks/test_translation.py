"""Translation by the paper's recipe, on a corpus of a few sentences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from chtexp.compose import compose_run
from chtexp.errors import UserError
from chtexp.experiments.description import Run
from chtexp.experiments.work import prepared
from chtexp.processes import ALONE, Processes
from chtexp.tasks.translation import Part, Translation, TranslationLength


def task_of(run: Run, processes: Processes = ALONE) -> Translation:
    task, _ = run.family.build_task(run, run.paths.data, torch.device("cpu"), processes)
    return task


@pytest.mark.parametrize(
    ("data", "budget", "steps", "interval", "warmup"),
    [
        ("multi30k", "paper", 5000, 100, 1000),
        ("iwslt14", "paper", 20000, 100, 6000),
        ("wmt17", "paper", 80000, 100, 8000),
        ("multi30k", "cpu", 4000, 100, 800),
        ("multi30k", "smoke", 150, 15, 30),
    ],
)
def test_the_paper_recipe_has_the_papers_length(data: str, budget: str, steps: int, interval: int, warmup: int) -> None:
    run = compose_run([f"data={data}", f"budget={budget}"])
    length = TranslationLength(run.task, run.budget)
    assert (length.total_steps, length.update_interval, length.warmup) == (steps, interval, warmup)
    assert length.positions(3) == 3 * run.task.batch_tokens


@pytest.mark.parametrize(("data", "schedule"), [("multi30k", "noam"), ("webmix", "cosine")])
def test_ramps_are_refused_where_the_schedule_has_none(data: str, schedule: str) -> None:
    asked = [f"data={data}", f"task.learning_rate.schedule={schedule}"]
    assert compose_run(asked).task.learning_rate.ramp_steps == 20  # what the recipe says by itself is no request
    with pytest.raises(UserError, match=f"ramp_steps is of schedules with ramps, and {schedule} has none"):
        compose_run([*asked, "task.learning_rate.ramp_steps=5"])


def test_the_rate_is_noam_without_updates_and_ramps_with_them() -> None:
    dense = compose_run(["data=multi30k", "method=transformer/fc"])
    sparse = compose_run(["data=multi30k", "method=transformer/set"])
    plain = compose_run(["data=multi30k", "method=transformer/set", "task.learning_rate.schedule=noam"])
    rates = [run.family.learning_rate(run, 5000) for run in (dense, sparse, plain)]
    assert rates[0](999) == pytest.approx(0.25 * 512**-0.5 * 1000**-0.5)
    assert rates[1](900) == rates[0](900)  # warming up
    assert rates[1](1100) == pytest.approx(rates[0](1100) / 20)
    assert rates[1](1119) == rates[0](1119)
    assert rates[2](1100) == rates[0](1100)
    assert rates[1](3700) == pytest.approx(rates[0](3700) / 20)
    assert rates[1](3800) == rates[0](3800)  # after the last update, at 75%


def test_batches_from_any_step_are_the_tail_of_all(small_translation: Callable[..., Run]) -> None:
    task = task_of(small_translation("task.accumulate=2"))
    every, tail = list(task.batches(0)), list(task.batches(7))
    assert len(every) == task.total_steps
    for parts, others in zip(every[7:], tail, strict=True):
        assert len(parts) == 2
        for part, other in zip(parts, others, strict=True):
            assert torch.equal(part.source, other.source)
            assert torch.equal(part.target, other.target)
            assert part.per_token == other.per_token


@pytest.mark.parametrize("world", [2, 3, 50])
def test_parts_of_all_processes_are_the_batch_and_their_losses_its_mean(
    world: int, small_translation: Callable[..., Run]
) -> None:
    """With 50 processes, most have no sentence of their own."""
    run = small_translation("task.accumulate=2", "model.dropout=0", "model.attention_dropout=0")
    task, _, training = prepared(run, ALONE, lambda: None)
    assert isinstance(task, Translation)
    whole = next(task.batches(3))
    tokens = sum(int((part.target != 0).sum()) for part in whole)
    losses = sum(task.loss(training.model, part) for part in whole)
    logits = [training.model(part.source, part.target) for part in whole]
    wanted = sum(
        torch.nn.functional.cross_entropy(
            logit.flatten(0, 1), part.target.flatten(), ignore_index=0, label_smoothing=0.1, reduction="sum"
        )
        for logit, part in zip(logits, whole, strict=True)
    )
    torch.testing.assert_close(losses, wanted / tokens)
    shared = [
        sum(other.loss(training.model, part) for part in next(other.batches(3)))
        for other in (task_of(run, Processes(rank, world)) for rank in range(world))
    ]
    torch.testing.assert_close(sum(shared) / world, losses)


def test_validation_loss_is_that_of_single_sentences(small_translation: Callable[..., Run]) -> None:
    task, _, training = prepared(small_translation(), ALONE, lambda: None)
    assert isinstance(task, Translation)
    training.model.eval()
    found = task.evaluate(training.model)
    total, tokens = 0.0, 0
    for index in range(len(task.validation)):
        source, target = task.validation.padded(torch.tensor([index]).numpy())
        log_p = training.model(source, target).log_softmax(-1)
        total -= float(log_p.gather(-1, target[..., None]).sum().detach())
        tokens += target.numel()
    assert found["validation_loss"] == pytest.approx(total / tokens, rel=1e-5)
    assert found["validation_perplexity"] == pytest.approx(torch.tensor(total / tokens).exp().item(), rel=1e-4)


def test_final_scores_of_a_model_that_knows_the_answers(small_translation: Callable[..., Run], monkeypatch) -> None:
    task, _, training = prepared(small_translation(), ALONE, lambda: None)
    assert isinstance(task, Translation)
    pairs = task.test_pairs
    answers = [pairs.target.padded(torch.tensor([i]).numpy())[0].tolist()[:-1] for i in range(len(pairs))]
    monkeypatch.setattr("chtexp.tasks.translation.translate", lambda *_, **__: answers)
    tested = task.final_scores(training.model)
    assert tested.metrics["bleu"] == pytest.approx(100)
    assert tested.metrics["sacrebleu"] == pytest.approx(100)  # cases differ, and are said not to count
    assert "case:lc" in tested.details["signatures"]["sacrebleu"]
    assert len(tested.files["translations.jsonl"].splitlines()) == len(pairs)


def test_a_part_names_what_it_holds() -> None:
    assert Part._fields == ("source", "target", "per_token")
