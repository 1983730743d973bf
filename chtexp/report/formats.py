"""A table as Markdown, CSV, LaTeX (booktabs), HTML or JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

import pandas as pd
from tabulate import tabulate

from chtexp.errors import unknown
from chtexp.report.table import Row, Table

GAP = "–"
BOLD = ("\ue000", "\ue001")  # private letters, put in before escaping and turned into LaTeX after it
LATEX = {letter: "\\" + letter for letter in "&%_#${}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", GAP: "--",
}  # fmt: skip
PAPER_COLUMNS = ("paper", "difference", "paper ANP %")


def render(table: Table, style: str) -> str:
    """`table` as text in one of FORMATS."""
    if style not in FORMATS:
        raise unknown("format", style, FORMATS)
    return FORMATS[style](table).rstrip("\n") + "\n"


def caption(table: Table) -> list[str]:
    """What must be said with the numbers, a sentence a line."""
    lines = [
        f"Budget: {table.budget}{table.budget_said}. Every cell is measured at this budget"
        + (
            "; the paper's values are at its full training."
            if _of_the_paper(table) and table.budget != "paper"
            else "."
        ),
        f"{table.metric}: at the evaluation of best {' or '.join(table.selected_by) or table.metric} once the final density "
        "is reached, mean ± standard error over seeds; "
        f"n of {table.layout.seeds} wanted seeds; last: the last evaluation, where it tests; seconds: training time of a run; "
        f"{GAP} is a gap.",
        "Bold: best of its group."
        + (f" *: above {table.layout.reference}." if table.layout.reference else "")
        + (" Difference: ours minus the paper's." if _of_the_paper(table) else ""),
    ]
    if table.sources:
        lines.append(f"Data: {'; '.join(table.sources)}.")
    if table.hardware:
        lines.append(f"Hardware: {'; '.join(table.hardware)}.")
    if table.code:
        lines.append(f"Code: {'; '.join(table.code)}.")
    return [*lines, *table.notes]


def _of_the_paper(table: Table) -> bool:
    return any(row.paper is not None for row in table.rows)


def _heads(table: Table) -> list[str]:
    return [
        "data", "group", "method", table.metric, "n", "last", "paper", "difference", "ANP %", "paper ANP %",
        "non-zeros", "seconds",
    ]  # fmt: skip


def _fields(row: Row, bold: Callable[[str], str]) -> list[str]:
    value = _pm(row.mean, row.standard_error) + ("*" if row.above else "")
    return [
        row.column,
        row.group,
        row.row,
        bold(value) if row.best else value,
        str(row.n),
        _number(row.last, ".2f"),
        _pm(row.paper, row.paper_standard_error),
        _number(row.difference, "+.2f"),
        _number(row.anp, ".0f"),
        _number(row.paper_anp, ".0f"),
        _number(row.nonzeros, ",.0f"),
        _number(row.seconds, ".1f"),
    ]


def _number(value: float | None, form: str) -> str:
    return GAP if value is None else format(value, form)


def _pm(mean: float | None, error: float | None) -> str:
    if mean is None:
        return GAP
    return f"{mean:.2f}" + ("" if error is None else f" ± {error:.2f}")


def _ordered(table: Table) -> list[Row]:
    """Column by column, groups and rows as in the layout."""
    return sorted(table.rows, key=lambda row: table.layout.columns.index(row.column))


def _frame(table: Table, bold: Callable[[str], str]) -> pd.DataFrame:
    frame = pd.DataFrame([_fields(row, bold) for row in _ordered(table)], columns=_heads(table))
    return frame if _of_the_paper(table) else frame.drop(columns=list(PAPER_COLUMNS))


def _markdown(table: Table) -> str:
    frame = _frame(table, lambda text: f"**{text}**")
    right = ["left"] * 3 + ["right"] * (frame.shape[1] - 3)
    body = tabulate(
        frame.values.tolist(),
        headers=list(frame.columns),
        tablefmt="pipe",
        colalign=right,
        disable_numparse=True,
    )
    return "\n".join([f"### {table.layout.title}", "", body, "", *(f"{line}  " for line in caption(table))])


def _csv(table: Table) -> str:
    return pd.DataFrame([_record(table, row) for row in _ordered(table)]).to_csv(index=False, lineterminator="\n")


def _json(table: Table) -> str:
    value = {
        "table": table.layout.name,
        "title": table.layout.title,
        "metric": table.metric,
        "budget": table.budget,
        "caption": caption(table),
        "rows": [{**asdict(row), "budget": table.budget} for row in _ordered(table)],
    }
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


def _record(table: Table, row: Row) -> dict[str, object]:
    record = asdict(row)
    return {
        "table": table.layout.name,
        "budget": table.budget,
        "metric": table.metric,
        **record,
        "seeds": " ".join(map(str, row.seeds)),
        "commands": "; ".join(row.commands),
    }


def _latex(table: Table) -> str:
    plain = _frame(table, lambda text: f"{BOLD[0]}{text}{BOLD[1]}")
    body = plain.map(lambda text: _escape_latex(text).replace(BOLD[0], r"\textbf{").replace(BOLD[1], "}"))
    body.columns = [_escape_latex(head) for head in plain.columns]
    tabular = body.style.hide(axis="index").to_latex(hrules=True, column_format="lll" + "r" * (plain.shape[1] - 3))
    notes = " ".join(_escape_latex(line) for line in caption(table))
    lines = [
        "\\begin{table}",
        "\\centering\\small",
        f"\\caption{{{_escape_latex(table.layout.title)}. {notes}}}",
        tabular,
    ]
    return "\n".join([*lines, "\\end{table}"])


def _escape_latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)


def _html(table: Table) -> str:
    frame = _frame(table, lambda text: text)
    best = [row.best for row in _ordered(table)]
    styles = pd.DataFrame("", index=frame.index, columns=frame.columns)
    styles.loc[best, table.metric] = "font-weight: bold"
    shown = frame.style.hide(axis="index").format(escape="html").apply(lambda _: styles, axis=None)
    lines = "<br>\n".join(html.escape(line) for line in caption(table))
    return f"{shown.set_caption(html.escape(table.layout.title)).to_html()}\n<p>{lines}</p>"


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": _markdown,
    "csv": _csv,
    "latex": _latex,
    "html": _html,
    "json": _json,
}


def lines_of(rows: Sequence[Sequence[object]], heads: Sequence[str]) -> str:
    """A plain table for a terminal."""
    return tabulate(
        [list(map(str, row)) for row in rows], headers=list(heads), tablefmt="simple", disable_numparse=True
    )
