"""Settings shared by the trained dictionaries, importable without torch."""

from pydantic import Field, model_validator

from benchmark.methods import Axis, Variant
from benchmark.settings import Positive, Settings, Share, Size, Tokens, Weight

VARIANTS = (Variant("errors_ablated", ("unit",)), Variant("errors_available", ("unit",), ranked=False))
"""The variants of every dictionary."""

SAE_LENS = {"sae-lens": "baselines.exports:sae_lens"}
"""The format in which `bench export` writes SAEs and transcoders."""

SWEEP = (Axis("k", (0.5, 1.0, 2.0), "L0"), Axis("features", (0.5, 1.0, 2.0), "width"))
"""What is varied in a sweep of dictionaries."""


class MeasuredConfig(Settings):
    """How a dictionary is measured."""

    measured_tokens: Tokens = 65_536
    """Tokens over which the mean errors and, on the validation split, the quality are measured."""


class WidthConfig(MeasuredConfig):
    """How many features a replaced layer has, and how many of them fire."""

    features: Size = 256
    """Features at each replaced layer."""

    k: Size = 12
    """L0: number of features that fire, averaged over positions and layers."""

    @model_validator(mode="after")
    def _fires_no_more_than_there_are(self) -> "WidthConfig":
        if self.k > self.features:
            raise ValueError(f"k {self.k} is more than the {self.features} features; choose 1 to {self.features}")
        return self


class DictionaryConfig(WidthConfig):
    """How a dictionary is trained."""

    tokens: Tokens = 2_000_000
    """Training tokens; each gives one activation vector per hook point."""

    batch: Size = 2048
    """Tokens per optimizer step."""

    learning_rate: Positive = 2e-3
    """Peak learning rate of Adam."""

    warm_up: Share = 0.05
    """Share of the steps over which the learning rate rises linearly from zero."""

    decay: Share = 0.3
    """Share of the steps, at the end, over which it falls linearly to zero."""

    dead_after: int = Field(10, ge=1, le=10**9)
    """Steps without firing after which a feature counts as dead during training."""

    auxiliary: Weight = 1.0
    """Coefficient of AuxK: dead features predict the error of the live ones (Gao et al. 2024, arXiv 2406.04093)."""

    revivals: int = Field(36, ge=0, le=10**6)
    """How many times dead features are revived where the error is large, evenly spaced until halfway through the
    decay: many, since some die again each time, and reviving a few at a time disturbs the others less."""

    @model_validator(mode="after")
    def _schedule_fits(self) -> "DictionaryConfig":
        if self.warm_up + self.decay > 1:
            raise ValueError(f"warm_up {self.warm_up} and decay {self.decay} exceed the whole run; choose less")
        if self.batch > self.tokens:
            raise ValueError(f"batch {self.batch} is more than the {self.tokens} tokens; choose 1 to {self.tokens}")
        return self

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return self.tokens // self.batch

    def revives(self, step: int) -> bool:
        """Whether dead features are revived after this step, counted from 1."""
        between = int((1 - self.decay / 2) * self.steps / (self.revivals + 1))
        return between > 0 and step % between == 0 and step // between <= self.revivals
