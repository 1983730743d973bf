"""The paper's LLaMA for language modelling (arXiv:2501.19107, Tables 3, 8 to 10, 13, 14, 16 and 17).

The network is Hugging Face's, so that generation, export and evaluation harnesses come with it; the first weights are our own.
transformers is imported where a model is built: it takes seconds.

Shapes: B batch, T tokens, V vocabulary, E width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from chtexp.config.models import LlamaConfig

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")
LAYER = (*(f"self_attn.{name}" for name in ATTENTION), *(f"mlp.{name}" for name in FEED_FORWARD))
STD = 0.02


def build_llama(config: LlamaConfig, vocabulary: int, positions: int) -> LlamaForCausalLM:
    """Build the network on torch's default device, in training mode; on `meta` it has shapes only.

    Matrices and embeddings start at N(0, 0.02^2), norms at 1, as LLaMA's do in Hugging Face. Draws from torch's global generator,
    as `nn` modules do.

    Args:
        config: of the network.
        vocabulary: entries, V.
        positions: the longest sequence, in tokens.
    """
    from transformers import LlamaConfig as HuggingFaceConfig
    from transformers import LlamaForCausalLM

    settings = HuggingFaceConfig(
        vocab_size=vocabulary,
        hidden_size=config.width,
        intermediate_size=config.feed_forward,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=positions,
        initializer_range=STD,
        tie_word_embeddings=config.tied,
        bos_token_id=None,  # packed text has none, and what ends it is the tokenizer's affair
        eos_token_id=None,
        pad_token_id=None,
        attn_implementation="sdpa",
    )
    with torch.device("meta"):  # its own first weights would be thrown away
        model = LlamaForCausalLM(settings)
    rotary = type(model.model.rotary_emb)
    model.to_empty(device=torch.get_default_device())
    model.tie_weights()
    model.model.rotary_emb = rotary(settings)  # its frequencies are no weights, and are gone with the meta device
    initialise(model)
    return model.train()


@torch.no_grad()
def initialise(model: LlamaForCausalLM) -> None:
    """Draw the first value of every parameter; see `build_llama`."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            nn.init.ones_(parameter)
        elif not (name == "lm_head.weight" and model.config.tie_word_embeddings):
            nn.init.normal_(parameter, std=STD)


class Llama(nn.Module):
    """The network as training calls it. `network` generates and exports.

    Args:
        config: of the network.
        vocabulary: entries, V.
        positions: the longest sequence, in tokens.
    """

    def __init__(self, config: LlamaConfig, vocabulary: int, *, positions: int) -> None:
        super().__init__()
        self.network = build_llama(config, vocabulary, positions)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Compute the logits of the tokens after each of a sequence.

        Every token sees all before it; padding stands behind the text alone, so no mask is needed. The layers are called one by
        one: Hugging Face's own forward pass looks for sequences packed by position, and waits for the device to say that there
        are none.

        Args:
            tokens_BT: int64 [B, T], token ids.

        Returns:
            [B, T, V] logits.
        """
        network = self.network.model
        hidden_BTE = network.embed_tokens(tokens_BT)
        positions_1T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)[None]
        rotations = network.rotary_emb(hidden_BTE, position_ids=positions_1T)
        for layer in network.layers:
            hidden_BTE = layer(hidden_BTE, attention_mask=None, position_embeddings=rotations)  # no mask: causal
        logits_BTV: Tensor = self.network.lm_head(network.norm(hidden_BTE))
        return logits_BTV

    def sparse_layers(self) -> list[str]:
        """The names of the linear maps that may be sparse, in forward order: all but the embedding and the head."""
        return [f"{layer}.{name}" for layer in self._layers() for name in LAYER]

    def junctions(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Which layers meet at which neurons.

        Queries meet keys in a dot product, gates what they let pass in a product; both feed what follows.

        Returns:
            Pairs: layers whose outputs are active together only, and the layers whose inputs they are, neuron by neuron.
        """
        return [
            junction
            for layer in self._layers()
            for junction in (
                ((f"{layer}.self_attn.q_proj", f"{layer}.self_attn.k_proj"), ()),
                ((f"{layer}.self_attn.v_proj",), (f"{layer}.self_attn.o_proj",)),
                ((f"{layer}.mlp.gate_proj", f"{layer}.mlp.up_proj"), (f"{layer}.mlp.down_proj",)),
            )
        ]

    def _layers(self) -> list[str]:
        return [f"network.model.layers.{index}" for index in range(self.network.config.num_hidden_layers)]
