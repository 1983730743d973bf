"""One run, from its description to `result.json`: start, resume, stop or fail; a finished run is skipped."""

from __future__ import annotations

import traceback

from chtexp.config.run import Run
from chtexp.errors import MISTAKE, UserError
from chtexp.run.done import done_already, whole_result
from chtexp.run.processes.launcher import Together, TogetherFailed
from chtexp.run.run_log import RunLog
from chtexp.run.work import Work
from chtexp.store import Damaged, RunFolder
from chtexp.store.damage import NoUsableCheckpoint
from chtexp.store.files import set_aside
from chtexp.system.signals import Stopped, StopSignals


class RunFailed(RuntimeError):
    """The training failed; the message says why, and where to read more."""


def execute(run: Run, command: str) -> dict[str, object]:
    """Train a run in its folder. A finished run is skipped, and an interrupted one resumes.

    A damaged result is reported, set aside, and made anew.

    Args:
        run: the run.
        command: what to type to do this again; it is kept with the result.

    Returns:
        The result, as result.json has it.

    Raises:
        UserError: the run cannot be trained as described; then no folder is left that was not there before.
        RunLocked: another process is at work on it.
        RunFailed: the training failed.
        Stopped: a signal asked the training to stop, and it did; a training under way saved a checkpoint before.
    """
    if (found := done_already(run)) is not None:
        return found.said
    folder = run.folder
    with StopSignals().heard() as signals, folder.claimed() as signs:
        if not run.overwrite and (done := whole_result(folder)) is not None:
            signs.start.end("done")
            return done.said
        log = RunLog(folder, signs.start, quiet=run.logger.quiet)
        if not run.overwrite:
            _set_damage_aside(folder, log)
        work = (Together if run.hardware.together else Work)(run, command, signals, signs, log)
        try:
            result = work.train()
        except Stopped as stopped:
            where = "before it was under way" if work.step is None else f"at step {work.step}"
            log.say(f"stopped {where} ({stopped.reason})")
            log.end(stopped.state, reason=stopped.reason, step=work.step, traceback="")
            raise
        except UserError as error:
            signs.of_no_use = error.exit_code == MISTAKE and work.step is None  # going on would repeat the mistake
            anew = {"begins_anew": True} if isinstance(error, NoUsableCheckpoint) else {}
            log.end("failed", reason=str(error), step=work.step, traceback=traceback.format_exc(), **anew)
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


def _set_damage_aside(folder: RunFolder, log: RunLog) -> None:
    """See that nothing damaged stands in the way of a result; say what did."""
    try:
        folder.finished()
    except Damaged as damage:
        log.say(f"{damage}; it is kept in {set_aside(damage.path)}, and the run goes on without it")
