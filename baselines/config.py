"""The settings that the trained dictionaries share, importable without torch."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class WidthConfig(BaseModel):
    """How many features a place has, and how many of them fire."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: int = Field(256, ge=1)
    """Features at each replaced place."""

    k: int = Field(12, ge=1)
    """L0: how many features fire at a position, the mean over positions and layers."""

    measured_tokens: int = Field(65_536, ge=1)
    """Tokens over which mean errors, and on the validation split the quality, are measured."""

    @model_validator(mode="after")
    def _fires_no_more_than_there_are(self) -> "WidthConfig":
        if self.k > self.features:
            raise ValueError(f"k {self.k} is more than the {self.features} features; choose 1 to {self.features}")
        return self


class DictionaryConfig(WidthConfig):
    """How a dictionary is trained."""

    tokens: int = Field(2_000_000, ge=1)
    """Training tokens; each gives one activation vector a place."""

    batch: int = Field(2048, ge=1)
    """Tokens in an optimizer step."""

    learning_rate: float = Field(2e-3, gt=0)
    """Adam's learning rate at its highest."""

    warm_up: float = Field(0.05, ge=0, le=1)
    """Share of the steps over which the learning rate rises linearly from zero."""

    decay: float = Field(0.3, ge=0, le=1)
    """Share of the steps, the last ones, over which it falls linearly to zero."""

    dead_after: int = Field(10, ge=1)
    """Steps without firing after which a feature counts as dead while training."""

    auxiliary: float = Field(1.0, ge=0)
    """Coefficient of AuxK: dead features predict what the living ones miss (Gao et al. 2024, arXiv 2406.04093)."""

    revivals: int = Field(36, ge=0)
    """How often, at even distances until the learning rate has half fallen, dead features are put where the error is
    large: often, since each time a part of them dies again, and few at a time disturb the others less."""

    @model_validator(mode="after")
    def _schedule_fits(self) -> "DictionaryConfig":
        if self.warm_up + self.decay > 1:
            raise ValueError(f"warm_up {self.warm_up} and decay {self.decay} are more than the whole run; choose less")
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
