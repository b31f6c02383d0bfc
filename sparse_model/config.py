"""The settings of a transformer and of its training."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from benchmark.settings import EachOnce, Positive, PositiveShare, Settings, Share, Size, Tokens, Weight

SPARSE_HOOKS = ("attn_in", "q", "k", "v", "attn_out", "mlp_in", "neuron", "mlp_out")
"""The hook points of a block at which AbsTopK can be applied: all eight sites."""

Positional = Literal["none", "learned", "concatenated"]
"""Position embeddings: none, added to the token embedding, or concatenated to every sublayer's input."""


Precision = Literal["float32", "bfloat16"]
"""Number types in which a training step may compute its products."""


class ArchitectureConfig(Settings):
    """The architecture, except for what the corpus determines (paper A.1)."""

    layers: int = Field(2, ge=1, le=1000)
    """Number of blocks; each is an attention and an MLP sublayer."""

    d_model: Size = 128
    """Width of the residual stream, channels."""

    d_head: Size = 16
    """Width of an attention head, channels; there are d_model / d_head heads."""

    d_mlp: Size | None = None
    """MLP neurons per block; 4 x d_model if left out."""

    activation_density: PositiveShare = 0.25
    """Share of a site's entries that AbsTopK keeps; 1 turns it off."""

    activation_sites: Annotated[tuple[str, ...], EachOnce] = Field(
        SPARSE_HOOKS, strict=False, max_length=len(SPARSE_HOOKS)
    )
    """The sites of every block at which AbsTopK is applied."""

    positional: Positional = "none"
    """Position embeddings: `none`, `learned` (added), `concatenated` (read-only, next to the stream)."""

    d_positional: Size = 32
    """Width of a concatenated position embedding, channels."""

    sink: bool = False
    """Whether every head has a learned logit in the denominator of its softmax (an attention sink)."""

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
    def _sizes_fit(self) -> "ArchitectureConfig":
        if self.d_model % self.d_head:
            below = max(self.d_model // self.d_head, 1) * self.d_head
            choices = f"choose {below} or {below + self.d_head}"
            raise ValueError(f"d_model {self.d_model} is not a multiple of d_head {self.d_head}; {choices}")
        least = min(self.d_model, self.neurons)
        if self.activation_density * least < 1:
            kept = f"activation_density {self.activation_density} keeps none of {least} entries"
            raise ValueError(f"{kept}; choose at least {1 / least}")
        return self

    @property
    def heads(self) -> int:
        """Number of attention heads per block."""
        return self.d_model // self.d_head

    @property
    def neurons(self) -> int:
        """Number of MLP neurons per block."""
        return 4 * self.d_model if self.d_mlp is None else self.d_mlp

    @property
    def d_read(self) -> int:
        """Width of a sublayer's input, channels: the stream, plus the position embedding if that is concatenated."""
        return self.d_model + (self.d_positional if self.positional == "concatenated" else 0)


class TransformerConfig(ArchitectureConfig):
    """Everything needed to build a transformer."""

    vocabulary: int = Field(2048, ge=2, le=2**20)
    """Number of token ids."""

    context: int = Field(256, ge=1, le=2**20)
    """Length of the longest sequence, tokens."""


class TrainingConfig(Settings):
    """How a transformer is trained (paper A.2, and the released script where the two differ)."""

    density: PositiveShare = 0.05
    """Final share of nonzero weights in the matrices of the blocks; 1 leaves them dense."""

    embedding_density: PositiveShare = 0.25
    """The same share for the embedding and the unembedding."""

    sparse_biases: bool = False
    """Whether biases also keep only `embedding_density` of their entries; the released script leaves them dense."""

    minimum_per_neuron: int = Field(4, ge=0, le=10**6)
    """Weights that every neuron and attention channel keeps in each matrix."""

    tokens: Tokens = 4_000_000
    """Training tokens; if the corpus is smaller, it is repeated in a new order."""

    batch: Size = 4
    """Windows per optimizer step, each as long as the context."""

    learning_rate: Positive = 0.06
    """Adam's learning rate; multiplied by warm-up, linear decay and sqrt(final density / current density)."""

    warm_up: float = Field(0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate rises linearly from zero; 5 to 10 % is best in the paper."""

    anneal_from: float = Field(0.01, ge=0, lt=1)
    """Share of the steps after which the density starts to fall from 1."""

    anneal_until: Share = 0.5
    """Share of the steps after which it has reached its final value."""

    weight_decay: Weight = 0.1
    """Share by which a step at learning rate 1 shrinks a weight; not applied to biases, gains and the bigram table."""

    momentum: float = Field(0.9, ge=0, lt=1)
    """Adam's first beta."""

    second_momentum: float = Field(0.95, ge=0, lt=1)
    """Adam's second beta."""

    epsilon: Positive = 0.1
    """Adam's epsilon; this large because gradients are scaled to a root mean square of 1."""

    precision: Precision = Field("float32", exclude_if=lambda precision: precision == "float32")
    """Number type of the products of a training step: `bfloat16` is autocast, with weights and losses in float32."""

    ranks: int = Field(1, ge=1, le=1024, exclude_if=lambda ranks: ranks == 1)
    """Processes on as many devices of one machine among which every batch is split, by Lightning Fabric."""

    validation_windows: Size = 1024
    """Number of validation windows, from the first, on which the final loss is measured."""

    @model_validator(mode="after")
    def _anneals_forward(self) -> "TrainingConfig":
        if self.anneal_until < self.anneal_from:
            least = self.anneal_from
            raise ValueError(f"anneal_until {self.anneal_until} is before anneal_from {least}; choose at least {least}")
        return self

    @model_validator(mode="after")
    def _ranks_share_the_batch(self) -> "TrainingConfig":
        if self.batch % self.ranks:
            choices = [ranks for ranks in range(1, min(self.batch, self.ranks) + 1) if self.batch % ranks == 0]
            raise ValueError(
                f"batch {self.batch} is not a multiple of ranks {self.ranks}; choose {', '.join(map(str, choices))}"
            )
        return self

    def steps(self, context: int) -> int:
        """Number of optimizer steps, at least one."""
        return max(1, self.tokens // (self.batch * context))


class CorpusModelConfig(ArchitectureConfig, TrainingConfig):
    """Settings of a method that trains a transformer on the corpus: one flat table of a preset."""

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
        """The transformer to train on a corpus with this vocabulary and context."""
        architecture = {name: getattr(self, name) for name in ArchitectureConfig.model_fields}
        return TransformerConfig(**architecture, vocabulary=vocabulary, context=context)


class DenseWeightsConfig(CorpusModelConfig):
    """The same settings with every weight kept and therefore a narrower stream."""

    d_model: Size = 64
    """Width of the residual stream, channels."""

    density: float = Field(1.0, ge=1, le=1)
    """Share of nonzero weights in the matrices of the blocks: all."""

    embedding_density: float = Field(1.0, ge=1, le=1)
    """The same share for the embedding and the unembedding: all."""

    learning_rate: Positive = 0.015
    """Adam's learning rate; multiplied by warm-up and linear decay."""
