"""Zero-shot scores: by hand from answers, from local files through the harness, and the mistakes a person may make."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chtexp.data.labelled import read_labelled
from chtexp.errors import UserError
from chtexp.experiments.description import Run
from chtexp.experiments.run import execute
from chtexp.experiments.zeroshot import matthews, score

PAIR = '<pair id="{id}" {key}="{label}" task="IE"><t>A dog\n runs {id}.</t><h>It runs.</h></pair>'


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A data root with some labelled text: 7 of 12 pairs entail, 3 of 8 reviews are positive."""
    folder = tmp_path / "labelled" / "zeroshot"
    folder.mkdir(parents=True)
    for file, key, labels in (
        ("rte1_test.xml", "value", ["TRUE", "FALSE", "TRUE", "TRUE"]),
        ("rte2_test.xml", "entailment", ["YES", "NO", "YES", "YES"]),
        ("rte3_test.xml", "entailment", ["NO", "YES", "UNKNOWN", "NO"]),
    ):
        pairs = "".join(PAIR.format(id=number, key=key, label=label) for number, label in enumerate(labels))
        (folder / file).write_text(f"<entailment-corpus>{pairs}</entailment-corpus>")
    (folder / "rt-polarity.neg").write_text("dull .\nbad .\n\nlong .\nthin .\npoor .\n")
    (folder / "rt-polarity.pos").write_text("good .\nwitty .\nrich .\n")
    return folder.parent


def test_a_score_by_hand() -> None:
    answers = [(0, 0)] * 50 + [(0, 1)] * 10 + [(1, 0)] * 20 + [(1, 1)] * 20
    found = score("x", answers)
    assert (found.n, found.accuracy) == (100, 70.0)
    assert found.accuracy_error == pytest.approx(100 * (0.7 * 0.3 / 99) ** 0.5)
    assert found.matthews == pytest.approx((50 * 20 - 10 * 20) / (60 * 40 * 70 * 30) ** 0.5)
    assert found.matthews_error == pytest.approx(0.1, abs=0.02)
    assert found.shares == {"0": 60.0, "1": 40.0}
    assert found.answered == {"0": 70.0, "1": 30.0}


def test_who_always_says_the_same_has_no_correlation() -> None:
    assert matthews(np.array([0, 0, 1]), np.array([0, 0, 0])) == 0
    assert score("x", [(0, 0), (0, 0), (1, 0)]).matthews == 0


@pytest.mark.parametrize("labels", [2, 3])
def test_the_correlation_is_scikit_learns(labels: int) -> None:
    from sklearn.metrics import matthews_corrcoef

    draws = np.random.default_rng(labels).integers(0, labels, (20, 2, 50))
    for right, given in draws:
        assert matthews(right, given) == pytest.approx(matthews_corrcoef(right, given))


def test_local_files(labelled: Path) -> None:
    pairs, reviews = read_labelled("rte", labelled), read_labelled("reviews", labelled)
    assert pairs[0] == {"sentence1": "A dog runs 0.", "sentence2": "It runs.", "label": 0}
    assert [pair["label"] for pair in pairs] == [0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 1]
    assert [review["label"] for review in reviews] == [0] * 5 + [1] * 3
    (labelled / "zeroshot" / "rt-polarity.pos").write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match=r"rt-polarity\.pos is not UTF-8 \(byte 3\)"):
        read_labelled("reviews", labelled)
    (labelled / "zeroshot" / "rte2_test.xml").write_text(
        "<entailment-corpus><pair id='9' value='MAYBE'/></entailment-corpus>"
    )
    with pytest.raises(UserError, match=r"rte2_test\.xml: pair 9 has no text"):
        read_labelled("rte", labelled)
    (labelled / "zeroshot" / "rte1_test.xml").write_text("<entailment")
    with pytest.raises(UserError, match=r"rte1_test\.xml is no XML"):
        read_labelled("rte", labelled)
    with pytest.raises(UserError, match="No such file"):
        read_labelled("rte", labelled / "nowhere")
    with pytest.raises(UserError, match="needs a data folder"):
        read_labelled("rte", None)


@pytest.mark.slow
def test_the_harness_asks_a_trained_run(
    small_text: Callable[..., Run], labelled: Path, chtexp: Callable, tmp_path: Path
) -> None:
    run = small_text("data.sequence_length=64", "task.batch=2", "task.at_once=2")
    execute(run, "command")
    folder = str(run.folder.path)
    tasks = ["--tasks", "rte_local,reviews_local", "--data", str(labelled)]
    said = chtexp("zeroshot", folder, *tasks).stdout
    assert "rte_local" in said
    kept = json.loads((run.folder.path / "zeroshot.json").read_text())
    assert [(s["task"], s["n"]) for s in kept["scores"]] == [("rte_local", 12), ("reviews_local", 8)]
    assert kept["scores"][0]["shares"] == pytest.approx({"0": 700 / 12, "1": 500 / 12})
    again = ["--tasks", "reviews_local", *tasks[2:], "--json", "--limit", "3"]
    assert [s["n"] for s in json.loads(chtexp("zeroshot", folder, *again).stdout)["scores"]] == [3]
    kept = json.loads((run.folder.path / "zeroshot.json").read_text())  # other tasks keep their scores
    assert [(s["task"], s["n"], s["limit"]) for s in kept["scores"]] == [
        ("rte_local", 12, None),
        ("reviews_local", 3, 3),
    ]
    done = chtexp("zeroshot", folder, "--tasks", "rte_locl", check=2)
    assert "knows no task 'rte_locl'" in done.stderr.splitlines()[-1]
    done = chtexp("zeroshot", folder, "--tasks", "rte_local", "--data", str(tmp_path / "nowhere"), check=2)
    assert "No such file" in done.stderr.splitlines()[-1]
