"""What several test folders share: small runs that train in a second or two, and the command line as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chtexp.build import builder_of

sys.path.insert(0, str(Path(__file__).parent))  # modules that several test folders share

from subwords import SUBWORDS

from chtexp.config.compose import compose_run
from chtexp.config.run import Run

# An MLP of 64-40-40-40-10 on 160 of the embedded digits: 5 steps an epoch, 3 epochs.
SMALL = ("data=digits", "budget=smoke", "model.hidden=[40,40,40]", "budget.train_limit=160", "hardware.threads=1")


@pytest.fixture
def small_run(tmp_path: Path) -> Callable[..., Run]:
    """A small run in a folder of its own, with overrides."""

    def describe(*overrides: str) -> Run:
        sparsity = (
            () if any(o.startswith(("method.sparsity", "method=fc")) for o in overrides) else ("method.sparsity=0.8",)
        )
        return compose_run([*SMALL, *sparsity, f"paths.runs={tmp_path}/runs", *overrides])

    return describe


@pytest.fixture
def chtexp(tmp_path: Path, monkeypatch, capfd) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line in this process, which has loaded what it needs; its runs in a folder of their own."""
    from chtexp.cli import main

    def call(*arguments: str, check: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with monkeypatch.context() as here:
            here.chdir(tmp_path)
            for name, value in {"CHTEXP_RUNS": str(tmp_path / "runs"), **environment}.items():
                here.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        code = ended.value.code or 0
        said = capfd.readouterr()
        assert code == check, said.out + said.err
        return subprocess.CompletedProcess(arguments, check, said.out, said.err)

    return call


@pytest.fixture
def chtexp_process(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line in a process of its own, its runs in a folder of their own."""

    def call(*arguments: str, check: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"CHTEXP_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1", **environment}
        done = subprocess.run(
            [sys.executable, "-m", "chtexp", *arguments],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=tmp_path,
            env={**os.environ, **own},
            check=False,
        )
        if check is not None:
            assert done.returncode == check, done.stdout + done.stderr
        return done

    return call


ENGLISH = ["A dog runs.", "Two men cook.", "A small girl climbs.", "It is the house of a dog.", "He sings."]
GERMAN = ["Ein Hund läuft.", "Zwei Männer kochen.", "Ein kleines Mädchen klettert.", "Es ist sein Haus.", "Er singt."]
SMALL_TRANSLATION = (
    "data=multi30k", "model=transformer_small", "model.width=32", "model.feed_forward=48", "model.heads=2",
    "model.encoder_layers=1", "model.decoder_layers=1", "budget=smoke", "task.steps=700", "task.batch_tokens=40",
    "hardware.threads=1", "method.sparsity=0.5",
)  # fmt: skip


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory) -> Path:
    """A data root with a Multi30k of five sentences, of which every split holds all, prepared as words and as sub-words."""
    root = tmp_path_factory.mktemp("corpus")
    for split in ("train", "val", "test_2016_flickr"):
        for language, lines in (("en", ENGLISH), ("de", GERMAN)):
            path = root / "multi30k" / f"{split}.{language}"
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines))
    for units in ((), SUBWORDS):
        run = compose_run([*SMALL_TRANSLATION, *units, f"paths.data={root}", "paths.cache=null"])
        builder_of(run).prepare()
    return root


TEXTS = [
    "Once there was a king who had three sons.",
    "The sun rose over the hill.",
    "A dog and a cat lived in a house.",
]
SMALL_TEXT = (
    "data=text", "data.validation_share=0.3", "data.vocabulary=300", "data.sequence_length=16", "model=llama_nano",
    "model.width=32", "model.feed_forward=48", "model.layers=1", "model.heads=2", "budget=smoke", "task.steps=700",
    "task.learning_rate.warmup=1500", "task.batch=8", "task.at_once=4", "task.evaluations=3", "hardware.threads=1",
    "method.sparsity=0.5",
)  # fmt: skip


@pytest.fixture(scope="session")
def small_text_corpus(tmp_path_factory) -> Path:
    """A data root with sixty short texts, prepared."""
    root = tmp_path_factory.mktemp("texts")
    lines = [json.dumps({"text": f"{text} {number} {text}"}) for number in range(20) for text in TEXTS]
    (root / "texts.jsonl").write_text("\n".join(lines) + "\n")
    run = compose_run([*SMALL_TEXT, "data.train=[texts.jsonl]", f"paths.data={root}", "paths.cache=null"])
    builder_of(run).prepare()
    return root


@pytest.fixture
def small_text(tmp_path: Path, small_text_corpus: Path) -> Callable[..., Run]:
    """A small run of language modelling in a folder of its own, 21 steps, with overrides."""

    def describe(*overrides: str) -> Run:
        dense = [] if "method=llama/fc" not in overrides else ["method.sparsity=0"]
        where = [
            "data.train=[texts.jsonl]",
            f"paths.data={small_text_corpus}",
            "paths.cache=null",
            f"paths.runs={tmp_path}/runs",
        ]
        chosen = {word.partition("=")[0]: word for word in [*SMALL_TEXT, *where, *dense, *overrides]}
        return compose_run(list(chosen.values()))

    return describe


@pytest.fixture
def small_translation(tmp_path: Path, small_corpus: Path) -> Callable[..., Run]:
    """A small translation run in a folder of its own, 21 steps, with overrides."""

    def describe(*overrides: str) -> Run:
        dense = [] if "method=transformer/fc" not in overrides else ["method.sparsity=0"]
        typed = [*SMALL_TRANSLATION, f"paths.data={small_corpus}", "paths.cache=null", f"paths.runs={tmp_path}/runs"]
        chosen = {word.partition("=")[0]: word for word in [*typed, *dense, *overrides]}
        return compose_run(list(chosen.values()))

    return describe
