"""Translation by the paper's recipe, on a corpus of a few sentences."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from subwords import SUBWORDS
from torch import Tensor, nn

from chtexp.build import builder_of
from chtexp.config.compose import compose_run
from chtexp.config.run import Run
from chtexp.config.translation import TranslationLength
from chtexp.data.translation import Pairs
from chtexp.data.translation.pairs import Sentences
from chtexp.distributed.group import ALONE, Processes
from chtexp.errors import UserError
from chtexp.run.work import prepared
from chtexp.tasks.translation import BatchPart, Translation
from chtexp.train.loop import Judged


def task_of(run: Run, processes: Processes = ALONE) -> Translation:
    task, _ = builder_of(run).task(run.paths.data, torch.device("cpu"), processes)
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


@pytest.mark.parametrize(
    ("data", "budget", "asked", "interval"),
    [
        ("multi30k", "paper", 500, 500),
        ("wmt17", "paper", 500, 500),
        ("multi30k", "cpu", 500, 500),
        ("multi30k", "cpu", 200, 200),
        ("multi30k", "smoke", 500, 50),  # three in 150 steps
    ],
)
def test_evaluations_are_so_many_steps_apart(data: str, budget: str, asked: int, interval: int) -> None:
    run = compose_run([f"data={data}", f"budget={budget}", f"task.evaluate_steps={asked}"])
    assert TranslationLength(run.task, run.budget).evaluate_interval == interval


@pytest.mark.parametrize(("data", "schedule"), [("multi30k", "noam"), ("webmix", "cosine")])
def test_ramps_are_refused_where_the_schedule_has_none(data: str, schedule: str) -> None:
    asked = [f"data={data}", f"task.learning_rate.schedule={schedule}"]
    assert compose_run(asked).task.learning_rate.ramp_steps == 20  # what the recipe says by itself is no request
    with pytest.raises(UserError, match=f"ramp_steps is of schedules with ramps, and {schedule} has none"):
        compose_run([*asked, "task.learning_rate.ramp_steps=5"])


def test_the_rate_is_noam_without_updates_and_ramps_with_them() -> None:
    dense = compose_run(["data=multi30k", "method=transformer/fc"])
    sparse = compose_run(["data=multi30k", "method=transformer/rigl"])
    plain = compose_run(["data=multi30k", "method=transformer/rigl", "task.learning_rate.schedule=noam"])
    rates = [
        builder_of(run).learning_rate(5000, lambda run=run: run.method.last_update(5000, 100))
        for run in (dense, sparse, plain)
    ]
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


@pytest.mark.parametrize("units", [(), SUBWORDS])
def test_validation_scores_are_those_of_single_sentences(units: tuple, small_translation: Callable[..., Run]) -> None:
    task, _, training = prepared(small_translation(*units), ALONE, lambda: None)
    assert isinstance(task, Translation)
    training.model.eval()
    found = task.evaluate(training.model)
    total, right, tokens = 0.0, 0, 0
    for index in range(len(task.validation)):
        source, target = task.validation.padded(torch.tensor([index]).numpy())
        log_p = training.model(source, target).log_softmax(-1)
        total -= float(log_p.gather(-1, target[..., None]).sum().detach())
        right += int((log_p.argmax(-1) == target).sum())
        tokens += target.numel()
    assert found["validation_loss"] == pytest.approx(total / tokens, rel=1e-5)
    assert found["validation_accuracy"] == pytest.approx(100 * right / tokens)
    assert found["validation_perplexity"] == pytest.approx(torch.tensor(total / tokens).exp().item(), rel=1e-4)


class Says(nn.Module):
    """A network whose likeliest token is the right one where `right` is true, and the padding's elsewhere."""

    def __init__(self, right: list[list[bool]]) -> None:
        super().__init__()
        self.right = torch.tensor(right)

    def forward(self, source_BS: Tensor, target_BT: Tensor) -> Tensor:
        said_BT = torch.where(self.right[:, : target_BT.shape[1]] & (target_BT != 0), target_BT, 0)
        return 9.0 * torch.nn.functional.one_hot(said_BT, 30).float()


def test_accuracy_counts_no_padding(small_translation: Callable[..., Run]) -> None:
    """Two of seven tokens are right; the network is right about all padding, which is none of them."""
    task = task_of(small_translation())
    numbers = np.array([4, 5, 6, 2, 7, 8, 2], dtype=np.uint16)
    sentences = Sentences(numbers, np.array([0, 4, 7]))
    task.validation = Pairs(sentences, sentences)
    found = task.evaluate(
        Says([[False, True, False, False], [False, True, False, False]])
    )  # longest last, or first: the same
    assert found["validation_accuracy"] == pytest.approx(100 * 2 / 7)


@pytest.mark.parametrize(("selection", "step"), [("accuracy", 2), ("loss", 1)])
def test_accuracy_and_loss_may_choose_different_moments(
    selection: str, step: int, small_translation: Callable[..., Run]
) -> None:
    """A network that grows sure of itself is right more often, and surer of what it has wrong."""
    task = task_of(small_translation(f"task.selection={selection}"))
    judged = Judged()
    for at, (accuracy, loss) in enumerate([(40.0, 3.0), (50.0, 2.0), (52.0, 2.5), (51.0, 2.6)]):
        judged.judge(task, {"validation_accuracy": accuracy, "validation_loss": loss}, at, at_final_density=True)
    assert judged.selected_step == step


@pytest.mark.parametrize("units", [(), SUBWORDS])
def test_final_scores_of_a_model_that_knows_the_answers(
    units: tuple, small_translation: Callable[..., Run], monkeypatch
) -> None:
    task, _, training = prepared(small_translation(*units), ALONE, lambda: None)
    assert isinstance(task, Translation)
    pairs = task.test_pairs
    answers = [pairs.target.padded(torch.tensor([i]).numpy())[0].tolist()[:-1] for i in range(len(pairs))]
    monkeypatch.setattr("chtexp.tasks.translation.translate", lambda *_, **__: answers)
    tested = task.final_scores(training.model)
    assert tested.metrics["bleu"] == pytest.approx(100)
    assert tested.metrics["sacrebleu"] == pytest.approx(100)  # where cases differ, they are said not to count
    assert ("case:lc" if units else "case:mixed") in tested.details["signatures"]["sacrebleu"]
    assert "case:lc" in tested.details["signatures"]["bleu"]
    assert len(tested.files["translations.jsonl"].splitlines()) == len(pairs)


@pytest.mark.parametrize(("replace", "said"), [("true", "Ein dog läuft."), ("false", "Ein <unk> läuft.")])
def test_an_unknown_word_of_a_translation(
    replace: str, said: str, small_translation: Callable[..., Run], monkeypatch
) -> None:
    task, _, training = prepared(small_translation(f"task.replace_unknown={replace}"), ALONE, lambda: None)
    assert isinstance(task, Translation)
    first = task.test_pairs.target.padded(np.arange(1))[0].tolist()[:-1]
    first[1] = task.vocabulary.unk_id
    monkeypatch.setattr("chtexp.tasks.translation.translate", lambda *_, **__: [first] * len(task.test_pairs))
    monkeypatch.setattr(
        "chtexp.tasks.unknown_words.source_attention",
        lambda _, source, target: torch.tensor([0.1, 0.5, 0.4]).repeat(len(source), target.shape[1], 1),
    )
    lines = task.final_scores(training.model).files["translations.jsonl"].splitlines()
    assert json.loads(lines[0])["source"] == "A dog runs."
    assert json.loads(lines[0])["hypothesis"] == said


def test_shared_embeddings_take_sub_words() -> None:
    with pytest.raises(
        UserError, match=r"model\.embeddings=shared takes a vocabulary that both languages share: add data\.units"
    ):
        compose_run(["data=multi30k", "model.embeddings=shared"])
    assert compose_run(["data=multi30k", "model.embeddings=shared", "data.units=subwords"]).model.embeddings == "shared"


def test_a_part_names_what_it_holds() -> None:
    assert BatchPart._fields == ("source", "target", "per_token")
