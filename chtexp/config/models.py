"""The networks described, and counted: the MLP, the Transformer for translation, LLaMA (arXiv:2501.19107)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, PositiveInt, model_validator

from chtexp.config.optimizers import Share
from chtexp.config.typed import Description
from chtexp.errors import UserError


class Counts(NamedTuple):
    """The size of a network.

    Attributes:
        parameters: of the dense network.
        sparse: weights of its linear layers that may be sparse.
        dense: weights of its other linear layers.
    """

    parameters: int
    sparse: int
    dense: int


class MLPConfig(Description):
    """A multi-layer perceptron.

    Attributes:
        name: `mlp`.
        hidden: widths of the hidden layers. The paper: [1568] * 3 on the MNIST family, [3072] * 3 on CIFAR.
    """

    name: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]

    def counts(self, features: int, classes: int) -> Counts:
        """Count the parameters and weights. The last layer stays dense.

        Args:
            features: inputs of the network.
            classes: outputs of the network.
        """
        widths = (features, *self.hidden)
        sparse = sum(inputs * outputs for inputs, outputs in pairwise(widths))
        dense = self.hidden[-1] * classes
        return Counts(sparse + dense + sum(self.hidden) + classes, sparse, dense)


class TransformerConfig(Description):
    """A Transformer for translation (Table 11).

    Attributes:
        name: `transformer`.
        width: of embeddings and residual stream.
        feed_forward: hidden width of the feed-forward maps.
        encoder_layers, decoder_layers: how many.
        heads: of every attention.
        embeddings: `separate` matrices for source [U, E], target [V, E] and generator [V, E] [choice: as the paper's released
            code; the paper is silent], or one matrix `shared` by all three, where the vocabulary is joint.
        dropout: of embeddings and of what is added to the residual stream. Between the feed-forward maps there is none [choice].
        attention_dropout: of attention weights.
        max_positions: the longest source or target, in tokens [choice: 512].
    """

    name: Literal["transformer"] = "transformer"
    width: PositiveInt = 512
    feed_forward: PositiveInt
    encoder_layers: PositiveInt = 6
    decoder_layers: PositiveInt = 6
    heads: PositiveInt = 8
    embeddings: Literal["separate", "shared"] = "separate"
    dropout: Share = 0.1
    attention_dropout: Share = 0.1
    max_positions: PositiveInt = 512

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> TransformerConfig:
        if self.width % self.heads or self.width % 2:
            raise UserError(f"model.width {self.width} must be even and a multiple of model.heads {self.heads}")
        return self

    def counts(self, source: int, target: int) -> Counts:
        """Count the parameters and weights. Every layer has biases; every norm has a gain and a bias.

        Args:
            source: entries of the source vocabulary.
            target: entries of the target vocabulary.
        """
        attention, feed_forward = 4 * self.width**2, 2 * self.width * self.feed_forward
        sides = (self.encoder_layers, 1), (self.decoder_layers, 2)  # a decoder's layer attends to the source, too
        sparse = sum(layers * (attentions * attention + feed_forward) for layers, attentions in sides)
        biases = sum(
            layers * (attentions * 4 * self.width + self.feed_forward + self.width) for layers, attentions in sides
        )
        norms = sum(2 * self.width * (layers * (attentions + 1) + 1) for layers, attentions in sides)
        generator = target * self.width
        embeddings = generator if self.embeddings == "shared" else (source + target) * self.width + generator + target
        return Counts(sparse + biases + norms + embeddings, sparse, generator)


class LlamaConfig(Description):
    """A LLaMA network, and how the paper trains one of this size; the task's configuration refers to the latter.

    Attributes:
        name: `llama`.
        width: of embeddings and residual stream.
        feed_forward: width of the gated feed-forward maps.
        layers: how many.
        heads: of every attention.
        tied: whether input and output embeddings are one [choice: not, as in LLaMA].
        steps: optimizer steps.
        batch: sequences of one step.
        warmup: optimizer steps of rising learning rate.
        peak: learning rate of the sparse network.
        peak_dense: learning rate of the fully connected network.
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

    def counts(self, vocabulary: int) -> Counts:
        """Count the parameters and weights. No layer has a bias; a norm has a gain.

        Args:
            vocabulary: entries.
        """
        sparse = self.layers * (4 * self.width**2 + 3 * self.width * self.feed_forward)
        norms = (2 * self.layers + 1) * self.width
        head = vocabulary * self.width
        return Counts(sparse + norms + (1 if self.tied else 2) * head, sparse, head)
