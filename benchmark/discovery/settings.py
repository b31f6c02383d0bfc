"""The settings of circuit discovery and scoring. Imports no torch."""

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from benchmark.corpus.config import Split
from benchmark.discovery.rankings import RANKINGS
from benchmark.interventions.ablations import ABLATIONS
from benchmark.settings import Name, Positive, Seed, Settings, Size, Tokens, Weight, known_in

if TYPE_CHECKING:
    from benchmark.discovery.search import Budget


FEWEST_DRAWS = 5
"""Draws of deletion smoothing below which no node can be in significantly more than half of the circuits."""


class CircuitConfig(Settings):
    """How circuits are discovered and scored; the same for every method."""

    target_loss: Positive = 0.15
    """Task loss that a circuit has to reach, nats."""

    generalisation_margin: Weight = 0.05
    """A circuit counts if its loss on test prompts exceeds the target by at most this much, nats."""

    budget_tokens: Tokens = 200_000
    """Prompt tokens run forward and backward to learn the masks, all of them together. Cutting again, thinning,
    exchanges and thinning the edges may run as many each, and certifying nodes or edges four times as many; a forward
    pass alone counts a third. If no circuit does the task but one comes near, masks are learned once more instead of
    exchanging nodes."""

    batch_pairs: Size = 16
    """Prompt pairs per step."""

    train_pairs: Size = 256
    """Prompt pairs on which nodes are ranked."""

    validation_pairs: Size = 64
    """Prompt pairs on which the ranking is cut."""

    test_pairs: Size = 64
    """Prompt pairs on which all scores are reported."""

    forms: dict[Name, Annotated[list[Name], Field(max_length=1000)]] = Field(default_factory=dict, max_length=1000)
    """The forms that count, by task: those in which the reference models do the task (`bench forms`). A task that is
    not listed is posed in all of its forms."""

    held_out: Name = ""
    """A form that all test prompts have and no others (`bench leave-one-out`); empty if none is held out."""

    ranking: Annotated[str, known_in(RANKINGS)] = "mask"
    """The ranking that orders the nodes."""

    finder_seed: Seed = 0
    """Seed of circuit discovery, in addition to the training seed."""

    ablation: Annotated[str, known_in(ABLATIONS)] = "mean"
    """The ablation values during circuit discovery."""

    coefficients: tuple[Weight, ...] = Field((), max_length=1000, strict=False)
    """Penalties per kept node, nats; a mask is learned with each, in an equal share of the budget. If there are none,
    one mask is learned with a penalty that is adapted until the task loss is at the target. The paper's own procedure
    has fixed penalties, for example `[1e-4, 1e-3]`, with `criterion=mean` and `shrink=false`."""

    learning_rate: Positive = 0.01
    """Initial learning rate of AdamW; decays linearly to zero."""

    temperature: Positive = 1.0
    """Temperature of the sigmoid whose derivative replaces that of the step function."""

    initial_mean: float = Field(0.3, ge=-1, le=1)
    """Initial mean of the mask parameters."""

    initial_noise: Weight = 0.1
    """Initial standard deviation of the mask parameters."""

    shrink: bool = True
    """Whether a circuit is shrunk until no node can be removed alone, and its edges likewise."""

    criterion: Literal["forms", "mean"] = "forms"
    """`forms`: the mean loss over train and validation prompts is at most the target, and that of no form above twice
    the target. `mean`: the mean loss over validation prompts is at most the target, as in the paper."""

    search_margin: float = Field(1 / 3, ge=0, lt=1)
    """How far below the target the search stays on its own prompts, as a share of the target; for `forms` only. Chosen
    on four tasks that preset quick does not score: without it 2 of 12 circuits missed the target on test forms, with
    a third 1, with two thirds none, but then a model at half the target could not reach it."""

    exchanges: int = Field(4, ge=0, le=10_000)
    """Nodes brought in, one after the other, to see whether two or more others can go, or one with more edges."""

    certified_pairs: int = Field(96, ge=2, le=10_000)
    """Prompt pairs on which circuits are cut, shrunk and certified, half of them train pairs; for `forms` only."""

    deletion_draws: int = Field(0, ge=0, le=10_000)
    """Number of searches for deletion smoothing: each lacks a random part of the prompts, and the nodes that are in
    significantly more than half of the circuits are kept. Every search has the whole budget; 0 searches once, with all
    prompts."""

    deleted_share: float = Field(0.5, gt=0, lt=1)
    """Probability with which deletion smoothing leaves out a pair of train or validation prompts."""

    edge_tokens: Tokens = 4_096
    """Training tokens over which the ablation values of edges are averaged."""

    largest_size: int = Field(10_000, ge=2, le=10**9)
    """Number of nodes at which the areas over log size end."""

    area_factor: float = Field(2.0, ge=1.01, le=1e6)
    """Ratio of adjacent sizes at which faithfulness is measured for the areas."""

    redundancy: bool = False
    """Whether to search for a second circuit among the nodes outside the first; costs as much as the first search."""

    @property
    def pairs(self) -> dict[Split, int]:
        """Number of prompt pairs that are drawn, by split."""
        return {"train": self.train_pairs, "validation": self.validation_pairs, "test": self.test_pairs}

    @property
    def found_by(self) -> str:
        """How circuits are discovered, for the records: the ranking, and the ablation unless that is by means."""
        return self.ranking if self.ablation == "mean" else f"{self.ranking}:{self.ablation}"

    @property
    def budget(self) -> "Budget":
        """The budget of a search."""
        from benchmark.discovery.search import Budget

        shared = {field.name for field in fields(Budget)} & set(type(self).model_fields)
        own = {name: getattr(self, name) for name in shared}
        return Budget(tokens=self.budget_tokens, margin=self.search_margin, **own)

    @model_validator(mode="after")
    def _enough_draws(self) -> "CircuitConfig":
        if 0 < self.deletion_draws < FEWEST_DRAWS:
            raise ValueError(f"deletion_draws is {self.deletion_draws}; it is 0, or at least {FEWEST_DRAWS}")
        return self

    @model_validator(mode="after")
    def _searches(self) -> "CircuitConfig":
        repeated = [name for name in ("deletion_draws", "redundancy") if getattr(self, name)]
        if repeated and RANKINGS[self.ranking].as_given:
            raise ValueError(f"{repeated[0]} repeats a search, and ranking {self.ranking!r} does not search")
        return self

    @model_validator(mode="after")
    def _second_at_means(self) -> "CircuitConfig":
        if self.redundancy and self.ablation != "mean":
            raise ValueError(f"redundancy is measured under mean ablation only, not {self.ablation!r}")
        return self
