"""Scores beside results: newest ones win, they travel with the result, and numbers are read off them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_results import ID
from sample_results import result as sample

from chtexp.errors import UserError
from chtexp.store import Damaged, Result, RunFolder
from chtexp.store.collection import merged, read_collection, results_below, write_collection
from chtexp.store.evaluations import finished, newest, read_off, with_scores, write_scores
from chtexp.store.records import Score


def score(task: str, accuracy: float = 60.0, **changes: object) -> Score:
    values = {
        "task": task, "n": 100, "accuracy": accuracy, "accuracy_error": 4.9, "matthews": 0.25, "matthews_error": 0.1,
        "shares": {"0": 30.0, "1": 70.0}, "answered": {"1": 100.0}, "limit": None, "lm_eval": "0", **changes,
    }  # fmt: skip
    return Score.of(values)


def result() -> Result:
    return Result.of(sample(metric="perplexity", higher_is_better=False))


def test_a_new_evaluation_replaces_its_own_tasks_alone() -> None:
    kept = newest([score("rte", 50.0), score("cola", 51.0)], [score("rte", 52.0)])
    assert [(s.task, s.accuracy) for s in kept] == [("cola", 51.0), ("rte", 52.0)]


def test_first_items_alone_never_replace_a_whole_task() -> None:
    whole, part, other = score("rte", 50.0), score("rte", 90.0, limit=10, n=10), score("rte", 80.0, limit=20, n=20)
    assert newest([whole], [part]) == [whole]
    assert newest([part], [other]) == [other]
    assert newest([other], [part]) == [other]
    assert newest([part], [whole]) == [whole]


def test_a_part_of_the_texts_never_stands_for_the_whole_task() -> None:
    whole, part = score("hellaswag", 30.0, n=10_042), score("hellaswag", 40.0, n=1_000, whole=10_042)
    assert newest([whole], [part]) == [whole]
    assert newest([part], [whole]) == [whole]
    assert with_scores(with_scores(result(), [part]), [whole]).zeroshot == (whole,)
    assert with_scores(with_scores(result(), [whole]), [part]).zeroshot == (whole,)
    counted = score("hellaswag", 40.0, n=1_000, whole=10_042, cut=0)
    assert finished([counted], ["hellaswag"], None, "0") == {}


def test_a_mean_over_tasks_is_read_off() -> None:
    evaluated = with_scores(result(), [score("rte", 50.0), score("cola", 70.0, limit=10)])
    read = read_off(evaluated, ["rte", "cola"], "accuracy", "accuracy")
    assert read is not None
    assert (read.reported, read.metric, read.higher_is_better, read.last) == (60.0, "accuracy", True, None)
    assert read.item_limit == 10
    assert read.id == ID
    for key, value in (("matthews", 0.25), ("shares.1", 70.0), ("shares.2", 0.0)):
        read = read_off(evaluated, ["rte"], key, "m")
        assert read is not None
        assert (read.reported, read.item_limit) == (value, None)
    assert read_off(evaluated, ["rte", "boolq"], "accuracy", "accuracy") is None
    assert read_off(result(), ["rte"], "accuracy", "accuracy") is None


def test_labels_are_read_by_number_and_by_name() -> None:
    shares = {"no": 30.0, "yes": 70.0}
    evaluated = with_scores(result(), [score("boolq", shares=shares, choices=["no", "yes"])])
    for label, value in (("1", 70.0), ("yes", 70.0), ("0", 30.0)):
        read = read_off(evaluated, ["boolq"], f"shares.{label}", "share")
        assert read is not None
        assert read.reported == value
    with pytest.raises(UserError, match=r"unknown label of boolq 'yse' .did you mean 'yes'"):
        read_off(evaluated, ["boolq"], "shares.yse", "share")


def test_finished_is_what_would_only_be_repeated() -> None:
    whole, few = score("rte", cut=0), score("cola", cut=2, limit=10)
    scores = [whole, few, score("wnli")]  # the last of a time when nobody counted what was cut
    assert finished(scores, ["rte", "cola", "wnli", "cb"], None, "0") == {"rte": whole}
    assert finished(scores, ["rte", "cola", "wnli", "cb"], 10, "0") == {"cola": few}
    assert finished(scores, ["cola"], None, "0") == finished(scores, ["rte"], None, "1") == {}


def test_scores_travel_with_results(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / f"x-y-z-{ID}" / "seed-0")
    folder.finish(result().said)
    before = folder.finished()
    assert folder.evaluated() == before
    write_scores(folder.path, ID, 0, [score("rte")])
    assert folder.finished() == before
    found = results_below(tmp_path / "runs")
    assert found[ID, 0].zeroshot == (score("rte"),)
    for name in ("all.jsonl", "all.parquet"):
        write_collection(tmp_path / name, found)
        again = read_collection(tmp_path / name)
        assert again[ID, 0].zeroshot == (score("rte"),)
        assert again == found


def test_scores_of_another_run_and_changed_ones_are_damage(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / f"x-y-z-{ID}" / "seed-0")
    folder.finish(result().said)
    write_scores(folder.path, ID, 1, [score("rte")])
    with pytest.raises(Damaged, match=rf"zeroshot\.json holds the scores of another run: {ID} seed 1"):
        folder.evaluated()
    write_scores(folder.path, ID, 0, [score("rte")])
    path = folder.path / "zeroshot.json"
    path.write_text(path.read_text().replace("60.0", "90.0"))
    with pytest.raises(Damaged, match=r"zeroshot\.json is not what its checksum says"):
        folder.evaluated()


def test_damaged_scores_are_evaluated_again_and_nothing_is_trained(tmp_path: Path, chtexp: Callable) -> None:
    folder = RunFolder(tmp_path / "runs" / f"x-y-z-{ID}" / "seed-0")
    folder.finish(result().said)
    (folder.path / "zeroshot.json").write_text("[]")
    assert f"go on: chtexp zeroshot {folder.path}\n" in chtexp("status", "--failed").stdout
    (listed,) = json.loads(chtexp("status", "--json").stdout)
    assert (listed["state"], listed["command"]) == ("damaged", f"chtexp zeroshot {folder.path}")


def test_copies_with_other_tasks_merge_and_with_other_scores_contradict() -> None:
    plain, rte = {("a", 0): result()}, {("a", 0): with_scores(result(), [score("rte")])}
    cola = {("a", 0): with_scores(result(), [score("cola")])}
    together = merged({"x": plain, "y": rte, "z": cola})["a", 0]
    assert {s.task for s in together.zeroshot or ()} == {"rte", "cola"}
    other = {("a", 0): with_scores(result(), [score("rte", 61.0)])}
    with pytest.raises(UserError, match=r"zeroshot of rte \(100, 60.0, 0.25\) and \(100, 61.0, 0.25\) \(x, y\)"):
        merged({"x": rte, "y": other})
    said: list[str] = []
    assert merged({"x": rte, "y": other}, said.append)["a", 0].zeroshot == (score("rte"),)
    assert len(said) == 1
