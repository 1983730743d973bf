"""A trained translation run, put to use: its best model, its vocabulary and its beam search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from chtexp.data.translation import Vocabulary
from chtexp.data.translation.tokenisation import tokenisations_of
from chtexp.experiments.trained import trained_run, with_selected_weights
from chtexp.models.transformer import Transformer
from chtexp.tasks.translation import VOCABULARY, build_transformer_for, translated

PADDED = 64  # sentences encoded at a time


class Translator:
    """Translates with the run in `folder`: its selected checkpoint, from the files of the run's folder alone.

    Raises UserError for a folder that holds no finished translation run.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.run = trained_run(folder, "translation", "translate")
        self._vocabulary = Vocabulary.read(folder / VOCABULARY, *tokenisations_of(self.run.data))
        built = build_transformer_for(self.run.model, self._vocabulary.sizes, self.run.seed)
        model = with_selected_weights(built.model, folder, device)
        assert isinstance(model, Transformer)
        self._model = model

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        """The translation of each sentence; an empty one stays empty. Raises UserError for one that is too long."""
        wanted = [(number, sentence) for number, sentence in enumerate(sentences) if sentence.strip()]
        translations = [""] * len(sentences)
        for first in range(0, len(wanted), PADDED):
            rows, texts = zip(*wanted[first : first + PADDED], strict=True)
            ids = [torch.tensor(one) for one in self._vocabulary.encode_batch(texts)]
            source = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=Vocabulary.pad_id)
            found, copies = translated(self._model, self._vocabulary, self.run.task, source, texts)
            for row, text in zip(rows, self._vocabulary.decode_batch(found, copies), strict=True):
                translations[row] = text
        return translations
