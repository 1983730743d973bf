"""The YAML of every corpus, and what a description refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from chtexp.config.compose import compose_run
from chtexp.config.corpora import CORPORA
from chtexp.config.translation import TranslationDataConfig
from chtexp.errors import UserError

CONF = Path(__file__).parents[3] / "conf" / "data"


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_has_its_yaml(name, config):
    described = config(name)
    assert described.name == name
    text = (CONF / f"{name}.yaml").read_text()
    assert text.splitlines()[1].startswith(f"# {described.corpus.title}")
    assert list(yaml.safe_load(text)["data"]) == list(TranslationDataConfig.model_fields)  # every choice is said


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_brings_its_recipe_its_model_and_its_method(name):
    run = compose_run([f"data={name}"])
    assert (run.task.name, run.model.name, run.method.name) == ("translation", "transformer", "CHTss")
    assert run.model.feed_forward == run.data.feed_forward
    assert compose_run([f"data={name}", "method=transformer/set", "model=transformer_small"]).method.name == "SET"
    steps = {"multi30k": (5000, 1024, 1000, 0.25), "iwslt14": (20000, 10240, 6000, 2), "wmt17": (80000, 12000, 8000, 2)}
    rate = run.task.learning_rate
    assert (run.task.steps, run.task.batch_tokens, rate.warmup, rate.factor) == steps[name]


@pytest.mark.parametrize(
    ("corpus", "changes", "message"),
    [
        ("multi30k", {"name": "multi30"}, r"unknown translation data set 'multi30' \(did you mean 'multi30k'\?\)"),
        ("multi30k", {"validation_every": 23}, "Multi30k has validation files: data.validation_every must be null"),
        ("iwslt14", {"validation_every": None}, "IWSLT14 has no validation files: data.validation_every must say"),
        (
            "multi30k",
            {"normalise": "nfc"},
            "data.normalise should be 'none', 'apostrophes' or 'punctuation', not 'nfc'",
        ),
        ("multi30k", {"units": "letters"}, "data.units should be 'words' or 'subwords', not 'letters'"),
        ("multi30k", {"tokenisation": "spacy"}, "data.tokenisation should be 'whitespace' or 'moses', not 'spacy'"),
        ("multi30k", {"most_words": 4}, "data.most_words should be greater than or equal to 5, not 4"),
        ("multi30k", {"merges": 0}, "data.merges should be greater than 0, not 0"),
        ("multi30k", {"source": "de"}, "data.source should be 'en', not 'de'"),
        ("multi30k", {"lowercase": True}, "unknown key 'data.lowercase' .did you mean 'lower_case'"),
        ("iwslt14", {"cleaning": {"longest": 9}}, "data.cleaning.ratio is required"),
    ],
)
def test_a_wrong_value_is_one_clear_line(corpus, changes, message, config):
    with pytest.raises(UserError, match=message):
        config(corpus, **changes)
