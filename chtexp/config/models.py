"""The networks described, and counted: the MLP, two CNNs, the Transformer for translation, LLaMA (arXiv:2501.19107)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, PositiveInt, model_validator

from chtexp.config.optimizers import Share
from chtexp.config.typed import Description
from chtexp.errors import UserError


class Layer(NamedTuple):
    """A linear map or a convolution.

    Attributes:
        name: of the module in the network.
        shape: of its weight: (outputs, inputs), or (out channels, in channels, *kernel).
        uses: how often it is applied to one position of the data (an image, a token): a convolution once a pixel of its output.
        sparse: whether it may be sparse.
    """

    name: str
    shape: tuple[int, ...]
    uses: int = 1
    sparse: bool = True

    @property
    def weights(self) -> int:
        """How many weights it has."""
        return math.prod(self.shape)


class Counts(NamedTuple):
    """The size of a network.

    Attributes:
        parameters: of the dense network.
        sparse: weights of its linear layers that may be sparse.
        dense: weights of its other linear layers.
        layers: its layers one by one, where some are applied more than once to a position; () where none is.
    """

    parameters: int
    sparse: int
    dense: int
    layers: tuple[Layer, ...] = ()

    @classmethod
    def of(cls, layers: tuple[Layer, ...], others: int) -> Counts:
        """Count layers, and `others`: parameters that are no weights of theirs."""
        sparse = sum(layer.weights for layer in layers if layer.sparse)
        dense = sum(layer.weights for layer in layers if not layer.sparse)
        return cls(sparse + dense + others, sparse, dense, layers)


class Network(Description):
    """What is known of a network besides its sizes.

    Attributes:
        name: by which a configuration chooses it.
        methods: the folder of conf/method whose methods are made for it; "" for conf/method itself.
        features: whether the inputs of its first sparse layer are features of the data, which some topologies correlate.
    """

    methods: ClassVar[str] = ""
    features: ClassVar[bool] = False
    name: str


class ImageNetwork(Network):
    """A network that classifies images."""

    def counts(self, shape: tuple[int, int, int], classes: int) -> Counts:
        """Count the parameters and weights.

        Args:
            shape: of an image: channels, height, width.
            classes: outputs of the network.

        Raises:
            UserError: the images are too small.
        """
        raise NotImplementedError


class MLPConfig(ImageNetwork):
    """A multi-layer perceptron.

    Attributes:
        name: `mlp`.
        hidden: widths of the hidden layers. The paper: [1568] * 3 on the MNIST family, [3072] * 3 on CIFAR.
    """

    features: ClassVar[bool] = True
    name: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]

    def counts(self, shape: tuple[int, int, int], classes: int) -> Counts:
        """Count the parameters and weights. The last layer stays dense."""
        widths = (math.prod(shape), *self.hidden)
        sparse = sum(inputs * outputs for inputs, outputs in pairwise(widths))
        dense = self.hidden[-1] * classes
        return Counts(sparse + dense + sum(self.hidden) + classes, sparse, dense)


class ResNetConfig(ImageNetwork):
    """A residual network for small images (He et al., 2016, section 4.2), with shortcuts without parameters (option A).

    Attributes:
        name: `resnet`.
        width: channels of the first stage; every further stage has twice as many, on half the pixels.
        blocks: residual blocks of two convolutions of 3 x 3, by stage; [3, 3, 3] is ResNet-20.
    """

    methods: ClassVar[str] = "cnn"
    name: Literal["resnet"] = "resnet"
    width: PositiveInt = 16
    blocks: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (3, 3, 3)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every block."""
        return tuple(self.width << stage for stage, blocks in enumerate(self.blocks) for _ in range(blocks))

    def layers(self, shape: tuple[int, int, int], classes: int) -> tuple[Layer, ...]:
        """List the layers. The first convolution and the last linear map stay dense."""
        channels, height, width = shape
        found = [Layer("stem.0", (self.width, channels, 3, 3), height * width, sparse=False)]
        inputs = self.width
        for block, outputs in enumerate(self.widths):
            if outputs != inputs:
                height, width = -(-height // 2), -(-width // 2)
            for name, read in (("conv1", inputs), ("conv2", outputs)):
                found.append(Layer(f"blocks.{block}.{name}", (outputs, read, 3, 3), height * width))
            inputs = outputs
        return (*found, Layer("head", (classes, inputs), sparse=False))

    def counts(self, shape: tuple[int, int, int], classes: int) -> Counts:
        """Count the parameters and weights. Every convolution has a norm instead of a bias."""
        layers = self.layers(shape, classes)
        return Counts.of(layers, sum(2 * layer.shape[0] for layer in layers[:-1]) + classes)


class VGGConfig(ImageNetwork):
    """VGG-16 for small images (Simonyan & Zisserman, 2015): batch norm, and one linear map at the end.

    Attributes:
        name: `vgg`.
        width: channels of the first stage; the next three have 2, 4, 8 times as many, and the last one 8 times.
        stages: convolutions of 3 x 3 by stage; [2, 2, 3, 3, 3] is VGG-16. Between stages the pixels are halved.
    """

    methods: ClassVar[str] = "cnn"
    name: Literal["vgg"] = "vgg"
    width: PositiveInt = 64
    stages: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (2, 2, 3, 3, 3)

    @property
    def widths(self) -> tuple[tuple[int, ...], ...]:
        """Channels of every convolution, by stage."""
        return tuple((self.width * min(2**stage, 8),) * convolutions for stage, convolutions in enumerate(self.stages))

    def layers(self, shape: tuple[int, int, int], classes: int) -> tuple[Layer, ...]:
        """List the layers. The first convolution and the last linear map stay dense.

        Raises:
            UserError: the images cannot be halved as often as the stages ask.
        """
        inputs, height, width = shape
        if min(height, width) >> (len(self.stages) - 1) < 1:
            raise UserError(
                f"model {self.name} halves images {len(self.stages) - 1} times, which images of {height} x {width} pixels are "
                "too small for: leave out stages (model.stages), or choose another model"
            )
        found: list[Layer] = []
        for stage in self.widths:
            for outputs in stage:
                name = f"layers.conv{len(found) + 1}"
                found.append(Layer(name, (outputs, inputs, 3, 3), height * width, sparse=bool(found)))
                inputs = outputs
            height, width = height // 2, width // 2
        return (*found, Layer("layers.head", (classes, inputs), sparse=False))

    def counts(self, shape: tuple[int, int, int], classes: int) -> Counts:
        """Count the parameters and weights. Every convolution has a norm instead of a bias."""
        layers = self.layers(shape, classes)
        return Counts.of(layers, sum(2 * layer.shape[0] for layer in layers[:-1]) + classes)


class TransformerConfig(Network):
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

    methods: ClassVar[str] = "transformer"
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


class LlamaConfig(Network):
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

    methods: ClassVar[str] = "llama"
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
