"""Where the records of a training go: metrics.jsonl, the mirror (W&B) and the progress bar."""

from __future__ import annotations

from collections.abc import Mapping

from chtexp.run.mirror import Mirror
from chtexp.store.metric_lines import MetricLines
from chtexp.train.progress import ProgressLine


class Recorder:
    """Writes every record of a training to metrics.jsonl, the mirror (W&B) and the progress bar.

    Args:
        lines: the open metrics.jsonl.
        mirror: the mirror.
        progress: the progress bar.
    """

    def __init__(self, lines: MetricLines, mirror: Mirror, progress: ProgressLine) -> None:
        self._lines, self._mirror, self._progress = lines, mirror, progress

    def record(self, record: Mapping[str, object], step: int) -> None:
        """Write one record to metrics.jsonl, the mirror (W&B) and the progress bar.

        Args:
            record: an evaluation or a topology update, as JSON values by name.
            step: optimizer steps so far.
        """
        self._lines.write(record)
        self._mirror.record(record)
        if record["kind"] == "evaluation":
            self._progress.evaluated(step, record)
        else:
            self._progress.show(record)

    def advance(self) -> None:
        """Move the progress bar by one step."""
        self._progress.advance()

    def written(self) -> tuple[int, str]:
        """Sync metrics.jsonl to the disk, and return its size in bytes and its checksum."""
        self._lines.sync()
        return self._lines.size, self._lines.checksum

    def trained(self) -> None:
        """Remove the progress bar, because no more steps come."""
        self._progress.close()

    def close(self, result: Mapping[str, object] | None) -> None:
        """Close metrics.jsonl, the mirror and the progress bar.

        Args:
            result: for the mirror; None if the run did not finish.
        """
        self._progress.close()
        self._lines.close()
        self._mirror.finish(result)
