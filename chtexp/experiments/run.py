"""One run, from its description to `result.json`: start, resume, stop, fail or pass over what is done."""

from __future__ import annotations

import traceback
from typing import Any

from chtexp.errors import UserError
from chtexp.experiments.cost import cost
from chtexp.experiments.description import Run
from chtexp.experiments.run_log import RunLog
from chtexp.experiments.together import Together, TogetherFailed
from chtexp.experiments.work import Work
from chtexp.stopping import Stopped, StopSignals
from chtexp.store.damage import whole_result


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
    if not run.overwrite and (result := whole_result(folder)) is not None:
        print(f"done already: {folder.path}  (overwrite=true trains it again)")
        return result
    with StopSignals().heard() as signals, folder.claimed() as signs:
        if not run.overwrite and (result := whole_result(folder)) is not None:
            signs.start.end("done")
            return result
        log = RunLog(folder, signs.start, quiet=run.logger.quiet)
        work = (Together if run.hardware.together else Work)(run, command, signals, signs, log)
        try:
            result = work.train()
        except Stopped as stopped:
            where = "before it was under way" if work.step is None else f"at step {work.step}"
            log.say(f"stopped {where} ({stopped.reason})")
            log.end(stopped.state, reason=stopped.reason, step=work.step, traceback="")
            raise
        except UserError as error:
            log.end("failed", reason=str(error), step=work.step, traceback=traceback.format_exc())
            raise
        except Exception as error:
            if isinstance(error, TogetherFailed):
                reason, details = error.reason, error.traceback
            else:
                reason, details = f"{type(error).__name__}: {error}", traceback.format_exc()
            log.end("failed", reason=reason, step=work.step, traceback=details)
            log.write(details)
            raise RunFailed(f"{reason}; more in {folder.log}") from error
        finally:
            work.close()
        signs.start.end("done")
        return result
