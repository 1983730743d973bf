"""Checkpoints: plain values and tensors, loaded with `weights_only=True`; each file is named by its step and its checksum.

A file gets its name only when it was written, read back and found to be what was meant; the one before is kept beside it.
So at any moment, and whatever is damaged later, the newest file that fits its name is a whole checkpoint.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from chtexp.store.files import put_in_place

NAME = re.compile(r"step-(\d+)\.([0-9a-f]{16})\.pt")
KEPT = 2


class Unusable(RuntimeError):
    """A checkpoint that the training cannot go on from. Says what is wrong, to be read after the checkpoint's name."""


class Checkpoints:
    """The checkpoints in a folder. say: told of unusable ones, and of those that could not be written."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._writing: threading.Thread | None = None

    def load(
        self, device: torch.device, check: Callable[[dict[str, Any]], object] = lambda state: None
    ) -> dict[str, Any] | None:
        """The newest checkpoint that is whole and passes `check`, its tensors on `device`, and its `name`; None if there is none.

        check: raises Unusable for a state that the training cannot go on from. Raises RuntimeError when there are
        checkpoints, and none can be used.
        """
        faults: dict[Path, Unusable] = {}
        for path in (self._folder / name for name in self._names()):
            try:
                state = _load(path, device)
                check(state)
            except Unusable as fault:
                faults[path] = fault
                self._say(f"checkpoint {path} {fault}; trying the one before")
                continue
            for useless in faults:
                useless.replace(useless.with_suffix(".unusable"))  # so that it is not one of the two that are kept
            return {**state, "name": path.name}
        if faults:
            found = "; ".join(f"{path.name} {fault}" for path, fault in faults.items())
            raise RuntimeError(
                f"no checkpoint in {self._folder} can be used: {found}. Remove them to train from the start"
            )
        return None

    def read(self, name: str, device: torch.device) -> dict[str, Any]:
        """The checkpoint of this name, which another process found to be whole."""
        return _load(self._folder / name, device)

    def save(self, state: Mapping[str, Any], step: int, *, wait: bool) -> None:
        """Write a checkpoint of `state` as it is now.

        wait: until it is on disk; raises OSError when it could not be written. Otherwise a thread writes a copy, and a
        failure is said, and the next checkpoint tried as usual.
        """
        self.finish()
        if wait:
            self._write(state, step)
            return
        copy = _copied(state)
        self._writing = threading.Thread(target=self._try_to_write, args=(copy, step), name="checkpoint")
        self._writing.start()

    def finish(self) -> None:
        """Wait for what is being written."""
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    @property
    def busy(self) -> bool:
        """Whether one is being written."""
        return self._writing is not None and self._writing.is_alive()

    def _try_to_write(self, state: Mapping[str, Any], step: int) -> None:
        try:
            self._write(state, step)
        except Exception as error:
            self._say(f"the checkpoint of step {step} could not be written ({error}); the one before is kept")

    def _write(self, state: Mapping[str, Any], step: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
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
            (self._folder / name).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        """The newest first."""
        if not self._folder.is_dir():
            return []
        names = [name for name in os.listdir(self._folder) if NAME.fullmatch(name)]
        return sorted(names, key=lambda name: int(_match(name)[1]), reverse=True)


class _Hashing:
    """A file that knows the checksum of what was written to it."""

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


def _load(path: Path, device: torch.device) -> dict[str, Any]:
    if _checksum(path) != _match(path.name)[2]:
        raise Unusable("is damaged: it is not what its checksum says")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _copied(value: Any) -> Any:
    """`value` with every tensor copied to the CPU: training may go on."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value


def random_state() -> dict[str, Any]:
    """The state of torch's global generators (dropout draws from them)."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Set torch's global generators to what `random_state` returned."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
