"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import subprocess
import sys

STAYS = (
    "import sys; from chtexp.system.signals import stop_with_parent; stop_with_parent(int(sys.argv[1])); print('stays')"
)


def said(parent: int) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", STAYS, str(parent)], capture_output=True, text=True)
    return done.returncode, done.stdout


def test_a_process_whose_parent_died_before_it_looked_does_not_live_on() -> None:
    assert said(os.getpid()) == (0, "stays\n")
    assert said(os.getppid()) == (1, "")
