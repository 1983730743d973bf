"""What was measured of images, kept: a later start reads two files instead of all images, and notices what has changed.

<cache>/images/<name>-<key>/      one for each place and way to read it; the key is their hash
    record.json     what was measured, small
    files.json      size, time and checksum of each file: read only where the listing of the files has changed
    split.json      which images are learned from and which tested on, by name, in the order of images.npz
    images.npz      the decoded images, as bytes

Shapes: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import JsonValue, TypeAdapter

from chtexp.errors import Unavailable, UserError
from chtexp.pictures.found import Found, Part, Pictures
from chtexp.pictures.record import FileSeen, Record, Stamp, checksum, listing_of
from chtexp.pictures.source import ImageSource
from chtexp.pictures.split import TEST_FRACTION, split_of
from chtexp.store import Damaged
from chtexp.store.files import read_as, write_atomically, write_json
from chtexp.system.locks import locked_if_possible
from chtexp.system.patience import said_if_slow

ADVICE = "set CHTEXP_CACHE or paths.cache to a folder that prepared images may be written to"
PLAIN = re.compile(r"[\w./~@+-]+")  # what needs no quotes in an override


class FilesChanged(UserError):
    """Images are not those that were measured.

    Attributes:
        reason: what changed, in words.
        kept: where they are kept.
    """

    def __init__(self, reason: str, kept: Kept) -> None:
        super().__init__(f"{reason}; '{kept.prepare}' measures them anew, and runs of them are other runs")
        self.reason, self.kept = reason, kept


@dataclass(frozen=True)
class Kept:
    """The place where what was measured of a source is kept.

    Attributes:
        kind: the name of the kind of source.
        source: the images as they were asked for.
        cache: the root of prepared data.
    """

    kind: str
    source: ImageSource
    cache: Path

    @property
    def asked(self) -> dict[str, JsonValue]:
        """What was asked for, as plain values."""
        return self.source.model_dump(mode="json")

    @property
    def folder(self) -> Path:
        """The folder."""
        described = json.dumps([Record.model_fields["version"].default, self.kind, self.asked], sort_keys=True)
        name = re.sub(r"[^\w.-]+", "-", self.source.title).strip("-.") or "images"
        return self.cache / "images" / f"{name}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"

    @property
    def prepare(self) -> str:
        """The command that measures anew."""
        asked = self.source.model_dump(mode="json", exclude_defaults=True)
        typed = [f"data.{key}={_as_typed(value)}" for key, value in asked.items()]
        return shlex.join(["chtexp", "prepare", f"data={self.kind}", *typed])

    # ------------------------------------------------------------------ what a run asks for

    def record(self) -> Record:
        """Look up what was measured; measure it, if it never was.

        Where the images are gone, the record stands for them.

        Raises:
            FilesChanged: the files are not those that were measured.
            UserError: there is nothing to measure, or something is wrong with it.
            Unavailable: a file cannot be read or written.
        """
        if not (self.folder / "record.json").exists():
            self.source.files()  # what is not there leaves nothing behind
        with self._mine():
            known = self._known()
            if known is None:
                return self._measure()
            if self.source.live and Pictures.of(*self._read()[1]).fingerprint() != known.fingerprint:
                return self._measure()
            place = self.source.place
            if place is None or not place.exists():
                return known
            stamps = self._stamps()
            if listing_of(stamps) != known.listing:
                known = self._same_after_all(known, stamps)
            return known

    def pictures(self, fingerprint: str) -> Pictures:
        """Load the images that have a fingerprint; read them again where they are not kept.

        Args:
            fingerprint: as the record has it.

        Raises:
            UserError: the images that are there have another fingerprint.
        """
        with self._mine():
            kept = self._loaded()
            if kept is None or kept.fingerprint() != fingerprint:
                pictures = Pictures.of(*self._read()[1])
                found = pictures.fingerprint()
                if found != fingerprint:
                    raise UserError(
                        f"the images of {self._where} are not those of this run: their fingerprint is {found}, and the run's is "
                        f"{fingerprint}"
                    )
                self._keep_images(pictures)
                return pictures
            return kept

    def verify(self) -> Record:
        """Compare every byte of the files with what was measured.

        Raises:
            FilesChanged: they are not those that were measured.
        """
        known = self.record()
        with self._mine():
            place = self.source.place
            if place is None or not place.exists():
                return known
            return self._same_after_all(known, self._stamps(), every_byte=True)

    def measure_anew(self) -> Record:
        """Measure the images as they are now."""
        with self._mine():
            return self._measure()

    # ------------------------------------------------------------------ parts

    @property
    def _where(self) -> str:
        place = self.source.place
        return str(place if place is not None else self.source.title)

    @property
    def _base(self) -> Path:
        """The folder that names of files begin at."""
        place = self.source.place or Path("/")
        return place.parent if place.is_file() else place

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """One process at a time; whatever the disk refuses is one line."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with locked_if_possible(self.folder.with_name(f".{self.folder.name}.lock")):
                yield
        except OSError as error:
            raise Unavailable(f"{error.filename or self.folder}: {error.strerror or error}; {ADVICE}") from None

    def _known(self) -> Record | None:
        """The record; None where there is none, or a damaged one."""
        try:
            return read_as(self.folder / "record.json", Record)
        except (FileNotFoundError, Damaged):
            return None

    def _loaded(self) -> Pictures | None:
        try:
            with (self.folder / "images.npz").open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return Pictures(**{name: file[name] for name in file})
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
            return None  # not there, or damaged: the images are read again

    def _stamps(self) -> dict[str, Stamp]:
        """Size and time of each file, by its name below `_base`."""
        stamps, skipped = {}, len(str(self._base)) + 1
        for path in self.source.files():
            status, name = os.stat(path), path[skipped:]
            if not name.isprintable():
                raise UserError(f"the name of {path!r} has characters that cannot be printed: rename it")
            stamps[name] = (status.st_size, status.st_mtime_ns)
        return stamps

    def _seen(self, stamps: Mapping[str, Stamp], trusted: Mapping[str, FileSeen]) -> dict[str, FileSeen]:
        """Read the checksums of files; those that are trusted are not read where size and time are what they were."""
        seen = {}
        for name, stamp in stamps.items():
            before = trusted.get(name)
            if before is None or before.stamp != stamp:
                before = FileSeen(bytes=stamp[0], written=stamp[1], sha256=checksum(self._base / name))
            seen[name] = before
        return seen

    def _same_after_all(self, known: Record, stamps: Mapping[str, Stamp], *, every_byte: bool = False) -> Record:
        """Compare contents: files that were only copied or touched are still those that were measured."""
        try:
            before = read_as(self.folder / "files.json", dict[str, FileSeen])
        except (FileNotFoundError, Damaged):
            raise FilesChanged(f"the checksums of the images in {self._where} are lost", self) from None
        with said_if_slow(f"comparing {len(stamps)} files of {self._where} with what was measured"):
            now = self._seen(stamps, {} if every_byte else before)
        changes = {
            "changed": [name for name in now if name in before and now[name].sha256 != before[name].sha256],
            "added": [name for name in now if name not in before],
            "removed": [name for name in before if name not in now],
        }
        said = [
            f"{len(names)} {what} ({min(names)}{', ...' if names[1:] else ''})"
            for what, names in changes.items()
            if names
        ]
        if said:
            raise FilesChanged(
                f"the images in {self._where} are not those that were measured on {known.measured[:10]}: {', '.join(said)}",
                self,
            )
        if listing_of(stamps) == known.listing:
            return known
        known = known.model_copy(update={"listing": listing_of(stamps)})
        with suppress(OSError):  # a cache that this person may only read: the next start compares again
            self._keep_record(known, now)
        return known

    def _measure(self) -> Record:
        stamps = self._stamps()
        found, (train, test) = self._read()
        pictures = Pictures.of(train, test)
        with said_if_slow(f"measuring the images of {self._where}"):
            measures = pictures.measures()
            seen = self._seen(stamps, {})
        if self._stamps() != stamps:
            raise FilesChanged(f"files of {self._where} changed while they were read", self)
        counts = (
            tuple(int(count) for count in np.bincount(part.labels, minlength=len(found.classes)))
            for part in (train, test)
        )
        train_counts, test_counts = counts
        fraction = self.source.test_fraction or TEST_FRACTION
        channels, rows, columns = pictures.train_images.shape[1:]
        record = Record(
            source=self.kind,
            asked=self.asked,
            measured=datetime.now(UTC).isoformat(timespec="seconds"),
            classes=found.classes,
            train_counts=train_counts,
            test_counts=test_counts,
            shape=(channels, rows, columns),
            mean=measures.mean,
            std=measures.std,
            fingerprint=pictures.fingerprint(),
            split="given" if found.test else f"{fraction:g} of each class held out for the test, by a hash of names",
            notes=found.notes,
            revision=found.revision,
            libraries={library: version(library) for library in ("pillow", "numpy")},
            listing=listing_of(stamps),
        )
        self._keep_images(pictures)
        write_json(self.folder / "split.json", {"train": list(train.names), "test": list(test.names)})
        self._keep_record(record, seen)
        return record

    def _read(self) -> tuple[Found, tuple[Part, Part]]:
        """What the source gives, and what is learned from and tested on."""
        with said_if_slow(f"reading the images of {self._where}, once"):
            found = self.source.read()
            return found, split_of(found, self.source.test_fraction)

    def _keep_images(self, pictures: Pictures) -> None:
        write_atomically(
            self.folder / "images.npz", lambda file: np.savez(file, allow_pickle=False, **pictures.arrays())
        )

    def _keep_record(self, record: Record, seen: Mapping[str, FileSeen]) -> None:
        """The record last: what it speaks of is there."""
        write_json(self.folder / "files.json", TypeAdapter(dict[str, FileSeen]).dump_python(dict(seen), mode="json"))
        write_json(self.folder / "record.json", record.model_dump(mode="json"))


def _as_typed(value: JsonValue) -> str:
    """A value in the syntax of overrides."""
    if isinstance(value, list):
        return f"[{','.join(map(_as_typed, value))}]"
    if isinstance(value, str) and not PLAIN.fullmatch(value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return str(value)
