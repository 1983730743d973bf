"""A run trained by several processes: this one starts them, passes signals on, and finds out how the training ended.

It holds the run's claim. torchrun's agents, one on each node of a Slurm job, are the parents of the processes.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

from chtexp.config.run import Run
from chtexp.errors import Unavailable, UserError
from chtexp.run.processes.protocol import SUFFIX, Ending, Exit, Orders, endings, exits, orders_folder
from chtexp.run.run_log import RunLog
from chtexp.store.damage import NoUsableCheckpoint
from chtexp.store.starts import SignsOfLife
from chtexp.system.cores import available_cores
from chtexp.system.signals import StopSignals

LOOK_SECONDS = 0.1  # between two checks
MOST_A_CORE = 4  # processes; more would only slow each other, and everybody else, down
WAIT_SECONDS = 60  # for the other nodes, once the first has ended
CAUSE_SECONDS = 5.0  # an error that came so long before a process was killed is the reason why it was killed


class TogetherFailed(RuntimeError):
    """One of the processes failed.

    Args:
        reason: why, in one line.
        traceback: of that process, if it left one.
    """

    def __init__(self, reason: str, traceback: str = "") -> None:
        super().__init__(reason)
        self.reason, self.traceback = reason, traceback


class Together:
    """Has a run trained by `hardware.processes` processes on each of `hardware.nodes` nodes.

    Args:
        run: the run, whose folder is claimed.
        command: what to type to do this again.
        signals: say whether to stop.
        signs: say whether another process has taken over the run.
        log: receives the messages.

    Attributes:
        step: optimizer steps when the training ended; None while it is not known.
    """

    def __init__(self, run: Run, command: str, signals: StopSignals, signs: SignsOfLife, log: RunLog) -> None:
        self._run, self._command, self._signals, self._signs, self._log = run, command, signals, signs, log
        self._folder = orders_folder(signs.start)
        self.step: int | None = None

    def train(self) -> dict[str, object]:
        """Start the processes, wait for them, and return the result.

        Returns:
            The result, as result.json has it.

        Raises:
            UserError: the run cannot be trained as described.
            Stopped: a signal asked the training to stop.
            TakenOver: another process has taken over the run.
            TogetherFailed: one of the processes failed.
        """
        if "TORCHELASTIC_RUN_ID" in os.environ:
            raise UserError(
                "chtexp starts the processes itself: type the command without torchrun, with hardware.processes=N"
            )
        hardware, cores = self._run.hardware, available_cores()
        if hardware.device == "cpu" and hardware.processes > MOST_A_CORE * cores:
            raise UserError(
                f"hardware.processes={hardware.processes} are too many for the {cores} cores here: use at most "
                f"{MOST_A_CORE * cores}"
            )
        endpoint = _endpoint(hardware.nodes)
        for left in self._folder.parent.glob(f"*{SUFFIX}"):  # by starts that were killed
            shutil.rmtree(left, ignore_errors=True)
        self._folder.mkdir()
        frozen = self._run.model_copy(update={"paths": self._run.paths.resolved()})
        Orders(frozen.config(), self._command, endpoint).write(self._folder)
        agent = subprocess.Popen(
            [
                *_on_every_node(self._run.hardware.nodes),
                sys.executable,
                "-P",
                "-m",
                "chtexp.run.processes.agent",
                str(self._folder),
            ],
            env=self._environment(),
            stdin=subprocess.PIPE,  # closed by the system when this process dies, which ends the agents on all nodes
            start_new_session=True,  # signals reach the ranks through this process alone
        )
        try:
            self._wait(agent)
        finally:
            assert agent.stdin
            agent.stdin.close()  # if it is still running, its ranks save a checkpoint and stop
            agent.wait()
        return self._outcome(agent.returncode)

    def close(self) -> None:
        """Remove the orders and endings; the run's log has what is worth keeping."""
        shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------------ parts

    def _environment(self) -> dict[str, str]:
        hardware = self._run.hardware
        cores = int(os.environ.get("OMP_NUM_THREADS") or available_cores())  # of a sweep's worker: its share
        threads = hardware.threads or max(1, cores // hardware.processes)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        return {**os.environ, **dict.fromkeys(names, str(threads))}

    def _wait(self, agent: subprocess.Popen[bytes]) -> None:
        leader_knows = False
        while agent.poll() is None:
            time.sleep(LOOK_SECONDS)
            if self._signs.taken_over:
                self._signs.check()
            if self._signals.number and not leader_knows:
                leader_knows = self._tell_leader()

    def _tell_leader(self) -> bool:
        """Signal rank 0, so that all processes stop; False while it does not listen to signals yet."""
        try:
            pid = int((self._folder / "rank-0.pid").read_text())
        except (OSError, ValueError):
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        return True

    def _outcome(self, code: int) -> dict[str, object]:
        result = self._run.folder.read_result()
        found = endings(self._folder)
        self.step = next((ending.step for ending in found if ending.step is not None), None)
        kinds = {ending.kind for ending in found}
        if kinds == {"done"} and result is not None:
            return result
        if kinds == {"stopped"} and code == 0:
            self._signals.obey(found[0].stop)
        raise _cause(found, exits(self._folder), code)


def _cause(found: list[Ending], exited: list[Exit], code: int) -> Exception:
    """Why the training failed: what came first. A process that lost contact to the others fails, too, and is not the cause."""
    first = next((ending for ending in found if ending.kind not in ("done", "stopped")), None)
    at_once = [exit_ for exit_ in exited if exit_.at <= exited[0].at + 1]  # whole seconds, as torchrun counts them
    killed = next((exit_ for exit_ in at_once if exit_.code < 0 and -exit_.code != signal.SIGTERM), None)
    if killed and not (first and first.at < killed.at - CAUSE_SECONDS):
        name = signal.Signals(-killed.code).name
        if name == "SIGKILL" and killed.memory_ran_out:
            return TogetherFailed(f"out of memory: the system killed rank {killed.rank} (SIGKILL)")
        return TogetherFailed(f"rank {killed.rank} was killed ({name})")
    if first is None:
        return TogetherFailed(f"its processes ended with exit code {exited[0].code if exited else code}")
    kinds = {"mistake": UserError, "unavailable": Unavailable, "no checkpoint": NoUsableCheckpoint}
    return kinds[first.kind](first.reason) if first.kind in kinds else TogetherFailed(first.reason, first.traceback)


def _endpoint(nodes: int) -> str:
    """Where the processes of several nodes find each other: host and free port of this node, the first of its job."""
    if nodes == 1:
        return ""
    check_nodes(nodes)
    with socket.socket() as free:
        free.bind(("", 0))
        return f"{socket.gethostname()}:{free.getsockname()[1]}"


def check_nodes(nodes: int) -> None:
    """Check that this process runs on a node of a Slurm job with enough nodes; a single node needs no job.

    Args:
        nodes: how many nodes the run wants.

    Raises:
        UserError: the job has another number of nodes, there is no job, or this process is not on one of its nodes.
    """
    if nodes == 1:
        return
    found = int(os.environ.get("SLURM_JOB_NUM_NODES", 1))
    if found != nodes:
        raise UserError(
            f"hardware.nodes={nodes} needs a Slurm job of {nodes} nodes, and this is {'one' if found > 1 else 'no job'}"
            f"{f' of {found}' if found > 1 else ''}: use chtexp sweep ... launcher=slurm, or hardware.nodes={found}"
        )
    if "SLURMD_NODENAME" not in os.environ:
        raise UserError(
            "hardware.nodes needs a process on a node of its Slurm job, and this one is beside it: use srun or sbatch"
        )


def _on_every_node(nodes: int) -> list[str]:
    """The words before a command that start it once on every node of this Slurm job, beside this process's own job step."""
    if nodes == 1:
        return []
    cpus = os.environ.get("SLURM_CPUS_PER_TASK")
    shape = ["--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--mem=0", "--cpu-bind=none"]
    return ["srun", *shape, *([f"--cpus-per-task={cpus}"] if cpus else []), "--unbuffered", f"--wait={WAIT_SECONDS}"]
