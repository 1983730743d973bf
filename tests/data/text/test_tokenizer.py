"""Tokenizers learnt and given: round trips, the end of text, and what transformers makes of them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared_folders import error_of
from tokenizers import Tokenizer, models

from chtexp.data.text.tokenizer import END_OF_TEXT, TextTokenizer, given_file, given_tokenizer, learn_bpe

ENGLISH = ["the house of the dog", "the dog's house", "thethe 🙂 house\n\n\tthe   dog"] * 2


@pytest.fixture(scope="module")
def learnt() -> TextTokenizer:
    return learn_bpe(ENGLISH, 300)


@settings(max_examples=300)
@given(st.text())
def test_any_text_comes_back(text):
    tokenizer = learn_bpe(ENGLISH, 280)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.end_of_text not in ids
    assert all(0 <= one < tokenizer.vocabulary for one in ids)


def test_what_is_learnt(learnt):
    assert learnt.end_of_text == 0
    assert learnt.end_token == END_OF_TEXT
    assert 257 < learnt.vocabulary <= 300
    assert learn_bpe(ENGLISH, 260).vocabulary == 260
    assert learn_bpe(["abc def"], 300).vocabulary == 257  # a pair is merged when it is seen twice
    assert len(learnt.encode("the")) < 3
    assert len(learnt.encode("xyz")) == 3  # bytes
    assert learn_bpe(ENGLISH, 300).text() == learnt.text()


def test_documents_end_where_they_should(learnt):
    texts = ["the dog", "", "house"]
    tokens_T = learnt.encode_documents(texts)
    assert tokens_T.dtype == np.int64
    assert tokens_T.tolist() == [*learnt.encode("the dog"), 0, 0, *learnt.encode("house"), 0]
    assert learnt.encode_documents([]).tolist() == []
    assert learnt.decode(tokens_T) == f"the dog{END_OF_TEXT}{END_OF_TEXT}house{END_OF_TEXT}"


def test_the_end_of_text_written_in_a_text_is_text():
    tokenizer = learn_bpe([f"a{END_OF_TEXT}b"] * 50, 400)
    for text in (END_OF_TEXT, f"a{END_OF_TEXT}b", f"<{END_OF_TEXT}"):
        assert tokenizer.end_of_text not in tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.encode_documents([text] * 2).tolist().count(tokenizer.end_of_text) == 2


def unigram() -> Tokenizer:
    """Like T5's: the end of text is an ordinary entry that text can spell."""
    entries = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((c, -2.0) for c in "abc</>s ")]
    tokenizer = Tokenizer(models.Unigram(entries, unk_id=2))
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>", "<extra>"])
    return tokenizer


def test_an_end_of_text_that_text_can_spell_is_left_out(tmp_path):
    unigram().save(str(tmp_path / "tokenizer.json"))
    tokenizer = TextTokenizer.read(tmp_path / "tokenizer.json", "</s>")
    assert tokenizer.encode_documents(["ab</s>c"]).tolist() == [3, 4, 5, 1]
    assert tokenizer.vocabulary == len({*"abc</>s "}) + 4


# --- given tokenizers --------------------------------------------------------------------------------------


def given_config(config, path, **changes):
    return config(
        **{"tokenizer": "given", "tokenizer_file": str(path), "vocabulary": unigram().get_vocab_size()} | changes
    )


def test_a_file_and_a_folder(config, tmp_path):
    unigram().save(str(tmp_path / "tokenizer.json"))
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        tokenizer = given_tokenizer(given_config(config, path), None)
        assert (tokenizer.end_token, tokenizer.end_of_text) == ("</s>", 1)  # the first usual one
        assert tokenizer.encode("abd") == [3, 4, 2]
        assert given_file(given_config(config, path), None) == tmp_path / "tokenizer.json"
    assert given_file(config(), None) is None


def test_truncation_and_padding_of_a_given_tokenizer_are_off(config, tmp_path):
    tokenizer = unigram()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert given_tokenizer(given_config(config, tmp_path), None).encode_documents(["abcab", "a"]).tolist() == [
        3,
        4,
        5,
        3,
        4,
        1,
        3,
        1,
    ]


@pytest.mark.parametrize("token", ["<extra>", {"content": "<extra>", "special": True}])
def test_the_end_of_text_by_settings_and_by_description(config, tmp_path, token):
    unigram().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": token}))
    assert given_tokenizer(given_config(config, tmp_path), None).end_token == "<extra>"
    assert given_tokenizer(given_config(config, tmp_path, end_of_text="<pad>"), None).end_token == "<pad>"
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert given_tokenizer(given_config(config, tmp_path), None).end_token == "</s>"


def test_wrong_tokenizers(config, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text('{"model": 3}')
    assert error_of(given_tokenizer, given_config(config, path), None).startswith(
        f"{path} is no tokenizer of the library"
    )
    path.write_bytes(b"\xff")
    assert error_of(given_tokenizer, given_config(config, path), None).startswith(
        f"{path} is no tokenizer of the library"
    )
    unigram().save(str(path))
    size = unigram().get_vocab_size()
    assert error_of(given_tokenizer, given_config(config, path, vocabulary=32_000), None) == (
        f"data.vocabulary is 32000, but {path} has {size} entries; set data.vocabulary={size}"
    )
    message = error_of(given_tokenizer, given_config(config, path, end_of_text="<|end|>"), None)
    assert message == f"{path} has no token '<|end|>'; set data.end_of_text to the one that ends a text"
    (tmp_path / "tokenizer_config.json").write_text("[broken")
    assert error_of(given_tokenizer, given_config(config, path), None).startswith(
        f"{tmp_path}/tokenizer_config.json is no JSON"
    )
    (tmp_path / "tokenizer_config.json").unlink()
    bare = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    bare.save(str(path))
    assert "has no token '<|endoftext|> or </s> or" in error_of(
        given_tokenizer, given_config(config, path, vocabulary=1), None
    )


@pytest.mark.parametrize(
    ("file", "place"),
    [("tokenizers/mine/tokenizer.json", "tokenizers/mine"), (None, "tokenizers/some/t"), ("/", "elsewhere")],
)
def test_a_file_below_the_data_root_is_taken_before_the_hub(config, tmp_path, monkeypatch, file, place):
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)
    (tmp_path / place).mkdir(parents=True)
    unigram().save(str(tmp_path / place / "tokenizer.json"))
    file = str(tmp_path / place) if file == "/" else file
    described = given_config(config, None, tokenizer="some/t", tokenizer_file=file)
    assert given_file(described, tmp_path) == tmp_path / place / "tokenizer.json"
    assert given_tokenizer(described, tmp_path).special_tokens == ("</s>", "<pad>")


def test_padding_by_settings_and_without_any(config, tmp_path, learnt):
    unigram().save(str(tmp_path / "tokenizer.json"))
    for token, padding in (("<extra>", "<extra>"), ({"content": "</s>"}, "</s>"), ("<there is none>", "</s>")):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": token}))
        assert given_tokenizer(given_config(config, tmp_path), None).padding_token == padding
    assert (learnt.padding, learnt.padding_token) == (learnt.end_of_text, END_OF_TEXT)


def test_the_papers_vocabulary(config, real_root):
    if not (real_root / "tokenizers/t5/tokenizer.json").exists():
        pytest.skip("CHTEXP_DATA does not hold tokenizers/t5/tokenizer.json")
    described = config(
        "openwebtext",
        tokenizer="google-t5/t5-base",
        tokenizer_file="tokenizers/t5",
        vocabulary=32_100,
        tokenizer_documents=None,
    )
    tokenizer = given_tokenizer(described, real_root)
    assert (tokenizer.end_of_text, tokenizer.padding, tokenizer.vocabulary) == (1, 0, 32_100)
    assert tokenizer.encode_documents(["The house is wonderful."]).tolist() == [37, 629, 19, 1627, 5, 1]
    assert tokenizer.decode(tokenizer.encode("The house is wonderful.")) == "The house is wonderful."
    assert tokenizer.hugging_face().pad_token_id == 0


# --- transformers ------------------------------------------------------------------------------------------


def test_transformers_loads_what_is_saved(learnt, tmp_path):
    learnt.hugging_face().save_pretrained(tmp_path / "folder")
    code = """
import json, sys
from transformers import AutoTokenizer, PreTrainedTokenizerFast
one = AutoTokenizer.from_pretrained(sys.argv[1])
two = PreTrainedTokenizerFast(tokenizer_file=sys.argv[1] + "/tokenizer.json")
text = "the dog\\u2019s house \\U0001F642\\n"
print(json.dumps([one(text)["input_ids"], two(text)["input_ids"], one.eos_token, one.eos_token_id, len(one),
                  one.decode(one(text)["input_ids"]) == text]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "folder")], capture_output=True, text=True, timeout=120, check=True
    )
    ids = learnt.encode("the dog\u2019s house \U0001f642\n")
    assert json.loads(done.stdout.splitlines()[-1]) == [ids, ids, END_OF_TEXT, 0, learnt.vocabulary, True]


def test_words_are_cut_as_gpt2_cuts_them():
    merged = learn_bpe(["a dog's 12!?"] * 9, 400)  # so often that every word is one entry
    assert [merged.decode([one]) for one in merged.encode("a dog's 12!?")] == ["a", " dog", "'s", " 12", "!?"]
