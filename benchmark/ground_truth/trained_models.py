"""Small trained models whose circuit is known, for the audit, and the entry points that provide them."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points

from benchmark.ground_truth.planted_models import PlantedModel
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel

GROUP = "sparse_circuit_bench.known_models"
"""The entry-point group of functions that take no arguments and return trained models."""


class NotLearnedError(ValueError):
    """A model did not learn to compute the causal model in the intended nodes."""


@dataclass(frozen=True)
class Skipped:
    """A trained model that is not available, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedModel(PlantedModel):
    """A model that was trained to compute a causal model in known nodes, or that replaces parts of such a model.

    Attributes:
        origin: Name of the training; a model and the dictionaries fitted to it share it, as they are not independent.
        dense: The reference model, with which circuits are compared.
        truth: How right a circuit is, 0 to 1, higher is better.
        exact: Whether `circuit` is known node by node, so that the truth penalises superfluous nodes. If not, `circuit`
            is the result of a long search, and the truth says only what a circuit does.
    """

    origin: str
    dense: CircuitModel
    truth: Callable[[Circuit], float]
    exact: bool

    @property
    def reference(self) -> CircuitModel:
        """The reference model, with which circuits are compared."""
        return self.dense


def trained_models() -> list[TrainedModel | Skipped]:
    """All trained models that the installed packages provide; training takes a minute or two."""
    found: list[TrainedModel | Skipped] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.value):
        found += entry.load()()
    return found
