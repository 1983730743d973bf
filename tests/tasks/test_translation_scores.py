"""Scores of translations: against numbers worked out by hand, and against the ways to get them wrong."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytest

from chtexp.errors import UserError
from chtexp.tasks.translation_scores import score

HYPOTHESES = ["the cat sat on the mat", "there is a small dog here"]
REFERENCES = ["the cat sat on the mat", "there is a big dog here now"]


def bleu_by_hand() -> float:
    """Matched over offered n-grams of both sentences: 6+5 of 12, 5+3 of 10, 4+1 of 8, 3+0 of 6; 12 words for 13."""
    precisions = [11 / 12, 8 / 10, 5 / 8, 3 / 6]
    return 100 * math.exp(1 - 13 / 12) * math.prod(precisions) ** 0.25


def test_bleu_is_the_whole_corpus_not_the_first_sentence() -> None:
    scores = score(HYPOTHESES, REFERENCES, HYPOTHESES, REFERENCES)
    assert scores.bleu == pytest.approx(bleu_by_hand())
    assert scores.pipeline_bleu == pytest.approx(bleu_by_hand())
    assert 0 < scores.chrf < 100


def test_order_matters_and_perfection_is_100() -> None:
    assert score(REFERENCES, REFERENCES, REFERENCES, REFERENCES).bleu == pytest.approx(100)
    assert score(REFERENCES, REFERENCES, REFERENCES, REFERENCES).chrf == pytest.approx(100)
    swapped = REFERENCES[::-1]
    assert score(HYPOTHESES, swapped, HYPOTHESES, swapped).bleu < bleu_by_hand() / 2


def test_the_plain_score_keeps_case_and_the_pipelines_does_not() -> None:
    shouted = [text.capitalize() for text in HYPOTHESES]
    scores = score(shouted, REFERENCES, shouted, REFERENCES)
    assert scores.bleu < bleu_by_hand() - 1
    assert scores.pipeline_bleu == pytest.approx(bleu_by_hand())


def test_the_plain_score_tokenises_and_the_pipelines_does_not() -> None:
    glued = [text + "." for text in REFERENCES]
    parted = [text + " ." for text in REFERENCES]
    scores = score(glued, parted, glued, parted)
    assert scores.bleu == pytest.approx(100)
    assert scores.pipeline_bleu < 90


def test_every_score_says_what_it_is() -> None:
    scores = asdict(score(HYPOTHESES, REFERENCES, HYPOTHESES, REFERENCES))
    assert list(scores) == [
        "bleu", "bleu_signature", "pipeline_bleu", "pipeline_bleu_signature", "chrf", "chrf_signature"
    ]  # fmt: skip
    assert scores["bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert scores["pipeline_bleu_signature"].startswith("nrefs:1|case:lc|eff:no|tok:none|smooth:exp|version:2.")
    assert scores["chrf_signature"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.")


def test_tokenised_text_raises_no_alarm(caplog: Any, capfd: pytest.CaptureFixture) -> None:
    tokenised = ["ein mann isst , sagt er ."] * 200
    assert score(["Ein Mann."] * 200, ["Ein Mann."] * 200, tokenised, tokenised).pipeline_bleu == pytest.approx(100)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("sizes", [(2, 1, 2, 2), (2, 2, 1, 2), (2, 2, 2, 1), (0, 0, 0, 0)])
def test_lists_that_do_not_fit_are_an_error(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=f"got {sizes[0]}, {sizes[1]}, {sizes[2]} and {sizes[3]}"):
        score(*(HYPOTHESES[:size] for size in sizes))
