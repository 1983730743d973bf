"""Zero-shot scores: by hand from answers, from local files through the harness, and the mistakes a person may make."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from chtexp.cli import zeroshot as zeroshot_command
from chtexp.cli.common import Parser
from chtexp.config.run import Run
from chtexp.data.labelled import read_labelled
from chtexp.errors import UserError
from chtexp.run.execute import execute
from chtexp.trained.zeroshot import PAPER_TASKS, Lacking, _answers, _fixed_choices, _is_cut, _settings
from chtexp.trained.zeroshot_score import Score, matthews, score

PAIR = '<pair id="{id}" {key}="{label}" task="IE"><t>A dog\n runs {id}.</t><h>It runs.</h></pair>'


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A data root with some labelled text: 7 of 12 pairs entail, 3 of 8 reviews are positive, and one of them is too long."""
    folder = tmp_path / "labelled" / "zeroshot"
    folder.mkdir(parents=True)
    for file, key, labels in (
        ("rte1_test.xml", "value", ["TRUE", "FALSE", "TRUE", "TRUE"]),
        ("rte2_test.xml", "entailment", ["YES", "NO", "YES", "YES"]),
        ("rte3_test.xml", "entailment", ["NO", "YES", "UNKNOWN", "NO"]),
    ):
        pairs = "".join(PAIR.format(id=number, key=key, label=label) for number, label in enumerate(labels))
        (folder / file).write_text(f"<entailment-corpus>{pairs}</entailment-corpus>")
    (folder / "rt-polarity.neg").write_text(f"dull .\nbad .\n\n{'long ' * 60}.\nthin .\npoor .\n")
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


def test_labels_are_called_as_the_task_calls_them() -> None:
    found = score("x", [(0, 1), (1, 1), (1, 1), (1, 1)], ["no", "yes", "maybe"], cut=3)
    assert found.shares == {"no": 25.0, "yes": 75.0, "maybe": 0.0}
    assert list(found.answered.items()) == [("no", 0.0), ("yes", 100.0), ("maybe", 0.0)]
    assert (found.choices, found.cut) == (("no", "yes", "maybe"), 3)


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


class Asked:
    """The command without a network: it evaluates `tasks` up to one called `broken`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder, self.tasks = folder, []
        writer = SimpleNamespace(run=SimpleNamespace(id="0123456789", seed=0), longest=64)
        monkeypatch.setattr(zeroshot_command, "writer_of", lambda parsed: writer)
        monkeypatch.setattr("chtexp.trained.zeroshot.evaluate_zero_shot", self._evaluate)

    def _evaluate(
        self, writer: object, tasks: list[str], root: Path | None, limit: int | None = None, **options: object
    ) -> Iterator[Score]:
        self.tasks = list(tasks)
        for task in tasks:
            if task == "broken":
                raise UserError("broken")
            if task == "far":
                yield Lacking(task, "no network")
                continue
            yield score(task, [(0, 1), (1, 1)][:limit], ["no", "yes"], cut=1)

    def __call__(self, *typed: str, code: int = 0) -> list[str]:
        """The tasks that were evaluated, or begun."""
        parser = Parser()
        zeroshot_command.add_arguments(parser)
        self.tasks = []
        assert zeroshot_command.run(parser.parse([str(self.folder), *typed])) == code
        return self.tasks

    @property
    def kept(self) -> list[str]:
        return [record["task"] for record in json.loads((self.folder / "zeroshot.json").read_text())["scores"]]


def test_what_is_evaluated_is_kept_and_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked(monkeypatch, tmp_path)
    with pytest.raises(UserError, match="broken"):
        asked("--tasks", "rte,cola,broken,cb")
    assert asked.kept == ["rte", "cola"]
    assert asked("--tasks", "cola,cb,rte") == ["cb"]
    assert asked.kept == ["rte", "cola", "cb"]
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[2:5]] == ["cola", "cb", "rte"]
    assert "no 50.0, yes 50.0" in said
    assert "no 0.0, yes 100.0" in said
    assert "cb: 1 of 2 items are longer than the 64 tokens of the network: it saw their ends alone" in said
    assert "evaluated before: rte, cola; --again evaluates anew" in said
    assert asked("--tasks", "rte,cb", "--again") == ["rte", "cb"]
    assert asked("--tasks", "rte,wnli", "--limit", "1") == ["rte", "wnli"]  # another question
    assert asked("--tasks", "rte,wnli", "--limit", "1") == ["rte"]  # that of all items was kept, and not that of one
    said = capsys.readouterr().out
    assert "rte: not kept, since a score of more items is there" in said
    assert "wnli: not kept" not in said
    assert asked("--tasks", "rte,cb,wnli", "--json") == ["wnli"]
    assert [record["task"] for record in json.loads(capsys.readouterr().out)["scores"]] == ["rte", "cb", "wnli"]
    assert asked("--tasks", "far,qnli", code=1) == ["far", "qnli"]
    assert "qnli" in asked.kept
    assert "far: not evaluated: no network" in capsys.readouterr().err


@pytest.mark.slow
def test_what_cannot_be_scored_is_one_clear_line(tmp_path: Path) -> None:
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    for task in PAPER_TASKS:
        assert _settings(task, manager, tmp_path)["output_type"] == "multiple_choice"
    for wrong, wanted in (
        ("rte_locl", "the harness knows no task 'rte_locl'; the paper's are cola, "),
        (
            "gsm8k",
            "'gsm8k' offers no choice of answers (its output_type is generate_until): only tasks of multiple_choice ",
        ),
        ("rte_local", "No such file"),
        ("squadv2", "'squadv2' offers no choice of answers (its output_type is a class of its own): "),
    ):
        with pytest.raises(UserError, match=re.escape(wanted)):
            _settings(wrong, manager, tmp_path)


@pytest.mark.slow
def test_the_harness_asks_a_trained_run(small_text: Callable[..., Run], labelled: Path, chtexp: Callable) -> None:
    run = small_text("data.sequence_length=64", "task.batch=2", "task.at_once=2")
    execute(run, "command")
    folder, file = str(run.folder.path), run.folder.path / "zeroshot.json"

    def kept(*keys: str) -> list[tuple]:
        return [tuple(s[key] for key in keys) for s in json.loads(file.read_text())["scores"]]

    data, tasks = ["--data", str(labelled)], ["--tasks", "rte_local,reviews_local"]
    done = chtexp("zeroshot", folder, "--tasks", "rte_local,gsm8k", *data, check=2)
    assert "'gsm8k' offers no choice of answers (its output_type is generate_until)" in done.stderr.splitlines()[-1]
    assert not file.exists()  # it is seen before anything is evaluated
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    done = chtexp("zeroshot", folder, "--tasks", "sst2,rte_local", *data, check=1, **offline)
    wanted = f"sst2: not evaluated: its texts cannot be had: no {labelled}/glue/glue_sst2.jsonl, and the hub does not give them"
    asking, evaluating, lacking = done.stderr.splitlines()  # nothing of the libraries' own
    assert asking == "sst2: its texts are not below the data root: asking the Hugging Face hub"
    assert evaluating == "rte_local: evaluating 12 items"
    assert lacking.startswith(wanted)
    assert kept("task", "n") == [("rte_local", 12)]  # the others are evaluated all the same

    said = chtexp("zeroshot", folder, *tasks, *data).stdout
    assert "reviews_local: 1 of 8 items are longer than the 64 tokens of the network: it saw their ends alone" in said
    assert "evaluated before: rte_local; --again evaluates anew" in said
    assert "True 58.3, False 41.7" in said
    assert kept("task", "n", "cut") == [("rte_local", 12, 0), ("reviews_local", 8, 1)]
    assert kept("choices") == [(["True", "False"],), (["negative", "positive"],)]
    assert kept("shares")[0][0] == pytest.approx({"True": 700 / 12, "False": 500 / 12})

    done = chtexp("zeroshot", folder, "--tasks", "reviews_local", *data, "--json", "--limit", "3")
    assert [s["n"] for s in json.loads(done.stdout)["scores"]] == [3]
    assert "reviews_local: not kept, since a score of more items is there" in done.stderr
    assert kept("task", "n", "limit") == [("rte_local", 12, None), ("reviews_local", 8, None)]


def test_a_right_answer_that_is_no_label_is_one_clear_line() -> None:
    for target in ("maybe", [0, 1]):
        with pytest.raises(
            UserError, match=r"'x' cannot be scored: the right answer of an item is .* and not one of its choices"
        ):
            _answers("x", [{**ASKED, "target": target}])


ASKED = {"arguments": [("Q", "  he runs"), ("Q", "  he sings")], "filtered_resps": [(0.0, True), (1.0, True)]}


def test_a_right_answer_may_be_named_by_number_or_by_itself() -> None:
    """COPA's target is the answer."""
    for target, label in ((0, 0), ("1", 1), (" he sings", 1), (" he runs", 0)):
        assert _answers("x", [{**ASKED, "target": target}]) == [(label, 1)]


def test_choices_are_fixed_where_all_items_share_them() -> None:
    assert _fixed_choices({"doc_to_choice": ["no", "yes"]}) == ("no", "yes")
    for choices in ("choices", "{{[a, b]}}", None, [], ["x", "x"]):
        assert _fixed_choices({"doc_to_choice": choices}) is None
    assert _fixed_choices({}) is None


class Model:
    """A network of ten tokens, each a letter."""

    max_length = 10

    def tok_encode(self, text: str) -> list[str]:
        return list(text)


def test_what_is_longer_than_the_network_is_counted() -> None:
    """An answer's last letter is predicted, and never read."""
    for question, answers, cut in (
        ("12345678", ["123", "1"], False),
        ("12345678", ["1", "1234"], True),
        ("", ["1234567890"], False),
        ("", ["12345678901"], True),
    ):
        assert _is_cut(Model(), {"arguments": [(question, answer) for answer in answers]}) is cut
