"""chtexp sweep: train the cells of a table that are missing, by whatever launcher."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from chtexp.cli.common import add_config_dir, add_table_arguments, conditions, planned_runs, subcommand, verdict

if TYPE_CHECKING:
    from chtexp.launch.sweep_folder import SweepFolder
    from chtexp.planning import PlannedRun


def add(commands: Any) -> None:
    """The command."""
    sub = subcommand(
        commands,
        "sweep",
        sweep,
        "train the cells of a table that are missing",
        "chtexp sweep table7 data=mnist budget=smoke launcher=local launcher.workers=2",
    )
    sub.add_argument(
        "--dry-run", action="store_true", help="show what would start and what it would cost; start nothing"
    )
    sub.add_argument("--detach", action="store_true", help="return at once; 'chtexp status' shows how it goes on")
    add_table_arguments(sub)
    add_config_dir(sub)


def sweep(parsed: argparse.Namespace) -> int:
    """Train what is missing of a table."""
    from chtexp.compose import compose_sweep, train_command
    from chtexp.launch.conduct import conduct
    from chtexp.launch.settings import Serial, Slurm
    from chtexp.launch.sweep_folder import SweepFolder, Task

    own = [
        word
        for word in parsed.overrides
        if word.lstrip("+~").partition("=")[0].split(".")[0] in ("launcher", "max_failures")
    ]
    settings = compose_sweep(own, parsed.config_dir)
    planned = planned_runs(parsed, [word for word in parsed.overrides if word not in own])
    waiting = _waiting(parsed.name, planned)
    if parsed.dry_run:
        _show(waiting, parsed)
        return 0
    if not waiting:
        return 0
    if parsed.detach and isinstance(settings.launcher, Serial):
        settings = compose_sweep([*own, "launcher=local", "launcher.workers=1"], parsed.config_dir)
    tasks = [Task.of(item.run, train_command(item.overrides, parsed.config_dir)) for item in waiting]
    folder = SweepFolder.create(planned[0].run.paths.runs, settings.model_dump(mode="json"), tasks)
    if isinstance(settings.launcher, Slurm):
        from chtexp.launch.slurm import follow, submit

        jobs = submit(folder, settings.launcher, tasks)
        print(
            f"submitted {len(tasks)} runs in {len(jobs)} jobs: {jobs[0]} to {jobs[-1]}; their output: {folder.path / 'slurm'}"
        )
        if parsed.detach:
            return _detached(waiting)
        follow(tasks, lambda line: print(line, flush=True))
    elif parsed.detach:
        _conduct_alone(folder)
        return _detached(waiting)
    else:
        conduct(folder, lambda line: print(line, flush=True))
    return verdict([item.run for item in waiting])


def _waiting(name: str, planned: list[PlannedRun]) -> list[PlannedRun]:
    """The runs that are neither done nor being done (with overwrite=true: nor done anew)."""
    from chtexp.store import OPEN

    found = conditions([item.run.folder for item in planned])
    counts = Counter(condition.state for condition in found)
    over = OPEN if any(item.run.overwrite for item in planned) else (*OPEN, "done")
    waiting = [item for item, condition in zip(planned, found, strict=True) if condition.state not in over]
    elsewhere = "".join(f", {counts[state]} {state} elsewhere" for state in OPEN if counts[state])
    print(f"{name}: {len(planned)} runs, {counts['done']} done{elsewhere}, {len(waiting)} to start")
    return waiting


def _show(waiting: list[PlannedRun], parsed: argparse.Namespace) -> None:
    from chtexp.compose import train_command
    from chtexp.experiments.cost import cost

    dense = sparse = 0.0
    for item in waiting:
        estimate = cost(item.run)
        dense, sparse = dense + estimate.dense_flops, sparse + estimate.sparse_flops
        command = train_command(item.overrides, parsed.config_dir)
        print(f"  {item.run.id} seed {item.seed}  {estimate.sparse_flops:.1e} FLOPs  {command}")
    if waiting:
        print(f"to train: {dense:.2e} FLOPs dense, {sparse:.2e} if the sparsity is executed (training, linear layers)")


def _conduct_alone(folder: SweepFolder) -> None:
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
    print(f"started process {process.pid}, which prints to {log}; 'kill {process.pid}' stops it with checkpoints")


def _detached(waiting: list[PlannedRun]) -> int:
    runs = waiting[0].run.paths.runs
    print(f"see how it goes on: chtexp status paths.runs={runs}; the same sweep again starts what is missing then")
    return 0
