"""How circuits are found and scored. Imports no torch."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from benchmark.discovery.rankings import RANKINGS
from benchmark.interventions.ablations import ABLATIONS
from benchmark.settings import Positive, Seed, Settings, Size, Tokens, Weight, known_in

if TYPE_CHECKING:
    from benchmark.discovery.search import Budget


class CircuitConfig(Settings):
    """How a circuit is found and scored; the same for every method."""

    target_loss: Positive = 0.15
    """Task loss that a circuit has to reach, nats."""

    generalisation_margin: Weight = 0.05
    """A circuit counts if its loss on test prompts is at most this much above the target, nats."""

    budget_tokens: Tokens = 200_000
    """Prompt tokens run forward and backward while masks are learned, over all coefficients."""

    batch_pairs: Size = 16
    """Prompt pairs of a step."""

    train_pairs: Size = 256
    """Prompt pairs that masks are learned on."""

    validation_pairs: Size = 64
    """Prompt pairs that the ranking is cut on."""

    test_pairs: Size = 64
    """Prompt pairs that everything is reported on."""

    ranking: Annotated[str, known_in(RANKINGS)] = "mask"
    """What orders the nodes."""

    finder_seed: Seed = 0
    """Of the search for the circuit, beside the training seed."""

    ablation: Annotated[str, known_in(ABLATIONS)] = "mean"
    """What an ablated node holds while the circuit is searched."""

    coefficients: tuple[Weight, ...] = Field((1e-4, 1e-3), min_length=1, max_length=1000, strict=False)
    """Loss that a kept node costs, nats; each gets an equal share of the budget."""

    learning_rate: Positive = 0.01
    """Of AdamW at the start; decays linearly to zero."""

    temperature: Positive = 1.0
    """Of the sigmoid whose derivative stands in for that of the step."""

    initial_mean: float = Field(0.3, ge=-1, le=1)
    """Mean of the masks' parameters at the start."""

    initial_noise: Weight = 0.1
    """Their standard deviation."""

    edge_tokens: Tokens = 4_096
    """Training tokens over which what flows along edges is averaged, for edges that are cut."""

    largest_size: int = Field(10_000, ge=2, le=10**9)
    """Number of nodes at which the areas over log size end."""

    area_factor: float = Field(2.0, ge=1.01, le=1e6)
    """Ratio of neighbouring sizes at which faithfulness is taken for the areas."""

    redundancy: bool = False
    """Whether a second circuit is searched among the nodes outside the first; costs as much as the first search."""

    @property
    def found_by(self) -> str:
        """How circuits are found, for the records: the ranking, and the ablation unless that is by means."""
        return self.ranking if self.ablation == "mean" else f"{self.ranking}:{self.ablation}"

    @property
    def budget(self) -> "Budget":
        """What a search may spend."""
        from benchmark.discovery.search import Budget

        shared = ("batch_pairs", "coefficients", "learning_rate", "temperature", "initial_mean", "initial_noise")
        return Budget(tokens=self.budget_tokens, **{name: getattr(self, name) for name in shared})

    @model_validator(mode="after")
    def _second_at_means(self) -> "CircuitConfig":
        if self.redundancy and self.ablation != "mean":
            raise ValueError(f"redundancy searches under mean ablation only, not {self.ablation!r}")
        return self
