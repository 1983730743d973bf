"""Checkpoints: plain values and tensors, loaded with `weights_only=True`; each file is named by its step and its checksum.

A file gets its name only after it was written, read back and found correct, and the checkpoint before is kept beside it. So at
any moment, and whatever is damaged later, the newest file whose content fits its name is a whole checkpoint.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import torch

from chtexp.store import Damaged
from chtexp.store.damage import NoUsableCheckpoint
from chtexp.store.files import put_in_place, set_aside
from chtexp.store.folder import remove
from chtexp.train.saved import Loaded, RandomState, Saved, SelectedWeights

NAME = re.compile(r"step-(\d+)\.([0-9a-f]{16})\.pt")
KEPT = 2  # checkpoints


class Unusable(RuntimeError):
    """A checkpoint that the training cannot resume from. The message says what is wrong, and follows the checkpoint's name."""


class Checkpoints:
    """The checkpoints in a folder.

    Args:
        folder: made when the first checkpoint is written.
        say: receives a line about each checkpoint that cannot be used or could not be written.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._writing: threading.Thread | None = None

    def load(self, device: torch.device, check: Callable[[Saved], object] = lambda state: None) -> Loaded | None:
        """Load the newest checkpoint that is whole and passes a check.

        Args:
            device: where its tensors are wanted.
            check: raises Unusable for a checkpoint that the training cannot resume from.

        Returns:
            The checkpoint, with the name of its file; None if there is no checkpoint.

        Raises:
            NoUsableCheckpoint: there are checkpoints, but none can be used.
        """
        faults: dict[Path, Unusable] = {}
        paths = [self._folder / name for name in self._names()]
        for path in paths:
            try:
                state = _load(path, device)
                check(state)
            except Unusable as fault:
                faults[path] = fault
                self._say(f"checkpoint {path} {fault}" + ("; trying the one before" if path != paths[-1] else ""))
                continue
            for useless in faults:
                useless.replace(useless.with_suffix(".unusable"))  # so that it is not one of the two that are kept
            return {**state, "name": path.name}
        if faults:
            found = "; ".join(f"{path.name} {fault}" for path, fault in faults.items())
            raise NoUsableCheckpoint(
                f"no checkpoint in {self._folder} can be used: {found}; overwrite=true trains the run from the start"
            )
        return None

    def read(self, name: str, device: torch.device) -> Saved:
        """Read one checkpoint, which another process found to be whole.

        Args:
            name: of its file.
            device: where its tensors are wanted.

        Returns:
            The checkpoint.

        Raises:
            Unusable: it is damaged.
        """
        return _load(self._folder / name, device)

    def save(self, state: Mapping[str, object], step: int, *, wait: bool) -> None:
        """Write a checkpoint.

        Args:
            state: what to write: tensors and plain values. Later changes to it are not written.
            step: optimizer steps so far.
            wait: whether to return only when the checkpoint is on disk. Otherwise a thread writes a copy; a failure is
                reported, and costs nothing but this checkpoint.

        Raises:
            OSError: the checkpoint could not be written; only if `wait` is set.
        """
        self.finish()
        if wait:
            self._write(state, step)
            return
        copy = _copied(state)
        self._writing = threading.Thread(target=self._try_to_write, args=(copy, step), name="checkpoint")
        self._writing.start()

    def finish(self) -> None:
        """Wait until the checkpoint that is being written is on disk."""
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._writing is not None and self._writing.is_alive()

    def _try_to_write(self, state: object, step: int) -> None:
        try:
            self._write(state, step)
        except Exception as error:
            self._say(f"the checkpoint of step {step} could not be written ({error}); the one before is kept")

    def _write(self, state: object, step: int) -> None:
        if not self._folder.is_dir():
            if self._folder.exists():  # a file that nobody meant to be there
                set_aside(self._folder)
            self._folder.mkdir(parents=True)
        unfinished = self._folder / f".step-{step}.{os.getpid()}.part"
        try:
            with unfinished.open("wb") as file:
                hashing = _Hashing(file)
                try:
                    torch.save(state, hashing)  # type: ignore[arg-type]
                except RuntimeError as error:  # what torch makes of a full disk
                    raise hashing.error or error from None
                file.flush()
                os.fsync(file.fileno())
            if _checksum(unfinished) != hashing.checksum:
                raise OSError(5, "what was written reads back as something else")
            put_in_place(unfinished, self._folder / f"step-{step:09d}.{hashing.checksum}.pt")
        finally:
            unfinished.unlink(missing_ok=True)
        for name in self._names()[KEPT:]:
            remove(self._folder / name)

    def _names(self) -> list[str]:
        """The names of all checkpoints, the newest first."""
        if not self._folder.is_dir():
            return []
        names = [name for name in os.listdir(self._folder) if NAME.fullmatch(name)]
        return sorted(names, key=lambda name: int(_match(name)[1]), reverse=True)


class _Hashing:
    """A file that computes the checksum of what is written to it, and keeps the last error."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()[:16]


def _match(name: str) -> re.Match[str]:
    match = NAME.fullmatch(name)
    assert match
    return match


def _load(path: Path, device: torch.device) -> Saved:
    try:
        if _checksum(path) != _match(path.name)[2]:
            raise Unusable("is damaged: it is not what its checksum says")
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror or error})") from None
    try:
        state: Saved = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever torch raises for a file that is none of its own
        raise Unusable(f"cannot be read ({type(error).__name__}: {error})".partition("\n")[0]) from None
    return state


def load_weights(path: Path, device: torch.device) -> SelectedWeights:
    """Load the weights of a selected model.

    Args:
        path: of the file, selected.pt.
        device: where the weights are wanted.

    Returns:
        The weights, and the step at which the model was selected.

    Raises:
        Damaged: the file cannot be read, or a part of it is not what its checksum says.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            wrong = parts.testzip()
        if wrong is None:
            state: SelectedWeights = torch.load(path, map_location=device, weights_only=True)
            return state
    except (OSError, ValueError, RuntimeError, KeyError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
        raise Damaged(path, f"cannot be read ({said or error})") from None
    raise Damaged(path, f"is damaged: {wrong} is not what its checksum says")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _copied(value: object) -> object:
    """`value` with every tensor copied to the CPU, so that training may go on."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value


def random_state() -> RandomState:
    """Return the state of torch's global random generators, from which dropout draws."""
    state: RandomState = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: RandomState) -> None:
    """Set torch's global random generators to a state that `random_state` returned."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
