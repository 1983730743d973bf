"""Claims and means: what the results say of them, and how every format shows them, marks and verdicts."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace

import pytest
from sample_results import found as sample
from sample_results import science

from chtexp.paper.numbers import paper_means
from chtexp.report import FORMATS, CellResults, Claim, Layout, MeanOver, Table, build_table, render
from chtexp.report.claims import p_in_words
from chtexp.report.expected import PaperMeans, PaperNumber
from chtexp.report.number_format import rounded, with_error
from chtexp.report.verdict import RULE
from chtexp.store import run_id

PAPER = {("A", "x"): PaperNumber(70.0, 0.1), ("B", "x"): PaperNumber(60.0, 0.1), ("A", "y"): PaperNumber(50.0)}
COLUMNS = ("x", "y", "z")
Values = dict[tuple[str, str], dict[int, float | None]]


def table(
    values: Values,
    *claims: Claim,
    means: tuple[MeanOver, ...] = (),
    changed: tuple[str, ...] = (),
    fraction: float = 1.0,
    sources: dict[str, str] | None = None,
    higher: bool = True,
) -> Table:
    """Rows A and B in three columns at the paper's budget, or a `fraction` of it, of `values` by seed."""
    layout = Layout("t", "T", COLUMNS, {"g": ("A", "B")}, "B", 3, means=means, claims=claims)
    cells = []
    for row in ("A", "B"):
        for column in COLUMNS:
            of = science(row, column, fraction, "b")
            source = (sources or {}).get(column, "files")
            results = [
                sample(seed, value, of, last=None, higher_is_better=higher, data_source=source)
                for seed, value in values.get((row, column), {}).items()
            ]
            cells.append(CellResults("g", row, column, run_id(of), tuple(results), changed=changed))
    papers = {"all": PaperMeans({"A": 12.0, "B": 11.0}, 0.031)}
    return build_table(layout, cells, PAPER, budget="b", paper_means=papers)


THREE: Values = {
    ("A", "x"): {0: 71.0, 1: 72.0, 2: 73.0},
    ("B", "x"): {0: 70.0, 1: 70.0, 2: 70.0},
    ("A", "y"): {0: 1.0},
    ("B", "y"): {0: 2.0},
}
P = 1 - math.sqrt(12 / 14)  # of the differences 1, 2, 3


def said(values: Values, claim: Claim) -> str:
    return table(values, claim).claims[0].said


def test_a_claim_is_told_from_the_results() -> None:
    made = table(THREE, Claim("A", "B", "x"), Claim("B", "A", "x"), Claim("A", "B", "y"), Claim("A", "B", "z"))
    assert [claim.word for claim in made.claims] == ["holds", "fails", "fails", "open"]
    assert [claim.said for claim in made.claims] == [
        f"holds, p = {P:.3f} (3 paired seeds), not significant",
        f"fails, p = {P:.3f} (3 paired seeds), not significant",
        "fails, no p (1 paired seed: a paired test takes 3)",
        "open: no results",
    ]
    assert [claim.difference for claim in made.claims] == [2, -2, -1, None]
    assert made.claims[0].p == pytest.approx(P)
    assert [(claim.paper_above, claim.paper_below) for claim in made.claims] == [
        (70, 60),
        (60, 70),
        (50, None),
        (None, None),
    ]


def test_a_significant_claim_an_exact_one_and_equal_rows() -> None:
    clear: Values = {("A", "x"): {0: 71.0, 1: 71.1, 2: 71.2}, ("B", "x"): {0: 60.0, 1: 60.0, 2: 60.0}}
    assert said(clear, Claim("A", "B", "x")) == "holds, p < 0.001 (3 paired seeds)"
    assert said(clear, Claim("A", "B", "x", exact=True)) == "holds, p = 0.250 (3 paired seeds), not significant"
    equal: Values = {("A", "x"): {0: 1.0}, ("B", "x"): {0: 1.0}}
    assert said(equal, Claim("A", "B", "x")).startswith("fails, ")


def test_a_seed_that_reports_nothing_is_left_out() -> None:
    values: Values = {("A", "x"): {0: None, 1: 5.0, 2: 6.0, 3: 8.0}, ("B", "x"): {0: 9.0, 1: 4.0, 2: 4.0, 3: 5.0}}
    made = table(values, Claim("A", "B", "x"))
    assert made.claims[0].said == f"holds, p = {P:.3f} (3 paired seeds), not significant"
    assert (made.rows[0].n, made.rows[0].values) == (3, (None, 5.0, 6.0, 8.0))
    cell = next(csv.DictReader(io.StringIO(render(made, "csv"))))
    assert (cell["seeds"], cell["values"]) == ("0 1 2 3", "nan 5.0 6.0 8.0")


def test_every_number_has_the_digits_of_its_table() -> None:
    made = table(THREE, Claim("A", "B", "x"), means=(MeanOver("all", ("A", "B"), COLUMNS),))
    text = render(replace(made, layout=replace(made.layout, digits=3)), "md")
    for shown in ("72.000 ± 0.577", "70.000 ± 0.100", "+2.000", "36.500 against 36.000", "70.000 against 60.000"):
        assert shown in text, shown
    assert not re.search(r"\d\.\d\d ", text.partition("Budget:")[0])


def test_no_zero_is_negative() -> None:
    assert (with_error(-0.003, 0.001, 2), with_error(None, 0.1, 2), with_error(-0.3, None, 1)) == (
        "0.00 ± 0.00",
        "–",
        "-0.3",
    )
    assert (rounded(-0.003, 2, "+"), rounded(0.003, 3, "+"), rounded(-0.3, 0)) == ("+0.00", "+0.003", "0")


def test_p_in_words() -> None:
    assert [p_in_words(p) for p in (0.03125, 0.001, 0.00099, 1.0)] == [
        "p = 0.031",
        "p = 0.001",
        "p < 0.001",
        "p = 1.000",
    ]


def test_a_mean_is_over_the_columns_that_both_rows_have() -> None:
    values = THREE | {("A", "z"): {0: 5.0}}
    (mean,) = table(values, means=(MeanOver("all", ("A", "B"), COLUMNS),)).means
    assert (mean.columns, mean.of) == (2, 3)
    assert mean.means == ((72 + 1) / 2, (70 + 2) / 2)
    assert (mean.paper, mean.paper_p) == ((12, 11), 0.031)
    assert mean.comparison.difference == 0.5  # 2 and -1
    assert mean.comparison.p == 1.0  # ranks 2 and 1: sums 1, 3 and their negatives


def test_a_claim_may_be_about_a_mean_either_way_round() -> None:
    means = (MeanOver("all", ("A", "B"), COLUMNS),)
    values: Values = {
        (row, column): {0: 2.0 + (row == "A") * place} for row in "AB" for place, column in enumerate(COLUMNS, 1)
    }
    holds, fails = table(values, Claim("A", "B", "all"), Claim("B", "A", "all"), means=means).claims
    assert holds.said == "holds, p = 0.250 (3 paired columns), not significant"
    assert fails.said == "fails, p = 0.250 (3 paired columns), not significant"
    assert (fails.difference, fails.paper_above, fails.paper_below) == (-2, 11, 12)
    assert table({}, Claim("A", "B", "all"), means=means).claims[0].said == "open: no results"
    (partial,) = table({("A", "x"): {0: 2.0}, ("B", "x"): {0: 1.0}}, Claim("A", "B", "all"), means=means).claims
    assert (partial.word, partial.said, partial.difference) == ("open", "open: 1 of 3 columns", None)


def test_the_papers_means_of_table_16() -> None:
    assert paper_means("table16")["sparsity_90"] == PaperMeans({"CHTs": 28.47, "CHTss": 26.51}, 0.031)
    assert {name: means.p for name, means in paper_means("table16").items()} == {
        "sparsity_70": 0.688, "sparsity_90": 0.031, "sparsity_95": 0.031,
    }  # fmt: skip
    assert paper_means("table7") == {}


def test_a_cell_has_the_verdict_of_its_seeds() -> None:
    made = table(THREE)
    words = {(row.row, row.column): (row.verdict, row.verdict_reason) for row in made.rows}
    assert words == {
        ("A", "x"): ("higher", None),
        ("A", "y"): ("not comparable", "one seed, no paper error"),
        ("A", "z"): ("no result", None),
        ("B", "x"): ("higher", None),
        ("B", "y"): ("not comparable", "no value in the paper"),
        ("B", "z"): ("no result", None),
    }


MARKED = {
    "fraction": ({"fraction": 0.1}, "budget b"),
    "stand-in": ({"sources": {"x": "parquet (JPEG images)"}}, "stand-in data (parquet (JPEG images))"),
    "changed": (
        {"changed": ("method.zeta", "model.a", "model.b", "model.c", "precision")},
        "changed runs (method.zeta, model.a, model.b, model.c and 1 more)",
    ),
}


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("case", MARKED)
def test_every_format_marks_what_is_not_the_papers(case: str, style: str) -> None:
    asked, mark = MARKED[case]
    means = (MeanOver("all", ("A", "B"), ("x",)),)
    everything = (Claim("A", "B", "x"), Claim("A", "B", "all"), Claim("A", "B", "z"))
    made = table(THREE, *everything, means=means, **asked)  # type: ignore[arg-type]
    assert [claim.marks for claim in made.claims] == [(mark,), (mark,), ()]
    assert made.means[0].marks == (mark,)
    plain = render(table(THREE, *everything, means=means), style)
    shown = render(made, style)
    assert "not comparable" in shown
    if style in ("csv", "json"):
        assert mark not in plain
        assert shown.count(mark) >= 2 + 1 + 2  # two cells, a mean, two claims
    else:
        sign = r"$\dagger$" if style == "latex" else "†"
        assert sign not in plain
        cells = 4 if case != "stand-in" else 2
        assert shown.count(sign) == cells + 1 + 1 + 2  # beside the cells, in the caption, a mean, two claims
        assert mark.replace("_", r"\_") in shown


@pytest.mark.parametrize("style", ["md", "latex", "html"])
def test_readers_see_verdicts_rule_means_and_claims(style: str) -> None:
    shown = render(table(THREE, Claim("A", "B", "x", exact=True), means=(MeanOver("all", ("A", "B"), COLUMNS),)), style)
    for text in ("higher", "no result", "one seed, no paper error", "Claims", "A above B (exact)", "70.00 against 60.00",
                 "holds, p = 0.250 (3 paired seeds)", "36.50 against 36.00", "12.00 against 11.00", "0.031", "2 of 3",
                 "exact Wilcoxon", "Not significant"):  # fmt: skip
        assert text in shown
    assert RULE[:20] in shown
    assert "\\begin{tabular}" not in shown or shown.count("\\begin{tabular}") == shown.count("\\end{tabular}") == 3
    assert "Claims" not in render(table(THREE), style)


def test_below_and_not_above_the_reference_where_lower_is_better() -> None:
    assert "*: above B." in render(table(THREE), "md")
    assert "*: below B." in render(table(THREE, higher=False), "md")


def test_csv_has_records_of_three_kinds_and_json_the_same() -> None:
    made = table(THREE, Claim("A", "B", "x"), means=(MeanOver("all", ("A", "B"), COLUMNS),))
    read = list(csv.DictReader(io.StringIO(render(made, "csv"))))
    assert [record["kind"] for record in read] == ["cell"] * 6 + ["mean"] * 2 + ["claim"]
    cell, mean, claim = read[0], read[7], read[8]
    assert (cell["row"], cell["n"], cell["values"], cell["verdict"]) == ("A", "3", "71.0 72.0 73.0", "higher")
    assert (mean["row"], mean["mean"], mean["paper"], mean["p"], mean["paper_p"]) == (
        "B",
        "36.0",
        "11.0",
        "1.0",
        "0.031",
    )
    assert (claim["row"], claim["below"], claim["verdict"], claim["difference"]) == ("A", "B", "holds", "2.0")
    assert float(claim["p"]) == pytest.approx(P)
    told = json.loads(render(made, "json"))
    assert told["claims"][0]["said"] == claim["verdict_reason"]
    assert told["claims"][0]["claim"] == {"above": "A", "below": "B", "column": "x", "exact": False}
    assert told["means"][0]["comparison"]["p"] == 1.0
    assert told["rows"][0]["verdict"] == "higher"
    assert RULE in told["caption"]
