"""The page in a real browser: Debian's chromium, from disk, driven by playwright; no browser is downloaded.

Skipped where chromium or playwright is not installed, unless CHTEXP_REQUIRE_BROWSER says that it must be.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import HOSTILE, result, small_page

from chtexp.report.page import render_page
from chtexp.report.page.runs import anchor

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

if not os.environ.get("CHTEXP_REQUIRE_BROWSER"):
    pytest.importorskip("playwright", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)", allow_module_level=True)

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(small_page()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        yield browser
        browser.close()


class Opened:
    """The page, opened anew; every word on its console and every request is noted."""

    def __init__(self, browser: Any, address: str, **how: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESKTOP, **how})
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def column(self, table: str, place: int) -> list[str]:
        """The words of a column, line by line as they are shown."""
        return self.page.eval_on_selector_all(
            f"{table} tbody tr:not([data-hidden])", f"rows => rows.map(row => row.cells[{place}].textContent.trim())"
        )

    def search(self, words: str) -> None:
        self.page.fill("#search", words)
        self.page.keyboard.press("Enter")


@pytest.fixture
def opened(chromium: Any, address: str) -> Iterator[Opened]:
    page = Opened(chromium, address)
    yield page
    page.context.close()


def test_it_loads_from_disk_without_a_word_and_without_the_network(opened: Opened, address: str) -> None:
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith("data:")] == [address]
    assert opened.page.title() == "chtexp: what reproduces"  # hostile text renames it to "owned" where it runs
    assert opened.page.eval_on_selector(".figures img", "picture => picture.complete && picture.naturalWidth > 0")


NUMBERS = '[id="table.table1"] table.wide'
ORDERS = {
    3: ["1234.60 ± 0.10", "70.20 ± 0.12", "50.00", "9.85 ± 0.05", "–"],  # the metric
    6: ["80.00 ± 0.10", "70.10 ± 0.10", "60.00 ± 0.10", "1.00 ± 0.10", "–"],  # the paper's
}


@pytest.mark.parametrize("place", ORDERS)
def test_heads_sort_numbers_with_errors_and_gaps_last(opened: Opened, place: int) -> None:
    opened.page.evaluate("document.querySelector('[id=\"table.table1\"] details.numbers').open = true")
    before = opened.column(NUMBERS, place)
    head = opened.page.locator(f"{NUMBERS} thead button").nth(place)
    *told, gap = ORDERS[place]
    head.click()
    assert opened.column(NUMBERS, place) == [*told[::-1], gap]
    assert head.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    head.press("Enter")  # by keyboard
    assert opened.column(NUMBERS, place) == [*told, gap]
    assert opened.page.locator(f"{NUMBERS} [aria-sort]").count() == 1
    head.press("Space")
    assert opened.column(NUMBERS, place) == before
    assert opened.page.locator(f"{NUMBERS} [aria-sort]").count() == 0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("69.97 ± 0.06", 69.97), ("1,234", 1234), ("1,234,567.5", 1234567.5), ("98.61 ± 0.28*†", 98.61), ("-0.57", -0.57),
        ("+4.18", 4.18), ("−3", -3), ("8.2e-05", 8.2e-05), ("3 of 54", 3), ("0 + 1 †", 0), ("llama_20m", None), ("20m", None),
        ("1.2.3", None), ("e5", None), ("✓ holds", None), ("", None), ("12ab", None),
    ],
)  # fmt: skip
def test_what_counts_as_a_number(opened: Opened, text: str, number: float | None) -> None:
    assert opened.page.evaluate("text => asNumber(text) ?? null", text) == number


def test_words_sort_as_people_order_them(opened: Opened) -> None:
    opened.page.locator("#all-runs thead button").nth(2).click()
    assert [word for word in opened.column("#all-runs", 2) if len(word) == 1] == [*"AAAAAABBBBCCCCDD"]


def test_search_filters_lines_and_runs_and_gives_them_back(opened: Opened) -> None:
    page = opened.page
    whole = page.locator("[data-row]:visible").count()
    opened.search("table2 higher")
    assert page.locator('[id="table.table1"]').is_hidden()
    opened.search("0123456 method=a")
    assert page.locator("[data-run]:not([data-hidden])").count() == 6
    assert page.locator("#found").inner_text() == "6 lines and runs"
    opened.search("nothing has this")
    assert page.locator("[data-row]:visible, [data-run]:visible").count() == 0
    opened.search("C consistent")
    opened.search("")
    assert page.locator("[data-hidden]").count() == 0
    assert page.locator("[data-row]:visible").count() == whole
    assert page.locator("#found").inner_text() == ""


def test_slash_leads_to_the_search_and_tab_to_the_content(opened: Opened) -> None:
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    opened.page.keyboard.press("/")
    assert opened.page.evaluate("document.activeElement.id") == "search"


def test_links_lead_to_a_cell_its_run_and_back(opened: Opened) -> None:
    page = opened.page
    page.locator('[id="table.table1"] table.glance td a').first.click()
    line = page.locator(f'[id="{anchor("table1", "fixed", "A", "x")}"]')
    line.wait_for(state="visible")
    assert page.evaluate("document.querySelector('[id=\"table.table1\"] details.numbers').open")
    line.locator("a.run-link").nth(1).click()
    run = page.locator(f'[id="{anchor("run", result("A", 1, 0).id, "1")}"]')
    run.get_by_text("Commands").wait_for(state="visible")
    assert "chtexp train method=A seed=1" in run.inner_text()
    run.get_by_role("link", name="table1: A, x").click()
    line.wait_for(state="visible")
    opened.search("nothing has this")
    page.evaluate("location.hash = '#table.table2'")
    page.locator('[id="table.table2"]').wait_for(state="visible")  # asked for by name, a search lets go
    assert opened.said == []


def test_every_link_has_a_target(opened: Opened) -> None:
    lost = """() => [...document.querySelectorAll('a[href^="#"]')].map(a => decodeURIComponent(a.hash.slice(1)))
        .filter(name => !document.getElementById(name))"""
    assert opened.page.evaluate(lost) == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_width_makes_the_page_overflow(chromium: Any, address: str, width: int) -> None:
    opened = Opened(chromium, address, viewport={"width": width, "height": 844})
    opened.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    overflow = opened.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    outside = """() => [...document.querySelectorAll('body *')]
        .filter(e => !e.closest('.scroll, .skip, .picture, pre') && e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 80))"""
    assert (overflow, opened.page.evaluate(outside)) == (0, [])
    opened.context.close()


CONTRASTS = """() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const rgba = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 1) return colour;
    }
  };
  const texts = [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
    && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && !['SCRIPT', 'STYLE'].includes(e.tagName));
  return texts.map(e => {
    const [one, two] = [light(rgba(getComputedStyle(e).color)), light(ground(e))].sort((a, b) => b - a);
    return [(one + 0.05) / (two + 0.05), `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 40)}`];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(chromium: Any, address: str, scheme: str) -> None:
    opened = Opened(chromium, address, color_scheme=scheme)
    opened.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    found = opened.page.evaluate(CONTRASTS)
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert len(found) > 200
    assert [(ratio, what) for ratio, what in found if ratio < 4.5] == []
    assert (sum(map(int, ground.strip("rgb()").split(","))) > 384) == (scheme == "light")
    opened.context.close()


def test_on_paper_everything_is_open_and_controls_are_gone(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    page.emulate_media(media="print")
    assert page.locator(".search").is_hidden()
    assert page.locator(".top").is_hidden()
    closed = """() => [...document.querySelectorAll('details:not([open]) > :not(summary)')]
        .filter(e => !e.checkVisibility()).length"""
    assert page.evaluate(closed) == 0
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert (tmp_path / "report.pdf").stat().st_size > 10_000


def test_it_can_be_read_without_scripts(chromium: Any, address: str) -> None:
    opened = Opened(chromium, address, java_script_enabled=False)
    assert opened.page.locator(".search").is_hidden()
    assert opened.page.get_by_role("heading", name="What reproduces").is_visible()
    assert opened.page.locator('[id="table.table1"] table.glance').is_visible()
    opened.context.close()


def test_hostile_text_is_shown_as_it_is(opened: Opened) -> None:
    assert HOSTILE in " ".join(opened.page.locator(".problem").all_text_contents())
    assert opened.page.locator("script").count() == 1
