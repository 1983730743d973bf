"""What is seen while a run trains: a bar on a terminal, plain lines elsewhere and in CI, one line where it shall be quiet."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chtexp.cli import main
from chtexp.store import RunFolder
from chtexp.train import progress
from chtexp.train.progress import ProgressLine

RECORD = {"train_loss": 0.5, "accuracy": 97.123, "density": 0.01, "anp": 0.271}
SCRIPT = """
import time
from chtexp.train.progress import ProgressLine
shown = ProgressLine("digits SET", 100, 50, "accuracy", print)
for step in range(51, 81):
    time.sleep(0.01)
    shown.advance()
    if step == 60:
        shown.evaluated(step, {"train_loss": 0.5, "accuracy": 97.123, "density": 0.01, "anp": 0.271})
    if step == 65:
        shown.show({"density": 0.02, "anp": 0.5})
shown.close()
"""


def on_a_terminal(command: list[str], **environment: str) -> tuple[str, str]:
    """Standard output, and what a terminal of 160 columns got as standard error."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 160, 0, 0))
    plain = {key: value for key, value in os.environ.items() if key not in ("CI", "COLUMNS")} | {"TERM": "xterm"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=follower, env={**plain, **environment}, text=True
    ) as process:
        os.close(follower)
        seen = b""
        while True:
            try:
                piece = os.read(leader, 1 << 16)
            except OSError:  # Linux's end of a terminal's file
                break
            if not piece:
                break
            seen += piece
        assert process.stdout is not None
        said = process.stdout.read()
    os.close(leader)
    assert process.returncode == 0, said + seen.decode()
    return said, seen.decode()


def test_a_terminal_gets_a_bar_with_rate_time_left_metric_density_and_anp() -> None:
    said, seen = on_a_terminal([sys.executable, "-c", SCRIPT])
    frames = [frame for frame in re.split(r"[\r\n]", re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", seen)) if frame.strip()]
    assert re.fullmatch(r"digits SET  50%  50/100  0 steps/s  \? left [━╸╺]+", frames[0])
    last = frames[-1]
    assert re.search(
        r"  \d+%  \d+/100  accuracy 97\.12  density 0\.0200  ANP 0\.500  [\d.]+ steps/s  00:00 left ", last
    )
    assert {len(frame) for frame in frames} == {160}  # as wide as the terminal
    rates = [float(rate) for rate in re.findall(r"([\d.]+) steps/s", seen)]
    assert rates
    assert max(rates) < 101  # 10 ms a step: the first fifty were not done by this start
    assert said.count("\n") == 1
    assert "\r" not in said
    assert "\x1b" not in said


def test_the_bar_is_drawn_a_few_times_a_second_and_gone_at_the_end() -> None:
    program = (
        SCRIPT.replace("time.sleep(0.01)", "time.sleep(0.001)")
        .replace("100, 50", "2000, 0")
        .replace("51, 81", "1, 500")
    )
    _, seen = on_a_terminal([sys.executable, "-c", program])
    assert 3 <= seen.count("steps/s") <= 25  # half a second
    assert seen.rstrip("\r\n").endswith("\x1b[2K")  # the last line is erased
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l")  # the cursor is there


def test_a_killed_process_leaves_the_cursor() -> None:
    program = SCRIPT.replace("if step == 65:", "if step == 64: import os; os._exit(0)\n    if step == 65:")
    _, seen = on_a_terminal([sys.executable, "-c", program])
    assert "steps/s" in seen
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l")


@pytest.mark.parametrize("where", [{"CI": "true"}, {"CI": "1"}, {"TERM": "dumb"}])
def test_continuous_integration_and_a_dumb_terminal_get_lines(where: dict[str, str]) -> None:
    said, seen = on_a_terminal([sys.executable, "-c", SCRIPT], **where)
    assert seen == ""
    assert said.startswith("digits SET  step 60/100  loss 0.5000  accuracy 97.12  density 0.0100  ANP 0.271  ")


def test_a_pipe_gets_lines_alone() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


def test_rate_and_time_left_are_those_of_this_start(monkeypatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress, "clock", lambda: clock[0])
    said: list[str] = []
    shown = ProgressLine("x", 300, 100, "accuracy", said.append, quiet=True)
    clock[0] += 20
    shown.evaluated(140, RECORD)
    assert said[0].endswith("  2 steps/s  01:20 left")  # 160 more
    clock[0] += 12
    shown.evaluated(300, RECORD)
    assert said[1].endswith("6.25 steps/s  00:00 left")


def test_hours_are_left(monkeypatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress, "clock", lambda: clock[0])
    said: list[str] = []
    shown = ProgressLine("x", 3662, 0, "accuracy", said.append, quiet=True)
    clock[0] += 1
    shown.evaluated(1, RECORD)
    assert said[0].endswith("1:01:01 left")


def test_before_its_first_step_nothing_is_known_of_the_rate() -> None:
    said: list[str] = []
    ProgressLine("x", 10, 10, "accuracy", said.append).evaluated(10, RECORD)
    assert said[0].endswith("0 steps/s  ? left")


def test_a_step_costs_less_than_ten_microseconds() -> None:
    shown = ProgressLine("x", 100_000, 0, "accuracy", print, quiet=True)
    before = time.process_time()
    for _ in range(100_000):
        shown.advance()
    assert time.process_time() - before < 1.0


SMALL = [
    "data=digits",
    "method=set",
    "method.sparsity=0.9",
    "budget=smoke",
    "model.hidden=[32,32]",
    "hardware.threads=1",
    "hardware.execution=dense",
]


@pytest.fixture
def chtexp_here(tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[int, list[str], str]]:
    """The command line in this process: exit code, lines of standard output, and standard error."""
    monkeypatch.setenv("CHTEXP_RUNS", str(tmp_path / "runs"))

    def call(*arguments: str) -> tuple[int, list[str], str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out.splitlines(), said.err

    return call


def test_a_quiet_run_prints_its_last_line_alone(chtexp_here: Callable, tmp_path: Path) -> None:
    code, (line,), errors = chtexp_here("train", "--quiet", *SMALL)
    assert (code, errors) == (0, "")
    assert line.startswith("done: accuracy ")
    (folder,) = RunFolder.every(tmp_path / "runs")
    log = folder.log.read_text()
    assert "training " in log
    assert "steps/s" in log
    assert log.endswith(line + "\n")
    _, (line,), _ = chtexp_here("train", *SMALL, "--quiet")
    assert line.startswith("done already")
    code, said, errors = chtexp_here("train", "--quiet", *SMALL, "seed=1", "task.learning_rate.start=1e12")
    assert (code, said) == (1, [])
    assert "Diverged" in errors
    code, said, errors = chtexp_here("train", *SMALL, "logger.quiet=perhaps")
    assert (code, said) == (2, [])
    assert "logger.quiet should be a valid boolean" in errors


def test_a_loud_run_prints_what_its_log_has(chtexp_here: Callable, tmp_path: Path) -> None:
    code, said, _ = chtexp_here("train", *SMALL)
    (folder,) = RunFolder.every(tmp_path / "runs")
    assert (code, said) == (0, folder.log.read_text().splitlines())


@pytest.mark.parametrize(("launcher", "finished"), [("launcher=serial", 1), ("launcher.workers=1", 0)])
def test_a_quiet_sweep_prints_what_it_comes_to(launcher: str, finished: int, chtexp_here: Callable) -> None:
    """A run by itself says its last line where it is trained in this process, and in its worker's log otherwise."""
    cells = ["quickstart", "method=set", "seed=0", *SMALL[3:]]
    code, said, _ = chtexp_here("sweep", "--quiet", *cells, launcher)
    done = [line for line in said if line.startswith("done: ")]
    assert (code, len(done)) == (0, finished)
    assert [line for line in said if line not in done] == ["quickstart: 1 runs, 0 done, 1 to start"]
    code, _, errors = chtexp_here("sweep", "--quiet", "--dry-run", *cells)
    assert code == 2
    assert "not allowed with argument" in errors
