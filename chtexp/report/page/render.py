"""A page as one HTML document: style, script and pictures are part of it, and nothing is fetched from anywhere.

All text from runs (names, log lines, commands) is escaped by jinja2. Only the page's own script runs, by its hash in the
content security policy. Pictures are data, in which a browser runs nothing.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chtexp.report.number_format import GAP, MARK, number, rounded, with_error
from chtexp.report.page import summary
from chtexp.report.page.content import Page
from chtexp.report.page.curves import HEIGHT, WIDTH


def render_page(page: Page) -> str:
    """Render a page as HTML."""
    style, script = _source("page.css"), _source("page.js")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            style=Markup(style),
            script=Markup(script),
            policy=_policy(script),
            paper=summary.of_the_paper(page.tables),
            sentences=summary.in_words(summary.of_the_paper(page.tables)),
            runs_by_id=page.runs_by_id,
            cells_by_run=page.cells_by_run,
            digits=page.digits,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("chtexp.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "rounded": rounded,
        "picture": _picture,
        "symbol": SYMBOLS.__getitem__,
        "slug": _slug,
    }
    environment.globals |= {
        "GAP": GAP,
        "MARK": MARK,
        "WORDS": summary.WORDS,
        "tally": summary.tally,
        "with_error": with_error,
        "curve_width": WIDTH,
        "curve_height": HEIGHT,
    }
    return environment


SYMBOLS = {"consistent": "✓", "higher": "▲", "lower": "▼", "not comparable": MARK, "no result": "·"} | {
    "holds": "✓", "fails": "✗", "open": "·",
}  # fmt: skip


def _slug(word: str) -> str:
    """A verdict as the name of a style."""
    return word.replace(" ", "-")


@cache
def _source(name: str) -> str:
    loader = PackageLoader("chtexp.report.page", "templates")
    text, _, _ = loader.get_source(Environment(), name)  # read as it is, not rendered
    return text


def _policy(script: str) -> str:
    """What a browser may do with the page: run this script, show pictures that stand in it, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _picture(svg: str) -> str:
    """An SVG document as the address of a picture."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
