"""chtexp report: what is written and served, from runs, from collected results, from nothing, from what is damaged."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from html import unescape
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from sample_results import table2_of_today

from chtexp.cli.report import _place
from chtexp.cli.serving import _handler
from chtexp.config.compose import Composer, compose_run
from chtexp.config.resources import conf_dir
from chtexp.errors import UserError
from chtexp.paper.grid import grid_names, load_grid, select

RESULTS = Path(__file__).parents[2] / "results"
CHEAP = ["budget=smoke", "seed=0", "hardware.threads=1"]


def test_from_runs_collected_results_and_damaged_folders(chtexp: Callable, tmp_path: Path) -> None:
    chtexp("sweep", "quickstart", "method=set,fc", *CHEAP)
    (unrecorded,) = (tmp_path / "runs").glob("digits-fc-smoke-*/seed-0")
    (unrecorded / "metrics.jsonl").write_text("{broken\n")
    (done,) = (tmp_path / "runs").glob("digits-set-smoke-*/seed-0")
    damaged = tmp_path / "runs" / "digits-rigl-smoke-0123456789" / "seed-0"
    shutil.copytree(done, damaged)
    (damaged / "result.json").write_text("{")
    (tmp_path / "runs" / "mnist-fc-paper-0000000000" / "seed-0" / "starts").mkdir(parents=True)
    (tmp_path / "runs" / "mnist-fc-paper-0000000000" / "seed-0" / "starts" / "0001.json").write_text("{")
    collected = table2_of_today(tmp_path)
    said = chtexp("report", "--results", str(collected), "paths.runs=runs").stdout
    assert said.startswith("written: report.html (")
    html = (tmp_path / "report.html").read_text()
    identity = done.parent.name.rpartition("-")[2]
    assert f'id="run.{identity}.0"' in html
    assert html.count(f'href="#run.{identity}.0"') >= 2  # its cell, and the list of runs
    assert "This run is damaged" in html
    chtss = json.loads(collected.read_text().splitlines()[0])["id"]
    assert f'id="run.{chtss}.0"' in html
    assert "32.29†" in html
    for name in grid_names([conf_dir()]):
        assert f'<article id="table.{name}"' in html
    for name in ("figure2", "figure5", "figure9", "quickstart-curves"):
        assert re.search(rf'<figure id="figure\.{name}".*?src="data:image/svg', html, re.DOTALL)
    assert "†</span>" in html
    picture, command = drawn(html, "quickstart-curves")
    more = f"paths.runs=runs --results {collected}"
    assert command == f"chtexp figure quickstart column=digits --kind curves {more}"
    chtexp(*shlex.split(command)[1:], "--output", "again.svg")
    assert (tmp_path / "again.svg").read_text().endswith(picture)  # what the page says makes what it shows
    assert f"<code>chtexp table quickstart {more}</code>" in html
    assert "<code>chtexp plan quickstart paths.runs=runs</code>" in html
    assert "<code>chtexp figure figure5</code>" in html  # which takes nothing


def drawn(html: str, name: str) -> tuple[str, str]:
    """A figure of the page as SVG, and the command below it."""
    found = re.search(rf'<figure id="figure\.{name}".*?base64,([^"]*)".*?<code>(.*?)</code>', html, re.DOTALL)
    assert found
    return base64.b64decode(found[1]).decode(), unescape(found[2])


def test_from_nothing_it_has_the_papers_numbers(chtexp: Callable, tmp_path: Path) -> None:
    chtexp("report", "--output", "made/all.html")
    html = (tmp_path / "made" / "all.html").read_text()
    assert "98.78 ± 0.02" in html  # the paper's FC on MNIST
    assert "No cell can be compared with the paper yet" in html
    assert "No run was found in" in html
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ["data=mnist"],
            "'data=mnist' is nothing that a report of all tables takes; it takes budget=, seed=, paths.runs=",
        ),
        (["budget=cup"], "unknown budget 'cup'"),
        (["seed=x"], "seed takes whole numbers"),
        (["--serve", "x"], "--serve takes a port from 0 to 65535, not 'x'"),
        (["--serve", "70000"], "not '70000'"),
        (["--results", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--results", "report.html"], "unknown suffix '.html'"),
        (["--serve", "1", "--output", "x"], "not allowed with"),
    ],
)
def test_mistakes_are_one_line(chtexp: Callable, typed: list[str], said: str) -> None:
    done = chtexp("report", *typed, check=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_served_anew_at_each_load_to_this_machine_alone(tmp_path: Path) -> None:
    environment = {**os.environ, "CHTEXP_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "chtexp", "report", "--serve", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # ignored where tests run in the background
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+/) shows the report; Ctrl-C ends it", said)
        assert found, said
        address = found[1]

        def ask(path: str = "", **headers: str) -> tuple[int, str]:
            request = urllib.request.Request(address + path, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=200) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()

        assert ask("etc/passwd")[0] == 404
        assert ask(Host="evil.example:80")[0] == 403
        status, html = ask()
        assert (status, "No run was found" in html) == (200, True)
        folder = tmp_path / "runs" / "digits-set-smoke-0123456789" / "seed-3"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("data: {name: digits}\n")
        assert 'id="run.0123456789.3"' in ask()[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close() if process.stdout else None


def test_a_browser_leaves_port_80_out_and_a_failure_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    answers: list[str | Exception] = [KeyError("a<b"), UserError("mend it"), "<p>fine</p>"]

    def make() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(make)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def ask(host: str) -> tuple[int, str]:
            connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            found = answer.status, answer.read().decode()
            connection.close()
            return found

        assert [ask(host)[0] for host in ("evil.example", "127.0.0.1.evil.example", "")] == [403, 403, 403]
        status, said = ask("127.0.0.1")
        assert (status, "KeyError: &#x27;a&lt;b&#x27;" in said) == (500, True)
        assert "Traceback" in capsys.readouterr().err
        status, said = ask("localhost")
        assert (status, "mend it" in said) == (500, True)
        assert ask(f"localhost:{server.server_port}") == (200, "<p>fine</p>")
        server.shutdown()


def test_names_are_in_the_order_of_their_numbers() -> None:
    names = ["table10", "nano", "figure12", "table2", "figure3", "table", "quickstart"]
    assert sorted(names, key=_place) == ["table2", "table10", "figure3", "figure12", "nano", "quickstart", "table"]


def test_a_cell_is_composed_as_a_run_is(tmp_path: Path) -> None:
    compositions = Composer()
    for name in ("table7", "table16", "figure11", "nano"):
        cells = select(load_grid(name, [conf_dir()]), ["budget=cpu", f"paths.runs={tmp_path}"]).cells
        for cell in cells[:: len(cells) // 2]:
            assert compositions.run(cell.overrides) == compose_run(cell.overrides)
    with pytest.raises(UserError, match=r"method\.zetta"):
        compositions.run(["data=digits", "method.zetta=1"])
    odd = ["data=digits", "checkpoint.steps=3", "checkpoint={seconds: 5}", "+task.x=1", "~task.x"]
    assert compositions.run(odd[:3]) == compose_run(odd[:3])
    both = [compositions.run(["data=digits", f"method.zeta={zeta}"]).method.zeta for zeta in (0.1, 0.2, 0.1)]
    assert both == [0.1, 0.2, 0.1]


def test_the_summary_in_results_is_what_the_results_say(chtexp: Callable, tmp_path: Path) -> None:
    results = [word for path in sorted(RESULTS.glob("*.jsonl")) for word in ("--results", str(path))]
    chtexp("report", *results, "paths.runs=runs", "--output", "said.md")
    assert (tmp_path / "said.md").read_text() == (RESULTS / "reproduces.md").read_text()


def test_another_suffix_is_refused(chtexp: Callable) -> None:
    said = chtexp("report", "--output", "report.pdf", check=2).stderr
    assert "'.pdf'" in said
    assert ".html, .md" in said
