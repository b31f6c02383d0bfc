"""The ablations: what a node holds that is not part of a circuit. Imports no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.plugins.registry import Registry, resolve

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.model.interface import CircuitModel


@dataclass(frozen=True, eq=False)
class AblationContext:
    """What the values of ablated nodes may be made of.

    Attributes:
        model: The model that is cut; other prompts may be run through it.
        means: Corpus mean of every node, by site name.
        position_means: The same for each octave of positions; empty where they were not taken.
        seed: Of the prompts that stand in for others.
    """

    model: "CircuitModel"
    means: "Mapping[str, Tensor]"
    position_means: "Mapping[str, Tensor]"
    seed: int


@dataclass(frozen=True)
class Ablation:
    """What ablated nodes hold.

    Attributes:
        name: Its name on the command line and in the records.
        summary: One sentence.
        source: The paper it comes from.
        values: `module:function` or a callable, `(batch, context) -> (site, values) -> values`. Called once for each
            `benchmark.tasks.prompts.PromptBatch` with an `AblationContext`; what it returns is called at every site and
            has to broadcast to `[prompt, position, node]`.
    """

    name: str
    summary: str
    source: str
    values: str | Callable[..., Any]

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        return resolve(self.values)


_GAO = "Gao et al. 2025 (arXiv 2511.13653)"
_FILE = "benchmark.interventions.ablation"

OURS = (
    Ablation("mean", "The node's mean over the corpus.", _GAO, f"{_FILE}:mean"),
    Ablation(
        name="position_mean",
        summary="Its mean over positions of the corpus about as far from the start.",
        source="this benchmark",
        values=f"{_FILE}:position_mean",
    ),
    Ablation("zero", "Zero.", "Olsson et al. 2022 (arXiv 2209.11895)", f"{_FILE}:zero"),
    Ablation(
        name="resample",
        summary="Its value in a random other prompt of the same length.",
        source="Chan et al. 2022, Causal scrubbing",
        values=f"{_FILE}:resample",
    ),
    Ablation(
        name="counterfactual",
        summary="Its value in the other prompt of the pair.",
        source="Vig et al. 2020 (arXiv 2004.12265)",
        values=f"{_FILE}:counterfactual",
    ),
)

OF_SUBSETS = ("stochastic", "worst_subset", "adversarial")
"""Names in the records of which nodes outside a circuit are ablated, all of them at their means."""


def _check(ablation: Ablation) -> None:
    """`ValueError` for a name that means something else in the records."""
    if ablation.name in OF_SUBSETS:
        raise ValueError(f"{ablation.name} is how the records call an ablation of some nodes")


ABLATIONS: Registry[Ablation] = Registry("ablation", Ablation, OURS, functions=("values",), check=_check)
"""Every ablation by name."""
