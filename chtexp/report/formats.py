"""A table as Markdown, CSV, LaTeX (booktabs), HTML or JSON."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict

from tabulate import tabulate

from chtexp.errors import unknown
from chtexp.report.number_format import DISTURBED, GAP, MARK
from chtexp.report.records import records
from chtexp.report.sections import Section, ordered, sections
from chtexp.report.table import Table

LATEX = {letter: "\\" + letter for letter in "&%_#${}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", GAP: "--",
    MARK: r"$\dagger$", DISTURBED: r"$\ddagger$", "<": r"$<$", ">": r"$>$", "|": r"$|$",
}  # fmt: skip


def render(table: Table, style: str) -> str:
    """Render a table as text.

    Args:
        table: the table.
        style: one of FORMATS.

    Returns:
        The text, which ends with a line break.

    Raises:
        UserError: an unknown format.
    """
    if style not in FORMATS:
        raise unknown("format", style, FORMATS)
    return FORMATS[style](table).rstrip("\n") + "\n"


def _markdown(table: Table) -> str:
    return "\n\n".join(
        _markdown_section(section, "#" * (4 if place else 3)) for place, section in enumerate(sections(table))
    )


def _markdown_section(section: Section, level: str) -> str:
    def cell(text: str) -> str:
        return text.replace("|", "\\|")

    body = tabulate(
        _emphasised(section, cell, lambda text: f"**{text}**"),
        headers=[cell(head) for head in section.heads],
        tablefmt="pipe",
        colalign=["left" if place < section.left else "right" for place in range(len(section.heads))],
        disable_numparse=True,
    )
    return "\n".join([f"{level} {section.title}", "", body, "", *(f"{line}  " for line in section.lines)])


def _csv(table: Table) -> str:
    """Write one record a line, of three kinds: cell, mean and claim; fields that a kind does not have are empty."""
    lines = list(records(table))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for line in lines for key in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _json(table: Table) -> str:
    value = {
        "table": table.layout.name,
        "title": table.layout.title,
        "metric": table.metric,
        "budget": table.budget,
        "caption": [line for section in sections(table) for line in section.lines],
        "rows": [{**asdict(row), "budget": table.budget} for row in ordered(table)],
        "means": [asdict(mean) for mean in table.means],
        "claims": [asdict(claim) for claim in table.claims],
    }
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


def _latex(table: Table) -> str:
    """Write long tables in small print, for a page with narrow margins."""
    return "\n".join(
        [
            "% \\usepackage{booktabs,longtable}",
            "\\begingroup\\scriptsize\\setlength{\\tabcolsep}{1.2pt}\\setlength{\\parindent}{0pt}",
            *(f"{_longtable(section)}{_escape_latex(' '.join(section.lines))}\\par" for section in sections(table)),
            "\\endgroup",
        ]
    )


def _longtable(section: Section) -> str:
    rows = _emphasised(section, _escape_latex, lambda text: f"\\textbf{{{text}}}")
    import pandas as pd  # half a second

    frame = pd.DataFrame(rows, columns=[_escape_latex(head) for head in section.heads])
    alignment = "l" * section.left + "r" * (len(section.heads) - section.left)
    text = frame.style.hide(axis="index").to_latex(
        hrules=True, column_format=alignment, environment="longtable", caption=_escape_latex(section.title)
    )
    return re.sub(r"\\caption(\[\])?", r"\\caption*", text)  # a title has its number already: the paper's


def _escape_latex(text: str) -> str:
    text = "".join(LATEX.get(letter, letter) for letter in text)
    return re.sub(r"^-(?=\d)", "$-$", text)


def _html(table: Table) -> str:
    return "\n".join(_html_section(section) for section in sections(table))


def _html_section(section: Section) -> str:
    import pandas as pd

    frame = pd.DataFrame(section.rows, columns=section.heads)
    styles = pd.DataFrame("", index=frame.index, columns=frame.columns)
    for row, column in section.bold:
        styles.iloc[row, column] = "font-weight: bold"
    shown = (
        frame.style.hide(axis="index")
        .format(escape="html")
        .format_index(escape="html", axis=1)
        .apply(lambda _: styles, axis=None)
    )
    lines = "<br>\n".join(html.escape(line) for line in section.lines)
    return f"{shown.set_caption(html.escape(section.title)).to_html()}\n<p>{lines}</p>"


def _emphasised(section: Section, plain: Callable[[str], str], bold: Callable[[str], str]) -> list[list[str]]:
    """The texts of a section, each made `plain`, and the best ones `bold` as well."""
    return [
        [bold(plain(text)) if (row, column) in section.bold else plain(text) for column, text in enumerate(texts)]
        for row, texts in enumerate(section.rows)
    ]


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": _markdown,
    "csv": _csv,
    "latex": _latex,
    "html": _html,
    "json": _json,
}


def lines_of(rows: Sequence[Sequence[object]], heads: Sequence[str]) -> str:
    """Lay out rows as a plain table for a terminal."""
    return tabulate(
        [list(map(str, row)) for row in rows], headers=list(heads), tablefmt="simple", disable_numparse=True
    )
