"""What a run leaves behind when it is done, as tests need it: whole, and made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chtexp.config.compose import compose_run
from chtexp.config.run import Run
from chtexp.store import Result, run_id

TABLE2 = Path(__file__).parents[1] / "results" / "earlier" / "multi30k-cpu.jsonl"

ENVIRONMENT = {
    "chtexp": "0", "commit": "0123456789abcdef", "uncommitted_changes": False, "cpu": "some CPU", "threads": 2, "gpus": [],
    "host": "h", "libraries": {"torch": "2.14.1"}, "system": "s",
}  # fmt: skip


def science(method: str = "SET", data: str = "mnist", fraction: float = 1.0, budget: str = "paper") -> dict[str, Any]:
    """What a run is of: `fraction` of the paper's length."""
    length = {"name": budget, "fraction": fraction, "train_limit": None, "test_limit": None}
    return {"data": data, "method": method, "budget": length}


def result(
    seed: int = 0, value: float | None = 97.5, of: dict[str, Any] | None = None, **changed: Any
) -> dict[str, Any]:
    """`result.json`, of schema 1, of a run of `of` (a `science`) that reports `value`; of a run known as ID without."""
    of = of or science()
    last = value if changed.get("last") is None else changed["last"]
    return {
        "id": run_id(changed.get("science", of)),
        "seed": seed, "data": of["data"], "method": of["method"], "budget": of["budget"]["name"],
        "metric": "accuracy", "higher_is_better": True, "reported": value, "last": value, "best": value, "best_step": 3,
        "selected_by": "test accuracy", "validation_selected": None, "metrics": {"accuracy": last}, "steps": 10, "links": 7,
        "density": 0.01, "anp": 0.25, "nonzeros": 1000, "seconds": 2.0, "execution": {"0": "csr"}, "data_source": "files",
        "command": f"chtexp train method={of['method']} seed={seed}", "science": of, "environment": ENVIRONMENT, **changed,
    }  # fmt: skip


ID = run_id(science())


def found(*arguments: Any, **changed: Any) -> Result:
    """`result`, as the store reads it."""
    return Result.of(result(*arguments, **changed))


def result_of(run: Run, value: float | None = 97.5, **changed: Any) -> dict[str, Any]:
    """`result` of a run that is described."""
    named = {"data": run.data.name, "method": run.method.name, "budget": run.budget.name}
    return result(run.seed, value, run.science, **{**named, **changed})


def table2_of_today(folder: Path) -> Path:
    """The four collected results of Table 2 as if today's configuration had made them, in a file in `folder`."""
    results = []
    for line in TABLE2.read_text().splitlines():
        found = json.loads(line)
        method, sparsity = f"transformer/{found['method'].lower()}", 0 if found["method"] == "FC" else 0.9
        of = [
            "data=multi30k",
            f"method={method}",
            f"method.sparsity={sparsity}",
            "model=transformer_small",
            "budget=cpu",
        ]
        run = compose_run(of)
        results.append({**found, "id": run.id, "science": run.science})
    path = folder / "table2.jsonl"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in results))
    return path
