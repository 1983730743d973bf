"""Labelled text that lies on this machine, for zero-shot evaluation without a network: RTE 1 to 3, and film review sentences.

RTE: I. Dagan, O. Glickman, B. Magnini, "The PASCAL recognising textual entailment challenge", 2005, and its two successors;
GLUE's RTE is made of their pairs. Reviews: B. Pang, L. Lee, "Seeing stars", ACL 2005, of which SST is made.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from chtexp.errors import UserError

Record = Mapping[str, str | int]
RTE_FILES = ("rte1_test.xml", "rte2_test.xml", "rte3_test.xml")
REVIEW_FILES = ("rt-polarity.neg", "rt-polarity.pos")  # by label
ENTAILS = {"TRUE": 0, "YES": 0, "FALSE": 1, "NO": 1, "UNKNOWN": 1}  # as GLUE: 0 is entailment


def read_labelled(name: str, root: Path | None) -> list[Record]:
    """Read the records of a labelled set.

    Args:
        name: one of LABELLED.
        root: of the data; the files lie in its folder zeroshot/.

    Raises:
        UserError: missing or broken files; the message names file and place.
    """
    if root is None:
        raise UserError(f"{name} needs a data folder: set CHTEXP_DATA or paths.data to one that holds zeroshot/")
    folder = root.expanduser() / "zeroshot"
    try:
        return list(LABELLED[name](folder))
    except OSError as error:
        raise UserError(f"{name}: {error.filename}: {error.strerror}; it belongs into {folder}") from None


def _rte(folder: Path) -> Iterator[Record]:
    """{"sentence1", "sentence2", "label"} of every test pair: label 0 if the first entails the second, 1 if not."""
    for file in RTE_FILES:
        path = folder / file
        try:
            pairs = ElementTree.fromstring(path.read_bytes()).findall("pair")
        except ElementTree.ParseError as error:
            raise UserError(f"{path} is no XML ({error})") from None
        for pair in pairs:
            said = pair.get("value") or pair.get("entailment") or ""
            first, second = (" ".join((pair.findtext(part) or "").split()) for part in ("t", "h"))
            if said not in ENTAILS or not first or not second:
                raise UserError(f"{path}: pair {pair.get('id')} has no text, no hypothesis, or is labelled '{said}'")
            yield {"sentence1": first, "sentence2": second, "label": ENTAILS[said]}


def _reviews(folder: Path) -> Iterator[Record]:
    """{"sentence", "label"} of every sentence: label 1 if it is positive."""
    for label, file in enumerate(REVIEW_FILES):
        path = folder / file
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8 (byte {error.start})") from None
        for line in lines:
            if line.strip():
                yield {"sentence": line.strip(), "label": label}


LABELLED: dict[str, Callable[[Path], Iterator[Record]]] = {"rte": _rte, "reviews": _reviews}
