"""Sweeps as arrays of Slurm jobs, by submitit: what each job does, and what it does when its time is up."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import submitit

from chtexp.config.launcher import Slurm, describe_sweep
from chtexp.errors import UserError
from chtexp.launch.conduct import places
from chtexp.launch.failures import Failures
from chtexp.launch.pool import Pool, Say
from chtexp.launch.slurm_queue import queue_of
from chtexp.launch.snapshot import snapshot
from chtexp.launch.sweep_folder import SweepFolder, SweepTask
from chtexp.store import DAMAGED, OPEN, Job, condition

LOOK_SECONDS = 5.0


@dataclass
class JobShare:
    """What one job does: some runs of a sweep. Those unfinished when the time is up are the share of the next job.

    Attributes:
        folder: of the sweep.
        numbers: of the runs in it.
    """

    folder: str
    numbers: list[int]

    def __call__(self) -> None:
        """Carry out the runs, on the node that the job has."""
        folder = SweepFolder(Path(self.folder))
        values, tasks = folder.read()
        settings = describe_sweep(values)
        assert isinstance(settings.launcher, Slurm)
        mine = [tasks[number] for number in self.numbers]
        job = submitit.JobEnvironment().job_id
        self._pool = Pool(
            places(settings.launcher, mine, folder, f"{job}-"),
            Failures(tasks, settings.max_failures),
            lambda line: print(line, flush=True),
        )
        self._pool.run(mine)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Save the runs, and ask for another job; submitit calls it on the signal before the time is up.

        Returns:
            What submitit queues again.
        """
        self._pool.stop(signal.SIGUSR2)
        self._pool.wait()
        _, tasks = SweepFolder(Path(self.folder)).read()
        over = ("done", "failed", DAMAGED)
        left = [number for number in self.numbers if condition(tasks[number].run_folder).state not in over]
        return submitit.helpers.DelayedSubmission(JobShare(self.folder, left))


def submit(folder: SweepFolder, launcher: Slurm, tasks: Sequence[SweepTask]) -> list[str]:
    """Submit a sweep as one array, and write into every run's folder which job has it.

    Args:
        folder: of the sweep.
        launcher: what each job gets.
        tasks: the runs.

    Returns:
        The names of the jobs.

    Raises:
        UserError: there is no Slurm, it refused the sweep, or the runs need jobs of different sizes.
    """
    code = snapshot(folder.path.parents[1] / ".code")
    shares = [
        list(range(first, min(first + launcher.runs_per_job, len(tasks))))
        for first in range(0, len(tasks), launcher.runs_per_job)
    ]
    before = [task.run_folder.starts for task in tasks]  # a job may begin at once
    executor = _executor(folder, launcher, code, len(shares), _nodes(tasks, launcher))
    try:
        with executor.batch():
            jobs = [executor.submit(JobShare(str(folder.path), numbers)) for numbers in shares]
    except submitit.core.utils.FailedJobError as error:
        raise UserError(f"Slurm refused the sweep: {' '.join(str(error).split())}") from None
    for job, numbers in zip(jobs, shares, strict=True):
        for number in numbers:
            tasks[number].run_folder.submit(
                Job.given(job.job_id, before[number], str(folder.path), tasks[number].command)
            )
    return [job.job_id for job in jobs]


def follow(tasks: Sequence[SweepTask], say: Say) -> None:
    """Say what becomes of the runs until none of them is open. Ctrl-C ends the watching, not the jobs.

    Args:
        tasks: the runs.
        say: told one line about every change.
    """
    known = {task.folder: "pending" for task in tasks}
    while True:
        left = [task for task in tasks if known[task.folder] != "done"]
        queue = queue_of([task.run_folder for task in left])
        found = {task.folder: condition(task.run_folder, queue) for task in left}
        for task in left:
            now = found[task.folder]
            if now.state != known[task.folder]:
                say(f"{task.label}: {now.state}" + (f" ({now.reason})" if now.reason else ""))
                known[task.folder] = now.state
        if not any(now.state in OPEN for now in found.values()):
            return
        time.sleep(LOOK_SECONDS)


def _nodes(tasks: Sequence[SweepTask], launcher: Slurm) -> int:
    """Of every job."""
    wanted = sorted({task.hardware.nodes for task in tasks})
    if len(wanted) > 1:
        raise UserError(
            f"the runs of one sweep need jobs of one size, not hardware.nodes {', '.join(map(str, wanted))}"
        )
    if wanted[0] > 1 and launcher.parallel > 1:
        raise UserError("runs over several nodes take a whole job: use launcher.parallel=1, or hardware.nodes=1")
    return wanted[0]


def _executor(folder: SweepFolder, launcher: Slurm, code: Path, jobs: int, nodes: int) -> submitit.SlurmExecutor:
    try:
        executor = submitit.SlurmExecutor(folder=folder.path / "slurm", max_num_timeout=launcher.requeues)
    except RuntimeError as error:
        raise UserError(f"{error}; use launcher=local where there is no Slurm") from None
    named = {
        "partition": launcher.partition,
        "account": launcher.account,
        "qos": launcher.qos,
        "constraint": launcher.constraint,
        "mem": f"{round(launcher.memory * 1024)}M" if launcher.memory else None,
        "gpus_per_node": launcher.gpus or None,
    }
    executor.update_parameters(
        job_name=f"chtexp-{folder.path.name}",
        time=launcher.time,
        nodes=nodes,
        ntasks_per_node=1,
        srun_args=["--nodes=1", "--ntasks=1"],  # a run that several nodes train has the others called in itself
        cpus_per_task=launcher.cpus,
        signal_delay_s=launcher.signal_seconds,
        array_parallelism=launcher.jobs_at_once or jobs,
        # the copy of the code, and not what lies where the jobs were submitted from
        setup=[
            *launcher.setup,
            f"export PYTHONSAFEPATH=1 PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}",
        ],
        stderr_to_stdout=True,
        additional_parameters={"requeue": True}
        | {key.replace("-", "_"): value for key, value in launcher.sbatch.items()},
        **{key: value for key, value in named.items() if value is not None},
    )
    return executor
