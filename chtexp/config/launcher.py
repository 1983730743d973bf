"""Who carries a sweep out, described: `conf/launcher/*.yaml`, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from chtexp.config.typed import Description, describe
from chtexp.errors import unknown

Count = Annotated[int, Field(ge=1)]


class Serial(Description):
    """One run after the other, in this process."""

    name: Literal["serial"] = "serial"


class Local(Description):
    """Runs side by side in worker processes of this machine.

    Attributes:
        name: `local`.
        workers: processes; None: one for each GPU where runs want one, else one for each core.
        threads: of each worker; None: the cores, shared out.
        gpus: handed out to one worker each; None: all that are visible.
    """

    name: Literal["local"] = "local"
    workers: Count | None = None
    threads: Count | None = None
    gpus: tuple[Annotated[str, BeforeValidator(str)], ...] | None = None


class Slurm(Description):
    """Jobs of a Slurm cluster, as one array.

    Attributes:
        name: `slurm`.
        time: of a job, in minutes.
        memory: of a job, in GiB; None: what the cluster gives.
        cpus: of a job.
        gpus: of a job.
        partition, account, qos, constraint: as sbatch takes them; None: the cluster's defaults.
        setup: shell lines before the work begins.
        sbatch: further options as `sbatch --KEY=VALUE` takes them.
        runs_per_job: runs that each job carries out.
        parallel: how many of them at once.
        jobs_at_once: jobs of the array that run at once; None: what the cluster allows.
        signal_seconds: so long before the time is up, runs save themselves and the job is queued again.
        requeues: how often at the most.
    """

    name: Literal["slurm"] = "slurm"
    time: Count = 240
    memory: Annotated[float, Field(gt=0)] | None = 8
    cpus: Count = 4
    gpus: Annotated[int, Field(ge=0)] = 0
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    setup: tuple[str, ...] = ()
    sbatch: dict[str, object] = Field(default_factory=dict)
    runs_per_job: Count = 1
    parallel: Count = 1
    jobs_at_once: Count | None = None
    signal_seconds: Count = 120
    requeues: Annotated[int, Field(ge=0)] = 100

    @model_validator(mode="after")
    def _time_to_work(self) -> Slurm:
        if self.signal_seconds >= 60 * self.time:
            raise ValueError(
                f"launcher.signal_seconds ({self.signal_seconds}) must be less than launcher.time ({self.time} minutes): "
                "nothing would be done before the signal"
            )
        return self


LAUNCHERS: dict[str, type[Description]] = {"serial": Serial, "local": Local, "slurm": Slurm}
Launcher = Serial | Local | Slurm


class SweepSettings(Description):
    """How a sweep is carried out.

    Attributes:
        launcher: who carries it out.
        max_failures: no further run starts once so many have failed; None: failures never stop it.
    """

    launcher: Annotated[Launcher, Field(discriminator="name")]
    max_failures: Count | None = None


def describe_sweep(values: Mapping[str, object]) -> SweepSettings:
    """Describe a sweep by plain nested mappings.

    Args:
        values: the fields of `SweepSettings`.

    Raises:
        UserError: an unknown launcher, key or value; the message says what is allowed.
    """
    launcher = values.get("launcher")
    name = launcher.get("name") if isinstance(launcher, Mapping) else None
    if not isinstance(launcher, Mapping) or name not in LAUNCHERS:
        raise unknown("launcher", name, LAUNCHERS)
    return describe(SweepSettings, {**values, "launcher": describe(LAUNCHERS[name], launcher, "launcher")})
