"""The inputs of a search for a circuit: the model, the prompts, the nodes and the budget."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.interventions.ablation import AblationValues, AblationValuesOn, ablate
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, Site
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import TaskPrompts


@dataclass(frozen=True)
class Budget:
    """The budget of a search, and the hyperparameters of the learned mask; `CircuitConfig` documents them."""

    tokens: int = 200_000
    batch_pairs: int = 16
    coefficients: tuple[float, ...] = (1e-4, 1e-3)
    learning_rate: float = 0.01
    temperature: float = 1.0
    initial_mean: float = 0.3
    initial_noise: float = 0.1


@dataclass(frozen=True, eq=False)
class Search:
    """A model, its prompts, and the sites whose nodes are ranked."""

    model: CircuitModel
    task: TaskPrompts
    ablation_values: AblationValuesOn
    sites: tuple[Site, ...]

    @property
    def size(self) -> int:
        """Number of nodes."""
        return sum(site.size for site in self.sites)

    @cached_property
    def validation_ablation(self) -> AblationValues:
        """Ablation values on validation prompts."""
        return self.ablation_values(self.task.validation)

    @torch.no_grad()
    def validation_losses(self, circuit: Circuit) -> Float[Tensor, " prompt"]:
        """Loss of each validation prompt with all other nodes ablated, nats."""
        batch = self.task.validation
        return prompt_losses(answer_logits(self.model, batch, ablate(circuit, self.validation_ablation)), batch)
