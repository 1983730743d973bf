"""A trained translation run, put to use: its best model, its vocabulary and its beam search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from chtexp.data.translation import Vocabulary
from chtexp.data.translation.cache import moses_of
from chtexp.experiments.trained import trained_run, with_selected_weights
from chtexp.models.beam_search import translate
from chtexp.models.transformer import Transformer
from chtexp.tasks.translation import VOCABULARY, build_transformer_for

PADDED = 64  # sentences encoded at a time


class Translator:
    """Translates with the run in `folder`: its selected checkpoint, from the files of the run's folder alone.

    Raises UserError for a folder that holds no finished translation run.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.run = trained_run(folder, "translation", "translate")
        self._vocabulary = Vocabulary.read(folder / VOCABULARY, *moses_of(self.run.data))
        built = build_transformer_for(self.run.model, self._vocabulary.size, self.run.seed)
        self._model = with_selected_weights(built.model, folder, device)
        assert isinstance(self._model, Transformer)

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        """The translation of each sentence; an empty one stays empty. Raises UserError for one that is too long."""
        wanted = [(number, sentence) for number, sentence in enumerate(sentences) if sentence.strip()]
        translations = [""] * len(sentences)
        for first in range(0, len(wanted), PADDED):
            some = wanted[first : first + PADDED]
            ids = [torch.tensor(one) for one in self._vocabulary.encode_batch(text for _, text in some)]
            source = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=Vocabulary.pad_id)
            recipe = self.run.task
            with torch.inference_mode():
                found = translate(self._model.network, source, beam=recipe.beam, length_penalty=recipe.length_penalty)
            for (number, _), text in zip(some, self._vocabulary.decode_batch(found), strict=True):
                translations[number] = text
        return translations
