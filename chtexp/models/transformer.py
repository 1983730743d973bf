"""The paper's Transformer for translation (arXiv:2501.19107, Tables 2, 11 and 12).

Pre-norm encoder and decoder, sinusoidal positions, ReLU, separate maps to queries, keys and values: this is what Hugging
Face's Pegasus is, so beam search, caches and export come with it. The first weights are our own. transformers is imported
where a model is built: it takes seconds.

Shapes: B batch, S source tokens, T target tokens, U source vocabulary, V target vocabulary, P positions, E width, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from chtexp.config.models import TransformerConfig
from chtexp.errors import UserError

if TYPE_CHECKING:
    from transformers import PegasusForConditionalGeneration


ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
ENCODER_LAYER = (*(f"self_attn.{name}" for name in ATTENTION), "fc1", "fc2")
DECODER_LAYER = (*(f"{kind}_attn.{name}" for kind in ("self", "encoder") for name in ATTENTION), "fc1", "fc2")
FEEDS = {"v_proj": "out_proj", "fc1": "fc2"}
MEETS = {"q_proj": "k_proj"}


def build_transformer(
    config: TransformerConfig, vocabulary: tuple[int, int], pad_id: int, eos_id: int, start_id: int
) -> PegasusForConditionalGeneration:
    """Build the network on torch's default device, in training mode; on `meta` it has shapes only.

    Draws from torch's global generator, as `nn` modules do. Matrices start by Glorot's uniform rule, biases at 0, the padding's
    embedding at 0. Embeddings are scaled by sqrt(width) before positions are added. Separate ones start by Glorot's rule, too, so
    that words enter at first with a variance of 2 width / (width + U), well below that of the positions, 1/2; the generator is a
    linear map with a bias [choice: both as in OpenNMT, on which the paper's released code is built]. A shared one starts at
    N(0, 1 / width), so that words enter with variance 1; the generator has no bias then.

    Args:
        config: of the network.
        vocabulary: entries of source and target, U and V.
        pad_id: the token that fills up sentences.
        eos_id: the token that ends them.
        start_id: the token that a translation starts from.

    Raises:
        UserError: shared embeddings of two vocabularies.
    """
    source, target = vocabulary
    if config.embeddings == "shared" and source != target:
        raise UserError(f"model.embeddings=shared takes one vocabulary, not two of {source} and {target} entries")
    from transformers import PegasusConfig, PegasusForConditionalGeneration

    pegasus = PegasusConfig(
        vocab_size=target,
        tie_word_embeddings=config.embeddings == "shared",
        d_model=config.width,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        encoder_attention_heads=config.heads,
        decoder_attention_heads=config.heads,
        encoder_ffn_dim=config.feed_forward,
        decoder_ffn_dim=config.feed_forward,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        activation_dropout=0.0,
        activation_function="relu",
        scale_embedding=True,
        max_position_embeddings=config.max_positions,
        pad_token_id=pad_id,
        eos_token_id=eos_id,
        decoder_start_token_id=start_id,
        forced_eos_token_id=None,
        attn_implementation="sdpa",
    )
    with torch.device("meta"):  # its own first weights would be thrown away
        model = PegasusForConditionalGeneration(pegasus)
        if config.embeddings == "separate":
            model.model.encoder.embed_tokens = nn.Embedding(source, config.width, pad_id)
            model.model.shared = model.model.encoder.embed_tokens  # what transformers calls the input's embeddings
            model.lm_head = nn.Linear(config.width, target)
    for side in (model.model.encoder, model.model.decoder):
        positions = side.embed_positions
        del positions.weight  # a table, which nobody trains, counts or decays
        positions.weight = nn.Buffer(torch.empty(config.max_positions, config.width, device="meta"))
    model.to_empty(device=torch.get_default_device())
    if config.embeddings == "shared":
        model.tie_weights()
    initialise(model)
    return model.train()


@torch.no_grad()
def initialise(model: PegasusForConditionalGeneration) -> None:
    """Draw the first value of every parameter and buffer; see `build_transformer`."""
    embeddings = [side.embed_tokens.weight for side in (model.model.encoder, model.model.decoder)]
    shared = embeddings[0] is embeddings[1]
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not model.lm_head:
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
    if shared:
        nn.init.normal_(embeddings[0], std=model.config.d_model**-0.5)
    else:
        for weight in (*embeddings, model.lm_head.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(model.lm_head.bias)
    for weight in embeddings:
        weight[model.config.pad_token_id] = 0
    for positions in model.get_position_embeddings():
        positions.weight.copy_(sinusoids(*positions.weight.shape))
    model.final_logits_bias.zero_()


def sinusoids(positions: int, width: int) -> Tensor:
    """The sines of all frequencies 10000^(-2i / E), then the cosines (Vaswani et al. 2017).

    Args:
        positions: P.
        width: E.

    Returns:
        [P, E] float32.
    """
    frequencies = torch.exp(torch.arange(0, width, 2, dtype=torch.double) * (-math.log(10000) / width))
    angles = torch.arange(positions, dtype=torch.double)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1).float()


def target_logits(model: PegasusForConditionalGeneration, source_BS: Tensor, target_BT: Tensor) -> Tensor:
    """Compute the logits of every target token, given the source and the target tokens before it (teacher forcing).

    Reads no value back from the device for the source's padding, and leaves out transformers' own buffer of biases: it is 0.

    Args:
        model: the network.
        source_BS: int64 [B, S], token ids, each sentence ended by eos and padded at its end; no source is padding only.
        target_BT: int64 [B, T], token ids, likewise.

    Returns:
        [B, T, V] logits.

    Raises:
        UserError: a sentence is longer than the network has positions.
    """
    longest, positions = max(source_BS.shape[1], target_BT.shape[1]), model.config.max_position_embeddings
    if longest > positions:
        raise UserError(
            f"a sentence has {longest} tokens, but model.max_positions is {positions}; cut it or raise that"
        )
    inputs_BT = nn.functional.pad(target_BT[:, :-1], (1, 0), value=model.config.decoder_start_token_id)
    present_B11S = (source_BS != model.config.pad_token_id)[:, None, None]  # heads and queries share it
    memory_BSE = model.model.encoder(input_ids=source_BS, attention_mask=present_B11S).last_hidden_state
    logits_BTV: Tensor = model.lm_head(_decoded(model, inputs_BT, memory_BSE, present_B11S))
    return logits_BTV


def _decoded(
    model: PegasusForConditionalGeneration, inputs_BT: Tensor, memory_BSE: Tensor, present_B11S: Tensor
) -> Tensor:
    """What the decoder makes of tokens [B, T, E]. Its layers are called one by one: Hugging Face's own forward pass makes a mask
    of ones, and waits for the device to say that they are all ones.
    """
    decoder = model.model.decoder
    hidden_BTE = decoder.embed_tokens(inputs_BT) * decoder.embed_scale
    places_T = torch.arange(inputs_BT.shape[1], device=inputs_BT.device)
    hidden_BTE = hidden_BTE + decoder.embed_positions(tuple(inputs_BT.shape), 0, position_ids=places_T)
    hidden_BTE = nn.functional.dropout(hidden_BTE, decoder.dropout, decoder.training)
    for layer in decoder.layers:  # no mask of its own: causal
        hidden_BTE = layer(hidden_BTE, None, memory_BSE, encoder_attention_mask=present_B11S)
    normed_BTE: Tensor = decoder.layer_norm(hidden_BTE)
    return normed_BTE


class Transformer(nn.Module):
    """The network as training calls it. `network` searches, caches and exports.

    Args:
        config: of the network.
        vocabulary: entries of source and target, U and V.
        pad_id, eos_id, start_id: special tokens; see `build_transformer`.
    """

    def __init__(
        self, config: TransformerConfig, vocabulary: tuple[int, int], *, pad_id: int, eos_id: int, start_id: int
    ) -> None:
        super().__init__()
        self.network = build_transformer(config, vocabulary, pad_id, eos_id, start_id)

    def forward(self, source_BS: Tensor, target_BT: Tensor) -> Tensor:
        """Compute the logits [B, T, V] of source [B, S] and target [B, T] tokens; see `target_logits`."""
        return target_logits(self.network, source_BS, target_BT)

    def sparse_layers(self) -> list[str]:
        """The names of the linear maps that may be sparse; see `sparse_layers`."""
        return [f"network.{name}" for name in sparse_layers(self.network)]

    def chains(self) -> list[list[str]]:
        """The sequences of layers that feed each other; see `chains`."""
        return [[f"network.{name}" for name in chain] for chain in chains(self.network)]

    def meetings(self) -> list[list[str]]:
        """The layers whose outputs meet; see `meetings`."""
        return [[f"network.{name}" for name in meeting] for meeting in meetings(self.network)]


def sparse_layers(model: PegasusForConditionalGeneration) -> list[str]:
    """The names of the linear maps that may be sparse, in forward order: all of encoder and decoder."""
    sides = (
        ("encoder", model.config.encoder_layers, ENCODER_LAYER),
        ("decoder", model.config.decoder_layers, DECODER_LAYER),
    )
    return [
        f"model.{side}.layers.{layer}.{name}"
        for side, layers, names in sides
        for layer in range(layers)
        for name in names
    ]


def chains(model: PegasusForConditionalGeneration) -> list[list[str]]:
    """Which sparse layers feed each other: values to out, feed-forward in to out.

    Returns:
        Pairs of names; the outputs of the first are, neuron by neuron, the inputs of the second.
    """
    return _partners(model, FEEDS)


def meetings(model: PegasusForConditionalGeneration) -> list[list[str]]:
    """Pairs of sparse layers whose outputs meet in a dot product, neuron by neuron: queries and keys."""
    return _partners(model, MEETS)


def _partners(model: PegasusForConditionalGeneration, partner_of: Mapping[str, str]) -> list[list[str]]:
    parted = [name.rpartition(".") for name in sparse_layers(model)]
    return [[f"{owner}.{own}", f"{owner}.{partner_of[own]}"] for owner, _, own in parted if own in partner_of]
