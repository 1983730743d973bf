"""The kernel kills a run that takes more memory than there is: it alone, and what became of it is said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chtexp.store import condition
from chtexp.system import oom as counters
from chtexp.system.oom import memory_kills

from .test_pool import run, states, sweep_of

GROUPS = Path("/sys/fs/cgroup")
MEMORY = 4_000_000_000  # bytes: a small run takes a tenth, so the greedy one is by far the largest when memory ends
DENSE = ["method=fc", "method.sparsity=0"]  # compiles no kernels, which takes memory, too
GREEDY = [*DENSE, "model.hidden=[40000,40000]"]  # 6.4 GB of weights in one layer


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A control group of MEMORY bytes and no swap, beside all others; its processes end with it."""
    if (GROUPS / "memory").is_dir():  # version 1
        root, limits = GROUPS / "memory", ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
    else:
        root, limits = GROUPS, ["memory.max"]
        delegated = root / "cgroup.subtree_control"
        if not (delegated.is_file() and "memory" in delegated.read_text().split()):
            pytest.skip("no control groups of memory here")
    group = root / f"chtexp-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"a control group of memory needs root, and a folder of groups that can be written ({error})")
    try:
        for name in limits:
            (group / name).write_text(str(MEMORY))
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0")
        yield group
    finally:
        _end(group)


def _end(group: Path) -> None:
    """Kill what is left in the group, and remove it."""
    deadline = time.monotonic() + 20
    while members := (group / "cgroup.procs").read_text().split():
        assert time.monotonic() < deadline, members
        for pid in members:
            os.kill(int(pid), 9)
        time.sleep(0.1)
    group.rmdir()


def inside(group: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command that is in the group from its beginning."""
    enter = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
    return subprocess.run(
        ["sh", "-c", enter, group, *command], capture_output=True, text=True, timeout=200, check=False
    )


def test_a_run_that_takes_too_much_memory_harms_no_other(
    little_memory: Path, tmp_path: Path, chtexp_process: Callable
) -> None:
    runs = tmp_path / "runs"
    fine = [run(runs, *DENSE, f"seed={seed}") for seed in (0, 1)]
    greedy = run(runs, *GREEDY, "seed=2")
    sweep = sweep_of(runs, [fine[0], greedy, fine[1]], "launcher.workers=2", "launcher.threads=1")
    before = memory_kills()
    done = inside(little_memory, sys.executable, "-P", "-m", "chtexp.launch.conduct", str(sweep.path))
    assert done.returncode == 0, done.stderr
    assert states([*fine, greedy]) == ["done", "done", "failed"], done.stdout
    reason = "out of memory: the system killed its process (SIGKILL)"
    assert condition(greedy.folder).reason == reason
    assert f"digits FC seed 2: failed ({reason})" in done.stdout
    assert memory_kills() == before, "a kill in another control group is none of ours"
    said = chtexp_process("status", "--failed", f"paths.runs={runs}").stdout
    assert reason in said


@pytest.mark.parametrize(
    ("groups", "files", "wanted"),
    [
        ("0::/job/step\n", {"job/step/memory.events": "low 0\noom 9\noom_kill 3\noom_group_kill 1\n"}, 3),
        ("5:cpu:/a\n4:hugetlb,memory:/a\n0::/a\n", {"memory/a/memory.oom_control": "under_oom 0\noom_kill 4\n"}, 4),
        ("0::/\n", {}, 7),  # the outermost group of version 2 counts nothing
        ("4:memory:/of/the/host\n0::/\n", {"memory/memory.oom_control": "oom_kill 4\n"}, 7),  # in a container
        ("4:memory:/a\n", {"memory/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}, 7),  # an old kernel
        (None, {}, 7),
    ],
)
def test_where_the_kills_are_counted(
    groups: str | None, files: dict[str, str], wanted: int, tmp_path: Path, monkeypatch
) -> None:
    machine, process = tmp_path / "vmstat", tmp_path / "group"
    machine.write_text("pgfault 1\noom_kill 7\n")
    if groups is not None:
        process.write_text(groups)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    for name, path in {"MACHINE": machine, "PROCESS": process, "CONTROL_GROUPS": tmp_path / "cgroup"}.items():
        monkeypatch.setattr(counters, name, path)
    assert memory_kills() == wanted
    machine.unlink()
    assert memory_kills() == (0 if wanted == 7 else wanted)  # a system that counts nowhere
