"""MLflow: parameters and metrics of a run, in whatever store MLFLOW_TRACKING_URI names."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus

from chtexp.config.run import Run
from chtexp.run.mirrors.flat import flat, identity, numbers, title

TAG = "chtexp.run"
KINDS = ("evaluation", "update")
LONGEST = 500  # letters of a parameter, which every store takes
MOST = 100  # parameters or metrics at a time


class MlflowMirror:
    """Sends config and metrics to MLflow, in the experiment `logger.project`.

    Steps are optimizer steps. A run that was resumed has one history: MLflow continues it, and
    records that it has are not sent again.

    Args:
        run: the run, with its folder and the settings of its logger.
    """

    def __init__(self, run: Run) -> None:
        self._client = MlflowClient()
        found = self._client.get_experiment_by_name(run.logger.project)
        experiment = found.experiment_id if found else self._client.create_experiment(run.logger.project)
        former = self._client.search_runs([experiment], f"tags.`{TAG}` = '{identity(run)}'", max_results=1)
        if former:
            self._run = former[0].info.run_id
            self._client.update_run(self._run, status=RunStatus.to_string(RunStatus.RUNNING))
        else:
            tags = {TAG: identity(run)}
            self._run = self._client.create_run(experiment, tags=tags, run_name=title(run)).info.run_id
            params = [Param(key, str(value)[:LONGEST]) for key, value in flat(run.config()).items()]
            for first in range(0, len(params), MOST):
                self._client.log_batch(self._run, params=params[first : first + MOST])
        self._next = {kind: self._last(kind) + 1 for kind in KINDS}
        for record in run.folder.read_metrics():
            self.record(record)

    def _last(self, kind: str) -> int:
        """The last step that MLflow has of a kind of records; -1 of none."""
        names = [name for name in self._client.get_run(self._run).data.metrics if name.startswith(f"{kind}/")]
        return max(
            (metric.step for name in names for metric in self._client.get_metric_history(self._run, name)), default=-1
        )

    def record(self, record: Mapping[str, object]) -> None:
        """Send the numbers of one record: under its kind, and those of layers under their names."""
        step, values = numbers(record)
        if step < self._next[str(record["kind"])]:
            return
        metrics = [Metric(name, float(value), 0, step) for name, value in values.items()]
        for first in range(0, len(metrics), MOST):
            self._client.log_batch(self._run, metrics=metrics[first : first + MOST])

    def finish(self, result: Mapping[str, object] | None) -> None:
        """End the MLflow run.

        Args:
            result: its reported metric becomes a tag; None: the run did not finish, and is marked as failed.
        """
        if result is not None:
            self._client.set_tag(self._run, "chtexp.metric", str(result["metric"]))
            self._client.set_tag(self._run, "chtexp.reported", str(result["reported"]))
        self._client.set_terminated(self._run, RunStatus.to_string(RunStatus.FINISHED if result else RunStatus.FAILED))
