"""Shared by the tests of translation data: small corpora in the original formats, and the real Multi30k."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from chtexp.config.translation import TranslationDataConfig
from chtexp.config.typed import describe
from chtexp.data.translation import TranslationData, prepare_translation

CONF = Path(__file__).parents[3] / "conf" / "data"
ENGLISH = ["A dog runs.", "Two men cook, don't they?", "A small girl climbs.", "It's the dog's house.", "He sings."]
GERMAN = [
    "Ein Hund läuft.",
    "Zwei Männer kochen, oder?",
    "Ein kleines Mädchen klettert.",
    "Es ist „sein“ Haus.",
    "Er singt.",
]


SUBWORDS = {
    "units": "subwords",
    "tokenisation": "moses",
    "lower_case": True,
}  # Multi30k as the usual preparations have it


@pytest.fixture(scope="session")
def config() -> Callable[..., TranslationDataConfig]:
    """The description in conf/data/<name>.yaml, with changes."""

    def described(corpus: str = "multi30k", /, **changes: object) -> TranslationDataConfig:
        return describe(
            TranslationDataConfig, yaml.safe_load((CONF / f"{corpus}.yaml").read_text())["data"] | changes, "data"
        )

    return described


@pytest.fixture
def write_lines() -> Callable[[Path, list[str]], Path]:
    """Write lines as a UTF-8 file, making its folder."""

    def write(path: Path, lines: list[str]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
        return path

    return write


@pytest.fixture
def small_multi30k(tmp_path, write_lines) -> Path:
    """A data root with a Multi30k of ten training pairs, five validation and three test pairs."""
    root = tmp_path / "root"
    for split, times, most in (("train", 2, 10), ("val", 1, 5), ("test_2016_flickr", 1, 3)):
        write_lines(root / f"multi30k/{split}.en", (ENGLISH * times)[:most])
        write_lines(root / f"multi30k/{split}.de", (GERMAN * times)[:most])
    return root


@pytest.fixture(scope="session", params=["words", "subwords"])
def real_multi30k(request, tmp_path_factory, config) -> TranslationData:
    """The real Multi30k in both units, each prepared once a session; skipped where its files are not at hand."""
    given = os.environ.get("CHTEXP_DATA")
    if not given or not (Path(given) / "multi30k" / "train.en.gz").exists():
        pytest.skip("CHTEXP_DATA is not set, or does not hold multi30k")
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(
        Path(given) / "multi30k", root / "multi30k", ignore=shutil.ignore_patterns("prepared-*", "test_2017*")
    )
    (root / "multi30k").chmod(0o755)
    described = config(**(SUBWORDS if request.param == "subwords" else {}))
    return prepare_translation(described, root, log=lambda _: None, cache=tmp_path_factory.mktemp("cache"))
