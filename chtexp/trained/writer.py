"""A trained language model, put to use: it goes on with a text, and becomes a folder that Hugging Face loads.

Shapes: T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from chtexp.config.models import LlamaConfig
from chtexp.config.text import LanguageModellingRecipe, TextDataConfig
from chtexp.data.text import TextTokenizer
from chtexp.errors import UserError
from chtexp.models.llama import Llama
from chtexp.store.files import read_as, whole_folder
from chtexp.store.seal import write_checksums
from chtexp.tasks.language_modelling import SETTINGS, TOKENIZER, build_llama_for
from chtexp.trained.folder import check_new, reading, trained_run
from chtexp.trained.load import with_selected_weights


@dataclass(frozen=True)
class Settings:
    """Of a tokenizer, as Hugging Face writes them: the tokens that end a text, and fill one up."""

    eos_token: str
    pad_token: str | None = None


class Writer:
    """The language model of a run, from the files of the run's folder alone.

    Args:
        folder: of the run.
        device: where the model computes.

    Attributes:
        longest: tokens of a text, at the most.

    Raises:
        UserError: the folder holds no finished run of language modelling.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.run = run = trained_run(folder, LanguageModellingRecipe, "go on with a text")
        assert isinstance(run.model, LlamaConfig)
        assert isinstance(run.data, TextDataConfig)
        self.longest = run.data.sequence_length
        with reading(folder / SETTINGS):
            settings = read_as(folder / SETTINGS, Settings)
        with reading(folder / TOKENIZER):
            self.tokenizer = TextTokenizer.read(folder / TOKENIZER, settings.eos_token, settings.pad_token)
        built = build_llama_for(run.model, self.tokenizer.vocabulary, self.longest, run.seed)
        model = with_selected_weights(built.model, folder, device)
        assert isinstance(model, Llama)
        self.network, self.device = model.network, device
        for generation in (self.network.config, self.network.generation_config):
            generation.eos_token_id, generation.pad_token_id = self.tokenizer.end_of_text, self.tokenizer.padding

    @torch.inference_mode()
    def __call__(self, text: str, tokens: int, *, temperature: float = 1.0, seed: int = 0) -> str:
        """Continue a text.

        Args:
            text: its beginning.
            tokens: how many are added, at the most; fewer where the text ends before.
            temperature: of the draw; 0 takes the likeliest token.
            seed: of the draw.

        Returns:
            The text and what follows it.

        Raises:
            UserError: a text of no tokens, or of too many.
        """
        ids = self.tokenizer.encode(text)
        if not ids:
            raise UserError("there is no text to go on with")
        if len(ids) + tokens > self.longest:
            raise UserError(
                f"{len(ids)} tokens of text and {tokens} more are too many: the network was trained on {self.longest} at a time"
            )
        torch.manual_seed(seed)
        drawn = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature > 0 else {"do_sample": False}
        start_1T = torch.tensor([ids], device=self.device)
        found_1T = self.network.generate(
            start_1T, attention_mask=torch.ones_like(start_1T), max_new_tokens=tokens, **drawn
        )
        written = found_1T[0].tolist()
        if written[-1] == self.tokenizer.end_of_text:
            written.pop()
        return self.tokenizer.decode(written)

    def export(self, folder: Path) -> None:
        """Write an ordinary folder of Hugging Face: safetensors, in which absent links are zeros, configuration and tokenizer.

        `SHA256SUMS` beside them is what `sha256sum --check` takes.

        Args:
            folder: new, or empty.

        Raises:
            UserError: the folder is not empty.
        """
        check_new(folder)
        with whole_folder(folder) as unfinished:
            self.network.save_pretrained(unfinished)
            self.tokenizer.hugging_face().save_pretrained(unfinished)
            write_checksums(unfinished)
