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
    return config(**{"tokenizer": str(path), "vocabulary": unigram().get_vocab_size()} | changes)


def test_a_file_and_a_folder(config, tmp_path):
    unigram().save(str(tmp_path / "tokenizer.json"))
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        tokenizer = given_tokenizer(given_config(config, path))
        assert (tokenizer.end_token, tokenizer.end_of_text) == ("</s>", 1)  # the first usual one
        assert tokenizer.encode("abd") == [3, 4, 2]
        assert given_file(given_config(config, path)) == tmp_path / "tokenizer.json"
    assert given_file(config()) is None


def test_truncation_and_padding_of_a_given_tokenizer_are_off(config, tmp_path):
    tokenizer = unigram()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert given_tokenizer(given_config(config, tmp_path)).encode_documents(["abcab", "a"]).tolist() == [
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
    assert given_tokenizer(given_config(config, tmp_path)).end_token == "<extra>"
    assert given_tokenizer(given_config(config, tmp_path, end_of_text="<pad>")).end_token == "<pad>"
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert given_tokenizer(given_config(config, tmp_path)).end_token == "</s>"


def test_wrong_tokenizers(config, tmp_path):
    path = tmp_path / "tokenizer.json"
    assert error_of(given_tokenizer, given_config(config, path)).startswith(
        f"cannot read the tokenizer {path}: No such file"
    )
    assert error_of(given_tokenizer, given_config(config, tmp_path)).startswith(f"cannot read the tokenizer {path}: ")
    path.write_text('{"model": 3}')
    assert error_of(given_tokenizer, given_config(config, path)).startswith(f"{path} is no tokenizer of the library")
    path.write_bytes(b"\xff")
    assert error_of(given_tokenizer, given_config(config, path)).startswith(f"{path} is no tokenizer of the library")
    unigram().save(str(path))
    size = unigram().get_vocab_size()
    assert error_of(given_tokenizer, given_config(config, path, vocabulary=32_000)) == (
        f"data.vocabulary is 32000, but {path} has {size} entries; set data.vocabulary={size}"
    )
    message = error_of(given_tokenizer, given_config(config, path, end_of_text="<|end|>"))
    assert message == f"{path} has no token '<|end|>'; set data.end_of_text to the one that ends a text"
    (tmp_path / "tokenizer_config.json").write_text("[broken")
    assert error_of(given_tokenizer, given_config(config, path)).startswith(
        f"{tmp_path}/tokenizer_config.json is no JSON"
    )
    (tmp_path / "tokenizer_config.json").unlink()
    bare = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    bare.save(str(path))
    assert "has no token '<|endoftext|> or </s> or" in error_of(
        given_tokenizer, given_config(config, path, vocabulary=1)
    )


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
