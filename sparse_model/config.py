"""The settings of a transformer and of its training, as a preset's table gives them."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from benchmark.settings import Positive, PositiveShare, Settings, Share, Size, Tokens, Weight

D_HEAD = 16
"""Channels of an attention head when nothing else is asked for (paper A.1)."""

SPARSE_HOOKS = ("attn_in", "q", "k", "v", "attn_out", "mlp_in", "neuron", "mlp_out")
"""The hook points of a block at which AbsTopK can be applied: all eight sites."""

Positional = Literal["none", "learned", "concatenated"]
"""Position embeddings: none; added to the token's; or read beside the stream by every sublayer."""


class ArchitectureConfig(Settings):
    """The architecture, apart from what the corpus decides (paper A.1)."""

    layers: int = Field(2, ge=1, le=1000)
    """Number of blocks; each is an attention and an MLP sublayer."""

    d_model: Size = 128
    """Width of the residual stream, channels."""

    d_head: Size = D_HEAD
    """Width of an attention head, channels; there are d_model / d_head heads."""

    d_mlp: Size | None = None
    """MLP neurons of a block; 4 x d_model if left out."""

    activation_density: PositiveShare = 0.25
    """Share of a site's entries that AbsTopK keeps; 1 switches it off."""

    activation_sites: tuple[str, ...] = Field(SPARSE_HOOKS, strict=False)
    """The sites of every block at which AbsTopK acts."""

    positional: Positional = "none"
    """Position embeddings: `none`, `learned` (added), `concatenated` (read-only, beside the stream)."""

    d_positional: Size = 32
    """Width of a concatenated position embedding, channels."""

    sink: bool = False
    """Whether every head has a learned logit in its softmax's denominator (an attention sink)."""

    bigram: bool = True
    """Whether a dense table indexed by the current token is added to the logits."""

    @field_validator("activation_sites")
    @classmethod
    def _known_sites(cls, sites: tuple[str, ...]) -> tuple[str, ...]:
        for site in sites:
            if site not in SPARSE_HOOKS:
                raise ValueError(f"unknown activation site {site!r}; choose from {', '.join(SPARSE_HOOKS)}")
        return sites

    @model_validator(mode="after")
    def _heads_fill_the_stream(self) -> "ArchitectureConfig":
        if self.d_model % self.d_head:
            below = max(self.d_model // self.d_head, 1) * self.d_head
            choices = f"choose {below} or {below + self.d_head}"
            raise ValueError(f"d_model {self.d_model} is not a multiple of d_head {self.d_head}; {choices}")
        return self

    @model_validator(mode="after")
    def _something_is_kept(self) -> "ArchitectureConfig":
        least = min(self.d_model, self.neurons)
        if self.activation_density * least < 1:
            kept = f"activation_density {self.activation_density} keeps none of {least} entries"
            raise ValueError(f"{kept}; choose at least {1 / least}")
        return self

    @property
    def heads(self) -> int:
        """Number of attention heads of a block."""
        return self.d_model // self.d_head

    @property
    def neurons(self) -> int:
        """Number of MLP neurons of a block."""
        return 4 * self.d_model if self.d_mlp is None else self.d_mlp

    @property
    def d_read(self) -> int:
        """What a sublayer reads: the stream's width, and the position embedding's if that is concatenated."""
        return self.d_model + (self.d_positional if self.positional == "concatenated" else 0)


class TransformerConfig(ArchitectureConfig):
    """All that is needed to build a transformer."""

    vocabulary: int = Field(2048, ge=2, le=2**20)
    """Number of token ids."""

    context: int = Field(256, ge=1, le=2**20)
    """The longest sequence, tokens."""


class TrainingConfig(Settings):
    """How a transformer is trained (paper A.2, and the released script where the two differ)."""

    density: PositiveShare = 0.05
    """Share of the weights of every block's matrices that are not zero at the end; 1 leaves them dense."""

    embedding_density: PositiveShare = 0.25
    """The same share for the embedding and the unembedding."""

    sparse_biases: bool = False
    """Whether biases keep only that share too; the released script leaves them dense."""

    minimum_per_neuron: int = Field(4, ge=0, le=10**6)
    """Weights that every neuron and attention channel keeps in each matrix."""

    tokens: Tokens = 4_000_000
    """Training tokens; beyond the corpus's size it is read again, in another order."""

    batch: Size = 4
    """Windows of an optimizer step, each as long as the context."""

    learning_rate: Positive = 0.06
    """Of Adam; multiplied by warm-up, linear decay and sqrt(density at the end / density now)."""

    warm_up: float = Field(0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate rises linearly from zero; the paper finds 5 to 10 % best."""

    anneal_from: float = Field(0.01, ge=0, lt=1)
    """Share of the steps after which the density begins to fall from 1."""

    anneal_until: Share = 0.5
    """Share of the steps after which it has reached its end."""

    weight_decay: Weight = 0.1
    """Share of a weight that a step at learning rate 1 takes away; biases, gains and the bigram table are spared."""

    momentum: float = Field(0.9, ge=0, lt=1)
    """Adam's first beta."""

    second_momentum: float = Field(0.95, ge=0, lt=1)
    """Adam's second beta."""

    epsilon: Positive = 0.1
    """Adam's epsilon; so large because gradients are scaled to a root mean square of 1."""

    validation_windows: Size = 1024
    """Validation windows, from the first, that the loss is taken on at the end."""

    @model_validator(mode="after")
    def _anneals_forward(self) -> "TrainingConfig":
        if self.anneal_until < self.anneal_from:
            raise ValueError(
                f"anneal_until {self.anneal_until} is before anneal_from {self.anneal_from}; choose at least that"
            )
        return self

    def steps(self, context: int) -> int:
        """Number of optimizer steps, at least one."""
        return max(1, self.tokens // (self.batch * context))


class CorpusModelConfig(ArchitectureConfig, TrainingConfig):
    """A method that trains a transformer on the corpus: one flat table of a preset."""

    @model_validator(mode="after")
    def _neurons_keep_their_minimum(self) -> "CorpusModelConfig":
        if self.density * self.d_model < self.minimum_per_neuron:
            least = self.minimum_per_neuron / self.d_model
            raise ValueError(
                f"density {self.density} leaves a neuron {self.density * self.d_model:.3g} of {self.d_model} weights, "
                f"fewer than minimum_per_neuron {self.minimum_per_neuron}; choose a density of at least {least:.4g}"
            )
        return self

    def transformer(self, vocabulary: int, context: int) -> TransformerConfig:
        """The transformer to train on a corpus of this vocabulary and context."""
        architecture = {name: getattr(self, name) for name in ArchitectureConfig.model_fields}
        return TransformerConfig(**architecture, vocabulary=vocabulary, context=context)


class DenseWeightsConfig(CorpusModelConfig):
    """The same with every weight kept, and so a narrower stream."""

    d_model: Size = 64
    """Width of the residual stream, channels."""

    density: float = Field(1.0, ge=1, le=1)
    """Share of the weights of the blocks that are not zero: all."""

    embedding_density: float = Field(1.0, ge=1, le=1)
    """The same share for the embedding and the unembedding: all."""

    learning_rate: Positive = 0.015
    """Of Adam; multiplied by warm-up and linear decay."""
