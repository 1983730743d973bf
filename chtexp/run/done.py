"""What is known of a run before the code that trains is loaded: whether it can be trained, and whether it is done."""

from __future__ import annotations

from chtexp.config.run import Run
from chtexp.cost.count import cost
from chtexp.store import Damaged, Result, RunFolder


def done_already(run: Run) -> Result | None:
    """Look up the result of a run, and tell the person if there is one.

    Args:
        run: the run.

    Returns:
        The result; None if the run is to be trained.

    Raises:
        UserError: the run cannot be trained as described.
    """
    result = None if run.overwrite else whole_result(run.folder)
    if result is None:
        cost(run)  # what cannot be trained is an error before there is a folder
    else:
        print(f"done already: {run.folder.path}  (overwrite=true trains it again)")
    return result


def whole_result(folder: RunFolder) -> Result | None:
    """Read the result in a run's folder; None if there is none, or if it is damaged."""
    try:
        return folder.finished()
    except Damaged:
        return None
