"""chtexp sweep: train the cells of a table that are missing, by whatever launcher."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections import Counter

from chtexp.cli.common import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    QUIET,
    add_config_dir,
    add_table_arguments,
    conditions,
    exit_code_of,
    is_for_sweep,
    planned_runs,
)
from chtexp.config.compose import compose_sweep, train_command
from chtexp.config.launcher import Serial, Slurm
from chtexp.config.run import Run
from chtexp.cost.count import cost
from chtexp.launch.conduct import check_fit, conduct
from chtexp.launch.sweep_folder import SweepFolder, SweepTask
from chtexp.paper.plan import PlannedRun
from chtexp.store import DAMAGED, OPEN
from chtexp.system.signals import Stopped

MOST_REASONS = 5
START_SECONDS = 60.0


EXAMPLE = "chtexp sweep table7 data=mnist budget=smoke launcher=local launcher.workers=2"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """What may be typed after the command."""
    how = sub.add_mutually_exclusive_group()
    how.add_argument(
        "--dry-run", action="store_true", help="show what would start and what it would cost; start nothing"
    )
    how.add_argument("--quiet", action="store_true", help="print only what it comes to, and errors")
    sub.add_argument("--detach", action="store_true", help="return at once; 'chtexp status' shows how it goes on")
    add_table_arguments(sub)
    add_config_dir(sub)


def run(parsed: argparse.Namespace) -> int:
    """Train what is missing of a table."""
    own = [word for word in parsed.overrides if is_for_sweep(word)]
    settings = compose_sweep(own, parsed.config_dir)
    quiet = [QUIET] if parsed.quiet else []
    planned = planned_runs(parsed, [*(word for word in parsed.overrides if word not in own), *quiet])
    waiting, damaged = _waiting(parsed.name, planned)
    if parsed.dry_run:
        _show(waiting, parsed)
        return 0
    if not waiting:
        return exit_code_of(damaged)
    if parsed.detach and isinstance(settings.launcher, Serial):
        settings = compose_sweep([*own, "launcher=local", "launcher.workers=1"], parsed.config_dir)
    say = _silent if parsed.quiet else _aloud
    for item in waiting:
        if item.run.plugins:
            cost(item.run)  # builds its network: what cannot be trained is an error before there is a folder
    tasks = [SweepTask.of(item.run, train_command(item.overrides, parsed.config_dir)) for item in waiting]
    check_fit(settings.launcher, tasks)
    folder = SweepFolder.create(planned[0].runs, settings.model_dump(mode="json"), tasks)
    if isinstance(settings.launcher, Slurm):
        from chtexp.launch.slurm import follow, submit

        jobs = submit(folder, settings.launcher, tasks)
        print(
            f"submitted {len(tasks)} runs in {len(jobs)} jobs: {jobs[0]} to {jobs[-1]}; their output: {folder.path / 'slurm'}"
        )
        if parsed.detach:
            return _detached(waiting)
        try:
            follow(tasks, say)
        except KeyboardInterrupt:
            print(
                f"\nno longer looked at, but the jobs go on: scancel {jobs[0].partition('_')[0]} ends them, saved",
                file=sys.stderr,
            )
            _detached(waiting)
            return EXIT_INTERRUPTED
    elif parsed.detach:
        return _conduct_alone(folder) or _detached(waiting)
    else:
        try:
            conduct(folder, say)
        except Stopped:
            exit_code_of([item.run for item in waiting])  # say how far they are
            raise
    return exit_code_of([*damaged, *(item.run for item in waiting)])


def _aloud(line: str) -> None:
    print(line, flush=True)


def _silent(line: str) -> None:
    pass


def _waiting(name: str, planned: list[PlannedRun]) -> tuple[list[PlannedRun], list[Run]]:
    """The runs that are neither done nor being done (with overwrite=true: nor done anew); and those that are damaged."""
    found = conditions([item.folder for item in planned])
    counts = Counter(condition.state for condition in found)
    anew = any(item.overwrite for item in planned)
    over = OPEN if anew else (*OPEN, DAMAGED, "done")
    waiting = [item for item, condition in zip(planned, found, strict=True) if condition.state not in over]
    elsewhere = "".join(f", {counts[state]} {state} elsewhere" for state in OPEN if counts[state])
    unread = f", {counts[DAMAGED]} {DAMAGED}" if counts[DAMAGED] else ""
    print(f"{name}: {len(planned)} runs, {counts['done']} done{unread}{elsewhere}, {len(waiting)} to start")
    reasons = Counter(re.sub(r"^job \S+", "a job", c.reason) for c in found if c.state == "pending")
    for reason, count in reasons.most_common(MOST_REASONS):
        print(f"  {count} pending: {reason}")
    damaged = [item.run for item, condition in zip(planned, found, strict=True) if condition.state == DAMAGED]
    if damaged and not anew:
        print(
            f"  damaged runs are left as they are: chtexp status --failed paths.runs={planned[0].runs} says what to do"
        )
    return waiting, [] if anew else damaged


def _show(waiting: list[PlannedRun], parsed: argparse.Namespace) -> None:
    dense = sparse = 0.0
    for item in waiting:
        estimate = item.cost
        dense, sparse = dense + estimate.dense_flops, sparse + estimate.sparse_flops
        command = train_command(item.overrides, parsed.config_dir)
        print(f"  {item.id} seed {item.seed}  {estimate.sparse_flops:.1e} FLOPs  {command}")
    if waiting:
        print(f"to train: {dense:.2e} FLOPs dense, {sparse:.2e} if the sparsity is executed (training, linear layers)")


def _conduct_alone(folder: SweepFolder) -> int:
    """In a process of its own that outlives this one and its terminal."""
    log = folder.path / "sweep.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "chtexp.launch.conduct", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end = time.monotonic() + START_SECONDS
    while not folder.is_begun() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    if process.poll():
        print(
            f"chtexp: the sweep's own process ended with exit code {process.returncode}; {log} says why",
            file=sys.stderr,
        )
        return EXIT_FAILURE
    print(f"started process {process.pid}, which prints to {log}; 'kill {process.pid}' stops it with checkpoints")
    return 0


def _detached(waiting: list[PlannedRun]) -> int:
    runs = waiting[0].runs
    print(f"see how it goes on: chtexp status paths.runs={runs}; the same sweep again starts what is missing then")
    return 0
