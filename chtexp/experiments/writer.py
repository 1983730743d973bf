"""A trained language model, put to use: it goes on with a text, and becomes a folder that Hugging Face loads.

Shapes: T tokens.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from chtexp.data.text import TextTokenizer
from chtexp.errors import UserError
from chtexp.experiments.trained import trained_run, with_selected_weights
from chtexp.models.llama import Llama
from chtexp.tasks.language_modelling import SETTINGS, TOKENIZER, build_llama_for


class Writer:
    """The language model of the run in `folder`, from the files of the run's folder alone.

    Raises UserError for a folder that holds no finished run of language modelling.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.run = trained_run(folder, "language_modelling", "go on with a text")
        settings = json.loads((folder / SETTINGS).read_text())
        self.tokenizer = TextTokenizer.read(folder / TOKENIZER, settings["eos_token"], settings.get("pad_token"))
        built = build_llama_for(self.run.model, self.tokenizer.vocabulary, self.run.data.sequence_length, self.run.seed)
        model = with_selected_weights(built.model, folder, device)
        assert isinstance(model, Llama)
        self.network, self.device = model.network, device
        for generation in (self.network.config, self.network.generation_config):
            generation.eos_token_id, generation.pad_token_id = self.tokenizer.end_of_text, self.tokenizer.padding

    @torch.inference_mode()
    def __call__(self, text: str, tokens: int, *, temperature: float = 1.0, seed: int = 0) -> str:
        """`text` and what follows it: at most `tokens` more, fewer where the text ends before.

        temperature: of the draw; 0 takes the likeliest token. Raises UserError for a text of no tokens, or too many.
        """
        ids = self.tokenizer.encode(text)
        longest = self.run.data.sequence_length
        if not ids:
            raise UserError("there is no text to go on with")
        if len(ids) + tokens > longest:
            raise UserError(
                f"{len(ids)} tokens of text and {tokens} more are too many: the network was trained on {longest} at a time"
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
        """An ordinary folder of Hugging Face: safetensors, in which absent links are zeros, configuration and tokenizer."""
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty; name a new folder")
        self.network.save_pretrained(folder)
        self.tokenizer.hugging_face().save_pretrained(folder)
