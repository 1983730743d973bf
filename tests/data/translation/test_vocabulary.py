"""Text to numbers and back: hand-written cases, every text of Unicode, and the real corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chtexp.data.translation import Vocabulary, moses
from chtexp.data.translation.moses import Moses, chunked, tokenise_pairs
from chtexp.data.translation.raw import Pair
from chtexp.data.translation.tokenisation import Whitespace
from chtexp.data.translation.units import SPECIAL, learn_bpe, learn_words

LINES = ["low low low lower lower", "newest widest newest", "<pad> <eos> <pad> <eos> pad"] * 3
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary([learn_bpe(LINES, 50)], Moses("en", "none", True), Moses("de", "none", True))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's the dog's house, isn't it?", "it 's the dog 's house , isn 't it ?"),
        ("Mr. Smith paid 5,300.20 (in cash)...", "mr. smith paid 5,300.20 ( in cash ) ..."),
        ('AT&T | [x] <b> "quoted" &amp;', 'at & t | [ x ] < b > " quoted " & amp ;'),
        ("a\u00a0b\u2028c\td\u0085e", "a b c d e"),
    ],
)
def test_moses_tokens_by_hand(text, tokens):
    assert Moses("en", "none", lower_case=True).tokenise(text) == tokens


def test_normalisers():
    text = "„It’s“ — 5…"
    assert Moses("en", "none", False).tokenise(text) == "„ It ’ s “ — 5 …"
    assert Moses("en", "apostrophes", False).tokenise(text) == "„ It 's “ — 5 …"
    assert Moses("en", "punctuation", False).tokenise(text) == '" It \'s " - 5 ...'


def test_detokenised_as_a_person_writes():
    assert Moses("de", "none", True).detokenise('er sagt : " ja , ( nein ) " .') == 'er sagt: "ja, (nein)".'


@given(ANY_TEXT)
def test_tokens_hold_no_white_space_but_single_spaces(text):
    tokens = Moses("de", "none", True).tokenise(text)
    assert tokens == " ".join(tokens.split())


def test_merges_by_hand():
    """l-o, lo-w and Ġ-low are the most frequent pairs here; one merge more would be Ġlow-e."""
    bpe = learn_bpe(["low low low lower lower"], 3)
    assert bpe.get_vocab_size() == 4 + 256 + 3
    assert bpe.encode("low lowest", add_special_tokens=False).tokens == ["Ġlow", "Ġlow", "e", "s", "t"]


@given(ANY_TEXT)
def test_every_text_decodes_to_its_moses_tokens(vocabulary, text):
    ids = vocabulary.encode(text)
    assert vocabulary.decode_pipeline(ids) == Moses("en", "none", True).tokenise(text)
    assert ids[-1] == vocabulary.eos_id
    assert all(len(SPECIAL) <= one < vocabulary.sizes[0] for one in ids[:-1])


def test_pairs_seen_once_are_not_merged():
    bpe = learn_bpe(["ab ab cd"], 50)
    assert bpe.encode("ab cd", add_special_tokens=False).tokens == ["Ġab", "Ġ", "c", "d"]


def test_special_words_in_text_are_words(vocabulary):
    for word in ("<pad>", "<eos>", "<bos> ", "<unk> ", *SPECIAL):
        assert min(vocabulary.encode_target([f"{word} {word}"])[0][:-1]) >= len(SPECIAL)
    words = " ".join(f"{letter}<pad>" for letter in "abcdefgh")  # so that <pad> itself is worth a merge
    bpe = learn_bpe([words] * 3, 50)
    assert min(bpe.encode(words, add_special_tokens=False).ids) >= len(SPECIAL)
    assert {vocabulary.pad_id, vocabulary.bos_id, vocabulary.eos_id, vocabulary.unk_id} == {0, 1, 2, 3}


def test_decoding_stops_at_the_end_and_skips_what_is_special(vocabulary):
    low, lower = (vocabulary.encode_target([word])[0][:-1] for word in ("low", "lower"))
    assert vocabulary.decode_pipeline([1, *low, 3, *lower, 2, *low, 2, 0]) == "low lower"
    assert vocabulary.decode_pipeline([2, *low]) == ""
    assert vocabulary.decode_batch([[*low], [0, 0], []]) == ["low", "", ""]


@given(st.lists(st.integers(0, 4 + 256 - 1), max_size=20))
def test_whatever_a_model_says_decodes_to_one_line(vocabulary, ids):
    assert len(vocabulary.decode_pipeline(ids).splitlines()) <= 1
    assert "\n" not in vocabulary.decode(ids)


def test_written_and_read(vocabulary, tmp_path):
    vocabulary.write(tmp_path / "v.json")
    again = Vocabulary.read(tmp_path / "v.json", Moses("en", "none", True), Moses("de", "none", True))
    assert again.sizes == vocabulary.sizes == (vocabulary.sizes[0],) * 2
    assert again.encode("lower, <pad>?") == vocabulary.encode("lower, <pad>?")


def test_learning_does_not_depend_on_the_process_or_its_threads():
    code = f"from chtexp.data.translation.units import learn_bpe; print(learn_bpe({LINES!r}, 40).to_str())"
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            text=True,
            env={"PYTHONPATH": str(Path(__file__).parents[3]), "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
        ).stdout
        for threads in ("1", "4")
    }
    assert said == {learn_bpe(LINES, 40).to_str() + "\n"}


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    """Source: b 3 times, a 2, c 1. Target: Hund 2, Katze 1."""
    units = [learn_words(["b a b", "a b c"], 40), learn_words(["Hund Katze. Hund"], 40)]
    return Vocabulary(units, Whitespace("en", "none", False), Whitespace("de", "none", False))


def test_words_by_hand(words):
    assert words.sizes == (4 + 3, 4 + 2)
    assert words.of_words
    assert words.encode(" c\tb  a ") == [6, 4, 5, 2]
    assert words.encode("B <unk> <eos> <pad> <unk> ") == [3, 3, 3, 3, 3, 2]  # cases differ; nothing in text is special
    assert words.encode_target(["Katze. Hund Katze", ""]) == [[5, 4, 3, 2], [2]]
    assert words.source_words(" c\tx  a ") == ["c", "x", "a"]


def test_decoded_words_and_what_stands_for_unknown_ones(words):
    assert words.decode([1, 4, 3, 5, 2, 4]) == "Hund <unk> Katze."
    assert words.decode([4, 3, 5, 3, 2], {1: "x,", 3: "y"}) == "Hund x, Katze. y"
    assert words.decode_pipeline([4, 3, 5, 2], {1: "x,"}) == "Hund x , Katze ."
    assert words.decode_batch([[4, 0, 0], [], [2]]) == ["Hund", "", ""]
    assert words.decode_batch([[3], [3]], [{0: "x"}, {}]) == ["x", "<unk>"]


def test_the_most_frequent_words_are_kept_and_of_equals_the_first_of_the_alphabet():
    units = learn_words(["d c b a", "d"], 4 + 2)
    assert sorted(units.get_vocab(), key=units.get_vocab().get) == [*SPECIAL, "d", "a"]


def test_words_written_and_read(words, tmp_path):
    words.write(tmp_path / "v.json")
    again = Vocabulary.read(tmp_path / "v.json", Whitespace("en", "none", False), Whitespace("de", "none", False))
    assert (again.sizes, again.of_words, again.text()) == (words.sizes, True, words.text())
    assert again.encode("a zebra") == words.encode("a zebra") == [5, 3, 2]


@given(ANY_TEXT)
def test_text_split_at_white_space_is_a_number_a_word(words, text):
    assert Whitespace("de", "none", False).tokenise(text) == " ".join(text.split())
    assert len(words.encode(text)) == len(words.source_words(text)) + 1 == len(text.split()) + 1


def test_white_space_keeps_what_moses_takes_apart():
    split = Whitespace("de", "apostrophes", lower_case=True)
    assert split.tokenise("Er  sagt: „Geht’s?“") == "er sagt: „geht's?“"
    assert split.detokenise("er sagt: „geht's?“") == "er sagt: „geht's?“"
    assert split.pipeline("er sagt: ja.") == "er sagt : ja ."


def test_processes_keep_the_order(monkeypatch):
    monkeypatch.setattr(moses, "CHUNK", 100)
    source, target = Moses("en", "none", True), Moses("de", "none", False)
    pairs = [Pair(f"Number {n}.", f"Nummer {n}.") for n in range(1_050)]
    alone, together = (list(tokenise_pairs(source, target, pairs, parallel)) for parallel in (False, True))
    assert alone == together
    assert alone[1_001] == (pairs[1_001], ("number 1001 .", "Nummer 1001 ."))


def test_chunks():
    assert list(chunked(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunked([], 2)) == []


def test_real_references_come_back_exactly(real_multi30k):
    """As words, those that hold no unknown one; as sub-words, all of them."""
    vocabulary = real_multi30k.vocabulary
    words, german = vocabulary.of_words, Moses("de", "none", not vocabulary.of_words)
    for pairs in (real_multi30k.validation, real_multi30k.test):
        target_BT = pairs.padded(range(len(pairs)))[1]
        known = ~(target_BT == vocabulary.unk_id).any(1)
        assert (0.6 < known.float().mean() < 0.8) if words else known.all()
        assert pairs.target_pipeline == [german.tokenise(text) for text in pairs.target_text]
        said = [vocabulary.decode_pipeline_batch(target_BT), vocabulary.decode_batch(target_BT)]
        rows = [row for row in zip(known, *said, pairs.target_pipeline, pairs.target_text, strict=True) if row[0]]
        assert all(tokens == wanted for _, tokens, _, wanted, _ in rows)
        same = sum(text.lower() == " ".join(wanted.split()).lower() for _, _, text, _, wanted in rows)
        assert same == len(rows) if words else same > 0.99 * len(rows)
    text = real_multi30k.test.source_text[7]
    assert vocabulary.encode(text) == real_multi30k.test.padded([7])[0][0].tolist()
