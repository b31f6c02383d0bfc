"""The ablations: what replaces the values of nodes outside a circuit. Imports no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.plugins.registry import Registry, resolve

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.model.interface import CircuitModel


@dataclass(frozen=True, eq=False)
class AblationContext:
    """What ablation values may be computed from.

    Attributes:
        model: The model that the circuit is part of; other prompts may be run through it.
        means: Corpus mean of every node, by site name.
        position_means: The same for each octave of positions; empty if they were not measured.
        seed: Seed for choosing the prompts to resample from.
    """

    model: "CircuitModel"
    means: "Mapping[str, Tensor]"
    position_means: "Mapping[str, Tensor]"
    seed: int


@dataclass(frozen=True)
class Ablation:
    """A way to ablate nodes.

    Attributes:
        name: Its name on the command line and in the records.
        source: The paper it comes from.
        values: `module:function` or a callable, `(batch, context) -> (site, values) -> values`. Called once per
            `benchmark.tasks.prompts.PromptBatch` with an `AblationContext`; the function that it returns is called at
            every site, and its result must broadcast to `[prompt, position, node]`.
    """

    name: str
    summary: str
    source: str
    values: str | Callable[..., Any]

    @property
    def function(self) -> Callable[..., Any]:
        """The resolved function."""
        return resolve(self.values)


def _ours(name: str, summary: str, source: str) -> Ablation:
    return Ablation(name, summary, source, f"benchmark.interventions.ablation:{name}")


OURS = (
    _ours("mean", "The node's mean over the corpus.", "Gao et al. 2025 (arXiv 2511.13653)"),
    _ours("position_mean", "Its mean over corpus positions about as far from the start.", "this benchmark"),
    _ours("zero", "Zero.", "Olsson et al. 2022 (arXiv 2209.11895)"),
    _ours("off", "What a feature is when it does not fire, zero; the mean of every other node.", "this benchmark"),
    _ours("resample", "Its value in a random other prompt of the same length.", "Chan et al. 2022, Causal scrubbing"),
    _ours("counterfactual", "Its value in the other prompt of the pair.", "Vig et al. 2020 (arXiv 2004.12265)"),
)

OF_SUBSETS = ("stochastic", "worst_subset", "adversarial")
"""Names that the records use for mean ablation of only some of the nodes outside a circuit."""


def _check(ablation: Ablation) -> None:
    """Raise a `ValueError` for a name that means something else in the records."""
    if ablation.name in OF_SUBSETS:
        raise ValueError(f"{ablation.name} is the records' name for an ablation of only some nodes")


ABLATIONS: Registry[Ablation] = Registry("ablation", Ablation, OURS, functions=("values",), check=_check)
"""Every ablation by name."""
