"""Commands that train nothing answer at once: their CPU time against that of loading torch, in turns."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

ALL = sorted((Path(__file__).parents[2] / "results").rglob("*.jsonl"))
RESULTS = Path(__file__).parents[2] / "results" / "campaign.jsonl"
RUN = ["train", "data=digits", "method=set", "budget=smoke", "hardware.threads=1"]
BARS = {  # CPU seconds a second of `import torch`
    ("status",): 0.7,
    ("plan", "table7"): 0.7,
    ("table", "table7", "--results", str(RESULTS)): 0.7,
    ("paper", "--results", str(RESULTS)): 0.7,
    tuple(RUN): 0.7,
    ("train", "data=mnist", "--cfg", "job"): 1.0,
    ("report", *(word for path in ALL for word in ("--results", str(path)))): 3.0,
}


def cpu_seconds(words: list[str], folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "CHTEXP_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.timing
def test_what_trains_nothing_takes_less_than_loading_torch(tmp_path: Path) -> None:
    cpu_seconds(["-m", "chtexp", *RUN], tmp_path)  # so that there is a run, which is done
    torch: list[float] = []
    commands: dict[tuple[str, ...], list[float]] = {words: [] for words in BARS}
    for _ in range(5):
        torch.append(cpu_seconds(["-c", "import torch"], tmp_path))
        for words, seconds in commands.items():
            seconds.append(cpu_seconds(["-m", "chtexp", *words], tmp_path))
    ratios = {words: median(seconds) / median(torch) for words, seconds in commands.items()}
    assert all(ratio < BARS[words] for words, ratio in ratios.items()), ratios
