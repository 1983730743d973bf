"""TensorBoard and MLflow hold what the run's folder holds, also of a run that was stopped; a tool that fails stops no run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from chtexp.config.run import Run
from chtexp.run.execute import execute

from .test_resume import Stopped, _stop_before_step, timeless

PLAIN = ("method=set", "hardware.execution=dense", "checkpoint.steps=1")
Scalars = Mapping[str, list[tuple[int, float]]]  # steps and values by name


def tensorboard(run: Run) -> Scalars:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run.folder.path / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def mlflow(run: Run) -> Scalars:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("chtexp")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.data.params["method/name"] == "SET"
    return {
        name: [(metric.step, metric.value) for metric in client.get_metric_history(found.info.run_id, name)]
        for name in found.data.metrics
    }


def assert_holds_what_the_folder_holds(held: Scalars, run: Run) -> None:
    for kind, keys in (("evaluation", ("accuracy", "density", "seconds")), ("update", ("density", "overlap", "itop"))):
        of_kind = [record for record in run.folder.read_metrics() if record["kind"] == kind]
        assert of_kind
        for key in keys:
            wanted = [(record["step"], record[key]) for record in of_kind if record[key] is not None]
            assert [step for step, _ in held[f"{kind}/{key}"]] == [step for step, _ in wanted]
            if key != "seconds":  # of the steps that were made again after the stop
                values = [value for _, value in held[f"{kind}/{key}"]]
                assert values == pytest.approx([value for _, value in wanted], rel=1e-6)
    assert any(name.startswith("update/layers/") for name in held)


@pytest.mark.filterwarnings("ignore")  # the tools' own
@pytest.mark.parametrize("read", [tensorboard, mlflow])
def test_a_run_that_was_stopped_has_one_history(
    read: Callable[[Run], Scalars], small_run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(read.__name__)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    without = timeless(execute(small_run(*PLAIN, f"paths.runs={tmp_path / 'without'}"), "test"))
    run = small_run(*PLAIN, f"logger={read.__name__}")
    with monkeypatch.context() as patched:
        _stop_before_step(patched, 8)
        with pytest.raises(Stopped):
            execute(run, "test")
    assert timeless(execute(run, "test")) == without, "a mirror changes nothing"
    assert "mirror failed" not in run.folder.log.read_text()
    assert_holds_what_the_folder_holds(read(run), run)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_tool_that_is_not_there_stops_no_run(name: str, small_run: Callable[..., Run], monkeypatch: Any) -> None:
    import sys

    monkeypatch.setitem(sys.modules, {"tensorboard": "torch.utils.tensorboard", "mlflow": "mlflow"}[name], None)
    monkeypatch.delitem(sys.modules, f"chtexp.run.mirrors.{name}", raising=False)
    run = small_run(*PLAIN, f"logger={name}")
    execute(run, "test")
    assert "note: the mirror failed and is left off" in run.folder.log.read_text()
    assert run.folder.finished() is not None
