"""A command that takes more than a second tells the person at the terminal what it is doing; files and pipes get no such line."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chtexp.system import patience
from chtexp.system.patience import said_if_slow


class Terminal:
    """An error stream that is looked at."""

    def __init__(self, *, watched: bool) -> None:
        self.watched, self.text = watched, ""

    def isatty(self) -> bool:
        return self.watched

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(
    ("watched", "seconds", "said"), [(True, 0.5, "reading ...\n"), (True, 0.0, ""), (False, 0.5, "")]
)
def test_only_what_is_slow_and_looked_at_is_said(watched: bool, seconds: float, said: str, monkeypatch) -> None:
    screen = Terminal(watched=watched)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(patience, "SLOW_SECONDS", 0.1)
    with said_if_slow("reading"):
        time.sleep(seconds)
    time.sleep(0.2)
    assert screen.text == said


def test_a_report_says_what_it_is_doing(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    code = "from chtexp.cli import main; from chtexp.system import patience; patience.SLOW_SECONDS = 0.05; main()"
    command = [sys.executable, "-c", code, "report", "--output", str(tmp_path / "report.html")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=its, cwd=tmp_path, timeout=240, check=True)
    os.close(its)
    assert "reading results, and making every table and figure ..." in os.read(ours, 10_000).decode()
    assert b"written: " in done.stdout
