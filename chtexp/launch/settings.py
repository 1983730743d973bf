"""Who carries a sweep out, described: `conf/launcher/*.yaml`, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from chtexp.errors import unknown
from chtexp.typed import Description, describe

Count = Annotated[int, Field(ge=1)]


class Serial(Description):
    """One run after the other, in this process."""

    name: Literal["serial"] = "serial"


class Local(Description):
    """Runs side by side in worker processes of this machine.

    workers: how many (None: one a GPU where runs want one, else one a core). threads: of each (None: the cores shared
    out). gpus: handed out one a worker (None: all that are visible).
    """

    name: Literal["local"] = "local"
    workers: Count | None = None
    threads: Count | None = None
    gpus: tuple[Annotated[str, BeforeValidator(str)], ...] | None = None


class Slurm(Description):
    """Jobs of a Slurm cluster, as one array; each job carries out `runs_per_job` runs, `parallel` of them at once.

    time: minutes of a job; memory: GiB of a job; cpus, gpus: of a job. setup: shell lines before the work begins.
    sbatch: further options as `sbatch --KEY=VALUE` takes them. jobs_at_once: of the array (None: what the cluster allows).
    signal_seconds: before the time is up, runs save themselves and the job is queued again, at most `requeues` times.
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
    sbatch: dict[str, Any] = Field(default_factory=dict)
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
    """launcher: who does it. max_failures: no further run starts once so many have failed (None: never stop for that)."""

    launcher: Any
    max_failures: Count | None = None


def describe_sweep(values: Mapping[str, Any]) -> SweepSettings:
    """SweepSettings of plain nested mappings; UserError names what is wrong, and what is allowed."""
    launcher = values.get("launcher")
    name = launcher.get("name") if isinstance(launcher, Mapping) else None
    if not isinstance(launcher, Mapping) or name not in LAUNCHERS:
        raise unknown("launcher", name, LAUNCHERS)
    return describe(SweepSettings, {**values, "launcher": describe(LAUNCHERS[name], launcher, "launcher")})
