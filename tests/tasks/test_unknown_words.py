"""Unknown words of translations: replaced by the words of the source that are attended to, by hand and with a network."""

from __future__ import annotations

import pytest
import torch

from chtexp.config.models import TransformerConfig
from chtexp.data.translation import Vocabulary
from chtexp.data.translation.tokenisation import Whitespace
from chtexp.data.translation.units import learn_words
from chtexp.models.transformer import Transformer
from chtexp.tasks import unknown_words
from chtexp.tasks.unknown_words import copied, copied_words

UNK = Vocabulary.unk_id


@pytest.fixture
def vocabulary() -> Vocabulary:
    """Source: the 4, man 5. Target: der 4, Mann 5."""
    units = [learn_words(["the the man"], 9), learn_words(["der der Mann"], 9)]
    return Vocabulary(units, Whitespace("en", "none", False), Whitespace("de", "none", False))


def test_copied_by_an_attention_made_by_hand(vocabulary: Vocabulary) -> None:
    """The end of the source, the last column but one, draws the most attention; it is no word, nor is the padding after it."""
    attention_TS = torch.tensor(
        [
            [0.1, 0.2, 0.1, 0.6, 0.0],  # der: known, whatever it looks at
            [0.3, 0.1, 0.2, 0.4, 0.0],  # the
            [0.0, 0.0, 0.1, 0.9, 0.0],  # Smith,
        ]
    )
    copies = copied(vocabulary, "the man Smith,", [4, UNK, UNK], attention_TS)
    assert copies == {1: "the", 2: "Smith,"}
    assert vocabulary.decode([4, UNK, UNK], copies) == "der the Smith,"


def test_of_many_sentences_each_gets_its_own_attention(vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target token looks at the source token of the number in `looks`; translations without unknown words are left out."""
    texts = ["the Smith man", "the man", "Jones"] * 30
    translations = [[4, UNK], [4, 5], [UNK, 4, UNK]] * 30
    looks = {3: [2, 1, 0], 1: [0, 0, 0]}  # by the number of words

    def attention(network: object, source_BS: torch.Tensor, target_BT: torch.Tensor) -> torch.Tensor:
        assert (target_BT == UNK).any(1).all()
        made = torch.zeros(len(source_BS), 3, source_BS.shape[1])
        for row, words in enumerate((source_BS > Vocabulary.eos_id).sum(1).tolist()):
            made[row, range(3), looks[words]] = 1.0
        return made

    monkeypatch.setattr(unknown_words, "source_attention", attention)
    network = Transformer(
        TransformerConfig(width=8, feed_forward=8, heads=1, encoder_layers=1, decoder_layers=1),
        vocabulary.sizes,
        pad_id=0,
        eos_id=2,
        start_id=1,
    )
    found = copied_words(network, vocabulary, texts, translations)
    assert found == [{1: "Smith"}, {}, {0: "Jones", 2: "Jones"}] * 30


def test_a_network_that_looks_at_the_same_place_copies_it(vocabulary: Vocabulary) -> None:
    """Queries and keys of the last layer are made so that the third source token is looked at, through the network itself."""
    torch.manual_seed(0)
    network = Transformer(
        TransformerConfig(width=8, feed_forward=8, heads=2, encoder_layers=1, decoder_layers=1),
        vocabulary.sizes,
        pad_id=0,
        eos_id=2,
        start_id=1,
    ).eval()
    last = network.network.model.decoder.layers[-1].encoder_attn
    texts = ["the man Smith", "Jones man the"]
    memory = network.network.model.encoder(input_ids=torch.tensor(vocabulary.encode_batch(texts))).last_hidden_state
    for row, text in enumerate(texts):
        with torch.no_grad():
            last.q_proj.weight.zero_()
            last.q_proj.bias.copy_(50 * memory[row, 2])  # every query is the third token's own direction
            last.k_proj.weight.copy_(torch.eye(8))
            last.k_proj.bias.zero_()
        (copies,) = copied_words(network, vocabulary, [text], [[4, UNK]])
        assert copies == {1: text.split()[2]}
