"""One run, from its description to `result.json`: start, resume, stop, fail or pass over what is done."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
import yaml

from chtexp.errors import UserError
from chtexp.experiments.cost import cost
from chtexp.experiments.description import Checkpointing, Run
from chtexp.experiments.environment import environment, provenance
from chtexp.experiments.mirror import Mirror, mirror_of
from chtexp.sparse import DynamicSparsity
from chtexp.stopping import Stopped, StopSignals
from chtexp.store import RunFolder
from chtexp.store.files import read_json, write_atomically, write_json
from chtexp.store.folder import MetricLines
from chtexp.store.starts import SignsOfLife
from chtexp.tasks import Task
from chtexp.train.checkpoint import Checkpoints, Unusable
from chtexp.train.loop import Judged, Training
from chtexp.train.progress import ProgressLine


class RunFailed(RuntimeError):
    """The training failed; its folder says why."""


def execute(run: Run, command: str) -> dict[str, Any]:
    """Train `run` in its folder and return its result; a run that is done is passed over, a started one resumed.

    command: what to type to do this again, kept beside the result. Raises UserError for what cannot be trained as
    described, RunLocked when another process is at work on it, RunFailed when the training fails, Stopped when a signal
    asked it to stop: it did, with a checkpoint.
    """
    cost(run)  # what cannot be trained is an error before there is a folder
    folder = run.folder
    if not run.overwrite and (result := folder.read_result()) is not None:
        print(f"done already: {folder.path}  (overwrite=true trains it again)")
        return result
    with StopSignals().heard() as signals, folder.claimed() as signs:
        if not run.overwrite and (result := folder.read_result()) is not None:
            signs.start.end("done")
            return result
        work = _Work(run, folder, command, signals, signs)
        try:
            result = work.train()
        except Stopped as stopped:
            work.say(f"stopped at step {work.step} ({stopped.reason})")
            work.end(stopped.state, stopped.reason)
            raise
        except UserError as error:
            work.end("failed", str(error), traceback.format_exc())
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            work.end("failed", reason, traceback.format_exc())
            work.log(traceback.format_exc())
            raise RunFailed(f"{reason}; the traceback is in {folder.log}") from error
        finally:
            work.close()
        signs.start.end("done")
        return result


class _Work:
    """One start of a run, and the observer of its training."""

    def __init__(self, run: Run, folder: RunFolder, command: str, signals: StopSignals, signs: SignsOfLife) -> None:
        self.run, self.folder, self.command = run, folder, command
        self._signals, self._signs = signals, signs
        self._checkpoints = Checkpoints(folder.checkpoints, self.say)
        self.step = 0
        self._saved_at = _Due(run.checkpoint)
        self._lines: MetricLines | None = None
        self._progress: ProgressLine | None = None
        self._mirror: Mirror | None = None
        self._result: dict[str, Any] | None = None

    def say(self, line: str) -> None:
        """To the person and to the log."""
        print(line, flush=True)
        self.log(line)

    def log(self, text: str) -> None:
        """To the log alone."""
        with suppress(OSError), self.folder.log.open("a") as file:  # a full disk must not hide what is said
            file.write(text + "\n")

    def end(self, state: str, reason: str, traceback: str = "") -> None:
        """Say how it ended, if it can still be said."""
        with suppress(OSError):
            self._signs.start.end(state, reason=reason, step=self.step, traceback=traceback)

    def train(self) -> dict[str, Any]:
        run, folder = self.run, self.folder
        with folder.commands.open("a") as file:
            file.write(self.command + "\n")
        device = _device(run)
        torch.manual_seed(run.seed)
        task, source = run.family.build_task(run, run.paths.data, device)
        self._signals.check()
        training = assemble(run, task, device)
        self._signals.check()
        if run.overwrite:
            folder.clear()  # only now: what cannot start must not cost what is there
        self._write_circumstances()
        if (state := self._checkpoints.load(device, self._check_metrics)) is not None:
            training.load_state_dict(state["training"])
            self._lines = MetricLines(folder.metrics, state["metrics_size"])
            self.say(f"resuming {folder.path} at step {training.step} of {task.total_steps}")
        else:
            if folder.metrics.exists():
                self.say("started before, but stopped before its first checkpoint (checkpoint.seconds): from the start")
            self._lines = MetricLines(folder.metrics)
            self.say(f"training {folder.path}, {task.total_steps} steps")
        self.step = training.step
        self._mirror = mirror_of(run, self.say)
        self._progress = ProgressLine(
            f"{run.data.name} {run.method.name} seed {run.seed}", task.total_steps, self.step, self.say
        )
        self._metric = task.metric
        judged = training.run(self)
        self._result = self._summary(training, task, judged, source)
        self._signs.check()
        folder.finish(self._result)
        self._result = folder.read_result()
        assert self._result is not None
        self.say(
            f"done: {task.metric} last {self._result['last']:.2f}, best {_shown(self._result['best'])}; {folder.result}"
        )
        return self._result

    def close(self) -> None:
        """Close all files; whatever happened."""
        self._checkpoints.finish()
        if self._progress:
            self._progress.close()
        if self._lines:
            self._lines.close()
        if self._mirror:
            self._mirror.finish(self._result)

    # ------------------------------------------------------------------ the observer of a training

    def record(self, record: Mapping[str, Any]) -> None:
        assert self._lines is not None and self._mirror is not None and self._progress is not None  # noqa: PT018
        self._stop_if_taken_over()
        self._lines.write(record)
        self._mirror.record(record)
        if record["kind"] == "evaluation":
            self._progress.evaluated(self.step, record, self._metric)

    def stepped(self, step: int) -> None:
        assert self._progress
        self.step = step
        self._stop_if_taken_over()
        self._progress.advance()

    def checkpoint(self, state: Callable[[], dict[str, Any]], *, last: bool) -> None:
        assert self._lines
        asked = self._signals.asked is not None
        if last or asked or (self._saved_at.due(self.step) and not self._checkpoints.busy):
            self._signs.check()
            self._lines.sync()
            saved = {"training": state(), "metrics_size": self._lines.size}
            self._checkpoints.save(saved, self.step, wait=last or asked)
            self._saved_at.now(self.step)
        self._signals.check()

    # ------------------------------------------------------------------ parts

    def _check_metrics(self, saved: Mapping[str, Any]) -> None:
        """Raise Unusable for a checkpoint whose metrics are no longer there: the run would lose lines for ever."""
        metrics = self.folder.metrics
        if (metrics.stat().st_size if metrics.exists() else 0) < saved["metrics_size"]:
            raise Unusable(f"does not fit {metrics.name}, which has lost lines since")

    def _stop_if_taken_over(self) -> None:
        if self._signs.taken_over:  # as the thread of signs saw, without a look at the disk in every step
            self._signs.check()

    def _write_circumstances(self) -> None:
        folder = self.folder
        write_atomically(
            folder.config,
            lambda file: file.write(yaml.safe_dump(self.run.config(), sort_keys=False).encode()),
        )
        starts = read_json(folder.environment) if folder.environment.exists() else []
        here = environment()
        if starts and starts[-1]["threads"] != here["threads"] and folder.checkpoints.exists():
            self.say(
                f"note: this run was begun with {starts[-1]['threads']} threads and goes on with {here['threads']}: it may end "
                "another way than an undisturbed one; set hardware.threads to keep them equal"
            )
        write_json(folder.environment, [*starts, here])
        folder.diff.unlink(missing_ok=True)
        if diff := provenance()["diff"]:
            folder.diff.write_text(diff)

    def _summary(self, training: Training, task: Task, judged: Judged, source: str) -> dict[str, Any]:
        run, sparsity = self.run, training.sparsity
        reported = judged.selected if task.validation_metric else judged.best
        per_position = 6.0 * task.positions(task.total_steps)
        mean_links = sparsity.link_steps / task.total_steps
        dense_weights = _linear_weights(training.model) - sparsity.pairs
        return {
            "id": run.id,
            "seed": run.seed,
            "data": run.data.name,
            "method": run.method.name,
            "budget": run.budget.name,
            "metric": task.metric,
            "higher_is_better": task.higher_is_better,
            "reported": reported,
            "selected_by": task.validation_metric or f"test {task.metric}",
            "last": judged.last[task.metric],
            "best": judged.best,
            "best_step": judged.best_step,
            "validation_selected": judged.selected,
            "validation_selected_step": judged.selected_step,
            "metrics": judged.last,
            "steps": training.step,
            "density": sparsity.density,
            "anp": sparsity.anp(),
            "itop": sparsity.itop(),
            "links": sparsity.links,
            "pairs": sparsity.pairs,
            "nonzeros": sum(int(parameter.count_nonzero()) for parameter in training.model.parameters()),
            "parameters": sum(parameter.numel() for parameter in training.model.parameters())
            + sum(
                layer.linear.in_features * layer.linear.out_features - layer.weight.numel() for layer in sparsity.layers
            ),
            "execution": sparsity.executed,
            "flops": {
                "dense": per_position * (sparsity.pairs + dense_weights),
                "sparse": per_position * (mean_links + dense_weights),
            },
            "state_sha256": _fingerprint(training.state_dict()),
            "data_source": source,
            "science": run.science,
            "command": self.command,
            "seconds": training.seconds,
            "environment": environment(),
        }


def assemble(run: Run, task: Task, device: torch.device) -> Training:
    """The training that `run` describes, before its first step; makes no folder."""
    family = run.family
    built = family.build_model(run)
    model = built.model.to(device)
    optimizer = family.build_optimizer(run.task, model)
    sparsity = DynamicSparsity(
        model,
        optimizer,
        run.method,
        total_steps=task.total_steps,
        update_interval=task.update_interval,
        seed=run.seed,
        layers=built.sparse_layers,
        chains=built.chains,
        features=task.features() if run.method.correlates_features else None,
        execution=run.hardware.sparse_execution,
        batch=task.positions(1),
    )
    rate = family.learning_rate(run, task.total_steps)
    return Training(model, task, optimizer, sparsity, rate, device=device, precision=run.hardware.precision)


class _Due:
    """When the next checkpoint is due."""

    def __init__(self, policy: Checkpointing) -> None:
        self._policy = policy
        self._time, self._step = time.monotonic(), 0

    def due(self, step: int) -> bool:
        late = time.monotonic() - self._time >= self._policy.seconds
        return late or (self._policy.steps is not None and step - self._step >= self._policy.steps)

    def now(self, step: int) -> None:
        self._time, self._step = time.monotonic(), step


def _device(run: Run) -> torch.device:
    if run.hardware.device == "cuda" and not torch.cuda.is_available():
        raise UserError("hardware.device is cuda, but torch finds no CUDA GPU here; use hardware=cpu")
    if run.hardware.threads:
        torch.set_num_threads(run.hardware.threads)
    return torch.device(run.hardware.device)


def _linear_weights(model: torch.nn.Module) -> int:
    """Weights of all linear layers as matrices, whatever their execution."""
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    return sum(linear.in_features * linear.out_features for linear in linears)


def _fingerprint(state: Mapping[str, Any]) -> str:
    """One hash of everything in a training's state but its clock: equal for two trainings that ended equal."""
    digest = hashlib.sha256()

    def take(key: str, value: Any) -> None:
        digest.update(key.encode())
        if isinstance(value, torch.Tensor):
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(value, Mapping):
            for name in value:
                take(f"{key}/{name}", value[name])
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                take(f"{key}/{index}", item)
        else:
            digest.update(repr(value).encode())

    take("", {key: value for key, value in state.items() if key != "seconds"})
    return digest.hexdigest()


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
