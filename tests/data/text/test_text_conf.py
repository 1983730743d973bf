"""The YAML of every corpus, and what a description refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from chtexp.config.text import TextDataConfig
from chtexp.config.typed import identity
from chtexp.errors import UserError

CONF = Path(__file__).parents[3] / "conf" / "data"


@pytest.mark.parametrize("name", ["openwebtext", "c4", "webmix", "webtext63", "text"])
def test_every_corpus_has_its_yaml(name):
    text = (CONF / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n# ")
    described = yaml.safe_load(text)
    assert list(described["data"]) == list(TextDataConfig.model_fields)  # every choice is said
    assert described["data"]["name"] == name


def test_what_the_corpora_are(config):
    assert (config("openwebtext").hub, config("openwebtext").validation) == ("Skylion007/openwebtext", ())
    assert (config("c4").hub, config("c4").hub_config, config("c4").validation_share) == ("allenai/c4", "en", None)
    assert "stand-in for OpenWebText" in config("webtext63").title


def test_how_they_are_packed():
    for name in ("openwebtext", "c4"):  # as the paper's released code
        data = yaml.safe_load((CONF / f"{name}.yaml").read_text())["data"]
        assert (data["packing"], data["tokenizer"], data["vocabulary"]) == ("document", "google-t5/t5-base", 32_100)
    for name in ("webmix", "webtext63", "text"):
        assert yaml.safe_load((CONF / f"{name}.yaml").read_text())["data"]["packing"] == "stream"


def test_the_place_of_a_tokenizer_tells_no_runs_apart(config):
    given = {"tokenizer": "google-t5/t5-base", "tokenizer_documents": None}
    one, two = (config(**given, tokenizer_file=place) for place in ("/home/me/t5", None))
    assert identity(one) == identity(two)
    assert two.tokenizer_path == "tokenizers/google-t5/t5-base"
    assert identity(one) != identity(config(**given, packing="document"))


SHARED = {"train": ["a.jsonl"], "validation_share": 0.1}


@pytest.mark.parametrize(
    ("corpus", "changes", "message"),
    [
        ("text", {}, r"data.train must name the files of the corpus, e.g. data.train=\[corpus/\*.jsonl.gz\]"),
        (
            "text",
            {"train": ["a.csv"]},
            "'a.csv' has no known format; known are .jsonl, .jsonl.gz, .json, .json.gz, .txt",
        ),
        ("text", {"train": ["a.txt"], "validation": ["b.pdf"]}, "'b.pdf' has no known format"),
        (
            "text",
            {"train": ["a.txt"]},
            "text has no validation files: data.validation_share must say how many documents",
        ),
        ("text", SHARED | {"validation_share": 1.0}, "data.validation_share should be less than 1, not 1.0"),
        ("text", SHARED | {"vocabulary": 256}, "data.vocabulary is 256, but 'bpe' needs 257 or more"),
        (
            "text",
            SHARED | {"end_of_text": "</s>"},
            "data.end_of_text is for a given tokenizer: with 'bpe' it must be null",
        ),
        (
            "text",
            SHARED | {"tokenizer": "google-t5/t5-base", "tokenizer_documents": 9},
            "data.tokenizer_documents is for 'bpe': with a given tokenizer it must be null",
        ),
        (
            "text",
            SHARED | {"tokenizer_file": "tokenizers/t5"},
            "data.tokenizer_file is of a given tokenizer: set data.tokenizer to its name",
        ),
        (
            "text",
            SHARED | {"tokenizer": "/home/me/t5"},
            "data.tokenizer is a name, such as 'google-t5/t5-base', not '/home/me/t5'; data.tokenizer_file says where it lies",
        ),
        ("text", SHARED | {"tokenizer": "t5/tokenizer.json"}, "data.tokenizer is a name"),
        ("text", SHARED | {"packing": "documents"}, "data.packing should be 'stream' or 'document', not 'documents'"),
        ("text", SHARED | {"hub_config": "en"}, "data.hub_config is of a data set on the hub, but data.hub names none"),
        ("text", SHARED | {"plain_text": "lines"}, "data.plain_text should be 'file' or 'paragraphs', not 'lines'"),
        ("text", SHARED | {"documents": 0}, "data.documents should be greater than 0, not 0"),
        ("text", SHARED | {"name": "../x"}, "data.name should match pattern"),
        ("text", SHARED | {"vocabulry": 300}, "unknown key 'data.vocabulry' .did you mean 'vocabulary'"),
    ],
)
def test_a_wrong_value_is_one_clear_line(corpus, changes, message, config):
    with pytest.raises(UserError, match=message):
        config(corpus, **changes)
