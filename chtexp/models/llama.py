"""The paper's LLaMA for language modelling (arXiv:2501.19107, Tables 3, 8 to 10, 13, 14, 16 and 17).

The network is Hugging Face's, so that generation, export and evaluation harnesses come with it; the first weights are our own.
transformers is imported where a model is built: it takes seconds.

Shapes: B batch, T tokens, V vocabulary, E width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from chtexp.errors import UserError
from chtexp.typed import Description

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

PositiveInt = Annotated[int, Field(ge=1)]

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")
LAYER = (*(f"self_attn.{name}" for name in ATTENTION), *(f"mlp.{name}" for name in FEED_FORWARD))
STD = 0.02


class LlamaConfig(Description):
    """width: of embeddings and residual stream. feed_forward: of the gated feed-forward maps. layers, heads: how many.

    tied: input and output embeddings are one [choice: not, as in LLaMA]. steps, batch, warmup, peak, peak_dense: how the
    paper trains a network of this size, sparse and (peak_dense) fully connected; the task's configuration refers to them.
    """

    name: Literal["llama"] = "llama"
    width: PositiveInt
    feed_forward: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    tied: bool = False
    steps: PositiveInt = Field(json_schema_extra={"identity": False})
    batch: PositiveInt = Field(json_schema_extra={"identity": False})
    warmup: PositiveInt = Field(json_schema_extra={"identity": False})
    peak: Annotated[float, Field(gt=0, json_schema_extra={"identity": False})]
    peak_dense: Annotated[float, Field(gt=0, json_schema_extra={"identity": False})]

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> LlamaConfig:
        if self.width % (2 * self.heads):
            raise UserError(
                f"model.width {self.width} must be a multiple of twice model.heads {self.heads}: heads turn numbers in pairs"
            )
        return self

    def parameters(self, vocabulary: int) -> int:
        """Of the dense network."""
        layer = 4 * self.width**2 + 3 * self.width * self.feed_forward + 2 * self.width
        return self.layers * layer + self.width + (1 if self.tied else 2) * vocabulary * self.width


def build_llama(config: LlamaConfig, vocabulary: int, positions: int) -> LlamaForCausalLM:
    """The network on torch's default device, in training mode; on `meta` it has shapes only.

    positions: the longest sequence in tokens. Matrices and embeddings start at N(0, 0.02^2), norms at 1, as LLaMA's do in
    Hugging Face. Draws from torch's global generator, as `nn` modules do.
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
    """Give every parameter of `model` its first value; see `build_llama`."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            nn.init.ones_(parameter)
        elif not (name == "lm_head.weight" and model.config.tie_word_embeddings):
            nn.init.normal_(parameter, std=STD)


class Llama(nn.Module):
    """The network as training calls it: logits [B, T, V] of the tokens after each of [B, T]. `network` generates and exports."""

    def __init__(self, config: LlamaConfig, vocabulary: int, *, positions: int) -> None:
        super().__init__()
        self.network = build_llama(config, vocabulary, positions)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Every token sees all before it, and needs no mask: padding stands behind the text alone.

        The layers are called one by one: Hugging Face's own forward pass looks for sequences packed by position, and waits for
        the device to say that there are none.
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
        """The linear maps that may be sparse, in forward order: all but the embedding and the head."""
        return [f"{layer}.{name}" for layer in self._layers() for name in LAYER]

    def junctions(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Layers whose outputs are active together only, and those whose inputs they are, neuron by neuron.

        Queries meet keys in a dot product, gates what they let pass in a product; both feed what follows.
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
