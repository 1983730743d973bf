"""A trained translation run, put to use: its best model, its vocabulary and its beam search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from chtexp.config.models import TransformerConfig
from chtexp.config.translation import TranslationDataConfig, TranslationRecipe
from chtexp.data.translation import Vocabulary
from chtexp.data.translation.tokenisation import tokenisations_of
from chtexp.models.transformer import Transformer
from chtexp.tasks.translation import VOCABULARY, build_transformer_for, translated
from chtexp.trained.folder import reading, trained_run
from chtexp.trained.load import with_selected_weights

PADDED = 64  # sentences encoded at a time


class Translator:
    """Translates with the selected model of a run, from the files of the run's folder alone.

    Args:
        folder: of the run.
        device: where the model computes.

    Raises:
        UserError: the folder holds no finished translation run.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        run = trained_run(folder, TranslationRecipe, "translate")
        assert isinstance(run.data, TranslationDataConfig)
        assert isinstance(run.model, TransformerConfig)
        assert isinstance(run.task, TranslationRecipe)
        self._recipe = run.task
        with reading(folder / VOCABULARY):
            self._vocabulary = Vocabulary.read(folder / VOCABULARY, *tokenisations_of(run.data))
        built = build_transformer_for(run.model, self._vocabulary.sizes, run.seed)
        model = with_selected_weights(built.model, folder, device)
        assert isinstance(model, Transformer)
        self._model = model

    def __call__(self, sentences: Sequence[str]) -> list[str]:
        """Translate sentences.

        Args:
            sentences: in the source language.

        Returns:
            The translation of each; an empty sentence stays empty.

        Raises:
            UserError: a sentence is too long for the network.
        """
        wanted = [(number, sentence) for number, sentence in enumerate(sentences) if sentence.strip()]
        translations = [""] * len(sentences)
        for first in range(0, len(wanted), PADDED):
            rows, texts = zip(*wanted[first : first + PADDED], strict=True)
            ids = [torch.tensor(one) for one in self._vocabulary.encode_batch(texts)]
            source = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=Vocabulary.pad_id)
            found, copies = translated(self._model, self._vocabulary, self._recipe, source, texts)
            for row, text in zip(rows, self._vocabulary.decode_batch(found, copies), strict=True):
                translations[row] = text
        return translations
