"""What reproduces, as Markdown: a line for each table, and the totals. The rest of the report is for a browser."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from chtexp.report.number_format import GAP, MARK
from chtexp.report.page.content import TablePart
from chtexp.report.page.summary import Tally, in_words, of_the_paper, tally

HEADS = ("name", "cells", "with results", "budget", "consistent", "higher", "lower", "claims hold", "fail", "open")
LEGEND = (
    f"Cells of the paper's tables and figures. {MARK}: runs at another budget than the paper's, on stand-in data or with changed "
    f"settings; never compared, and what they say of claims (+ n {MARK}) is a hint."
)


def summary_markdown(parts: Sequence[TablePart]) -> str:
    """Summarise the paper's own tables and figures as Markdown.

    Args:
        parts: the tables; others than the paper's are left out.

    Returns:
        Sentences, a table with a line for each that has results, and the names of the others.
    """
    own = [(part.name, tally(part.table)) for part in parts if part.table and part.of_the_paper]
    rows = [_fields(name, counts) for name, counts in own if counts.measured]
    empty = [name for name, counts in own if not counts.measured]
    lines = [f"- {sentence}" for sentence in in_words(of_the_paper(parts))]
    if rows:
        aligned = ["left" if head in ("name", "budget") else "right" for head in HEADS]
        lines += ["", tabulate(rows, HEADS, tablefmt="pipe", colalign=aligned, disable_numparse=True)]
    if empty:
        lines += ["", f"No results yet: {', '.join(empty)}."]
    return "\n".join([*lines, "", LEGEND]) + "\n"


def _fields(name: str, counts: Tally) -> list[str]:
    claimed = counts.claims.total() + counts.marked_claims.total()
    return [
        name,
        str(counts.wanted),
        str(counts.measured),
        ", ".join(counts.budgets) + (f" {MARK}" if counts.marked else ""),
        *(str(counts.verdicts[word]) for word in ("consistent", "higher", "lower")),
        *(_claims(counts, word) if claimed else GAP for word in ("holds", "fails")),
        str(counts.claims["open"] + counts.marked_claims["open"]) if claimed else GAP,
    ]


def _claims(counts: Tally, word: str) -> str:
    hints = counts.marked_claims[word]
    return str(counts.claims[word]) + (f" + {hints} {MARK}" if hints else "")
