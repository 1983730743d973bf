"""Verdicts: each part of the one rule."""

from __future__ import annotations

import math

import pytest
from sample_results import found, science

from chtexp.report.expected import PaperNumber
from chtexp.report.statistics import Mean, mean_and_error
from chtexp.report.verdict import RULE, Verdict, marks, verdict
from chtexp.store import Result


def made(source: str = "torchvision files", **budget) -> Result:
    of = science()
    return found(of=of | {"budget": of["budget"] | budget}, data_source=source)


@pytest.mark.parametrize(
    ("mean", "word"),
    [(98.0, "consistent"), (99.0, "consistent"), (99.01, "higher"), (97.0, "consistent"), (96.99, "lower")],
)
def test_two_combined_errors_are_consistent(mean: float, word: str) -> None:
    assert verdict(Mean(mean, 0.3), 3, PaperNumber(98.0, 0.4), ()).word == word  # 2 sqrt(0.3^2 + 0.4^2) = 1


def test_a_missing_error_is_a_single_runs_of_the_other_side() -> None:
    paper = 2 * 0.1 * math.sqrt(1 + 4)  # ours 0.1 of 4 seeds: a single run varies by 0.2
    assert verdict(Mean(20 + paper - 0.01, 0.1), 4, PaperNumber(20.0), ()).word == "consistent"
    assert verdict(Mean(20 + paper + 0.01, 0.1), 4, PaperNumber(20.0), ()).word == "higher"
    ours = 2 * 0.1 * math.sqrt(1 + 3)  # the paper's 0.1 of 3 seeds
    assert verdict(mean_and_error([20 - ours + 0.01]), 1, PaperNumber(20.0, 0.1), ()).word == "consistent"
    assert verdict(mean_and_error([20 - ours - 0.01]), 1, PaperNumber(20.0, 0.1), ()).word == "lower"


def test_the_papers_last_digit_is_the_least_uncertainty() -> None:
    assert verdict(Mean(98.82, 0.0), 3, PaperNumber(98.81, 0.0), ()).word == "consistent"
    assert verdict(Mean(98.83, 0.0), 3, PaperNumber(98.81, 0.0), ()).word == "higher"


def test_what_cannot_be_compared_says_why() -> None:
    paper = PaperNumber(98.0, 0.1)
    assert verdict(mean_and_error([]), 0, paper, ()) == Verdict("no result")
    assert verdict(mean_and_error([math.nan]), 1, paper, ()) == Verdict("no result", "a value is not finite")
    assert verdict(Mean(98.0, 0.1), 3, None, ()) == Verdict("not comparable", "no value in the paper")
    assert verdict(Mean(98.0, 0.1), 3, paper, ("budget cpu",)) == Verdict("not comparable", "budget cpu")
    single = Verdict("not comparable", "one seed, no paper error")
    assert verdict(mean_and_error([98.0]), 1, PaperNumber(98.0), ()) == single


def test_marks_name_what_is_not_the_papers() -> None:
    assert marks([made(), made()], []) == ()
    assert marks([made(name="mine")], []) == ()  # all of the training, whatever its name
    for change in ({"fraction": 0.1}, {"train_limit": 1600}, {"test_limit": 2000}):
        assert marks([made(**change, name="x")], []) == ("budget x",)
    jpeg, webmix = "parquet (JPEG and PNG images)", "webmix (a stand-in for OpenWebText): 9 documents"
    assert marks([made(jpeg), made(jpeg)], []) == (f"stand-in data ({jpeg})",)
    assert marks([made(webmix)], []) == ("stand-in data (webmix (a stand-in for OpenWebText))",)
    assert marks([made("parquet (PNG images)")], []) == ()
    assert marks([made()], ["method.zeta=0.5"]) == ("changed runs (method.zeta=0.5)",)
    assert marks([], ["method.zeta=0.5"]) == ()
    assert marks([made(jpeg, fraction=0.1, name="cpu")], []) == ("budget cpu", f"stand-in data ({jpeg})")


def test_the_rule_says_its_own_numbers() -> None:
    for said in ("2 sqrt(e^2 + p^2)", "0.005", "3 in the paper", "stand-in", "budget", "one seed"):
        assert said in RULE
