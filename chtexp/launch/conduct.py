"""A sweep, or a part of it, carried out here: in this process, or by workers. Also `python -m chtexp.launch.conduct FOLDER`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from chtexp.config.launcher import Launcher, Local, Serial, Slurm, SweepSettings, describe_sweep
from chtexp.errors import UserError
from chtexp.launch.failures import Failures
from chtexp.launch.pool import Place, Pool, Say
from chtexp.launch.sweep_folder import SweepFolder, SweepTask
from chtexp.run.processes.launcher import check_nodes
from chtexp.store import condition
from chtexp.system.cores import available_cores, share_cores
from chtexp.system.signals import Stopped


def places(launcher: Local | Slurm, tasks: Sequence[SweepTask], folder: SweepFolder, label: str = "") -> list[Place]:
    """Assign cores and GPUs to workers: cores are shared out evenly, and a GPU is given to one worker only, as many of them as
    processes train a run together.

    Args:
        launcher: what it may take.
        tasks: the runs.
        folder: of the sweep.
        label: tells the workers of this pool from those of others that share the folder.

    Raises:
        UserError: fewer GPUs than one run needs.
    """
    here = launcher if isinstance(launcher, Local) else Local(workers=launcher.parallel)
    cores = launcher.cpus if isinstance(launcher, Slurm) else available_cores()
    wants_gpus = any(task.hardware.device == "cuda" for task in tasks)
    gpus = list(here.gpus) if here.gpus is not None else _visible_gpus() if wants_gpus else []
    together = max(task.hardware.processes for task in tasks)
    at_most = len(gpus) // together if gpus else max(1, cores // ((here.threads or 1) * together))
    workers = min(here.workers or at_most, len(tasks))
    if gpus:
        workers = min(workers, at_most)  # one is never shared
        if not workers:
            raise UserError(f"hardware.processes={together} needs a GPU for each, and there are {len(gpus)}")
    threads = here.threads or max(1, cores // workers)
    labels = [f"{label}{index}" for index in range(workers)]
    return [
        Place(name, threads, ",".join(gpus[index::workers]) if gpus else None, folder.worker_log(name))
        for index, name in enumerate(labels)
    ]


def check_fit(launcher: Launcher, tasks: Sequence[SweepTask]) -> None:
    """Check that a launcher can carry out these runs.

    Raises:
        UserError: why it cannot.
    """
    if isinstance(launcher, Slurm):
        if shutil.which("sbatch") is None:
            raise UserError("launcher=slurm submits jobs, and there is no sbatch here; use launcher=local")
        return
    for nodes in {task.hardware.nodes for task in tasks}:
        check_nodes(nodes)
    if not isinstance(launcher, Local):
        return
    on_gpus = any(task.hardware.device == "cuda" for task in tasks)
    if launcher.gpus is not None and not on_gpus:
        raise UserError(
            "launcher.gpus hands out GPUs, but the runs train on the CPU: add hardware=gpu, or leave it out"
        )
    if launcher.gpus is None and on_gpus and not _visible_gpus():
        raise UserError("the runs train on a GPU, and none is visible here: use hardware=cpu, or launcher=slurm")
    places(launcher, tasks, SweepFolder(Path()))


def conduct(folder: SweepFolder, say: Say) -> None:
    """Carry out a sweep here by what its launcher says.

    Args:
        folder: of the sweep.
        say: told one line about every run.

    Raises:
        Stopped: a signal asked to stop, and the runs did.
    """
    values, tasks = folder.read()
    settings = describe_sweep(values)
    launcher = settings.launcher
    with folder.conducted(tasks):
        if isinstance(launcher, Serial):
            one_after_the_other(tasks, settings, say)
        else:
            pool = Pool(places(launcher, tasks, folder), Failures(tasks, settings.max_failures), say)
            pool.run(tasks)
            if pool.asked is not None and any(condition(task.run_folder).state != "done" for task in tasks):
                raise Stopped(pool.asked)


def one_after_the_other(tasks: Sequence[SweepTask], settings: SweepSettings, say: Say) -> None:
    """Carry out runs in this process, e.g. under a debugger.

    Args:
        tasks: the runs.
        settings: of the sweep.
        say: told one line about every run.
    """
    from chtexp.run.execute import RunFailed, execute
    from chtexp.store import RunLocked

    failures = Failures(tasks, settings.max_failures)
    for number, task in enumerate(tasks, 1):
        if failures.too_many():
            say(f"{len(tasks) - number + 1} runs were not started")
            return
        say(f"[{number}/{len(tasks)}] {task.label}")
        starts = task.run_folder.starts
        try:
            execute(task.run(), task.command)
        except (UserError, RunLocked, RunFailed) as error:
            say(f"chtexp: {error}")
            failures.traceless += task.run_folder.starts == starts and not isinstance(error, RunLocked)


def _visible_gpus() -> list[str]:
    """As CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


if __name__ == "__main__":
    share_cores()
    try:
        conduct(SweepFolder(Path(sys.argv[1])), lambda line: print(line, flush=True))
    except UserError as error:
        print(f"chtexp: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Stopped as stopped:
        sys.exit(stopped.code)
