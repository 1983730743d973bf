"""A lock is held by one process at a time, is gone when its process is killed, and says when somebody waits for it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chtexp.system.locks import locked

HOLD = """
import sys, time
from pathlib import Path
from chtexp.system.locks import locked
with locked(Path(sys.argv[1]), lambda: print("waiting", flush=True)):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(path: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_process_says_that_it_waits_and_goes_on_when_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with hold(path, 60) as first:
        assert said(first) == "held"
        with hold(path, 0) as second:
            assert said(second) == "waiting"
            assert second.poll() is None
            first.kill()
            assert said(second) == "held"
    assert second.returncode == 0
    assert path.exists()  # to remove it would let two processes hold it


def test_a_lock_is_released_when_its_block_ends_in_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), locked(tmp_path / "x.lock"):
        raise ValueError("no")
    with locked(tmp_path / "x.lock", pytest.fail):
        pass


def test_threads_of_one_process_take_turns(tmp_path: Path) -> None:
    inside, most = 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(3):
            with locked(tmp_path / "x.lock"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


@pytest.mark.parametrize("place", ["missing", "file"])
def test_a_lock_that_cannot_be_written_is_one_plain_error(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "missing.lock").mkdir()
    path = {"missing": tmp_path / "missing.lock", "file": tmp_path / "file" / "x.lock"}[place]
    with pytest.raises(OSError) as raised, locked(path):  # noqa: PT011
        pytest.fail("entered")
    assert raised.value.strerror
    assert raised.value.filename
