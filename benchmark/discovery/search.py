"""The inputs of a search for a circuit: the model, the prompts, the nodes and the budget."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmark.discovery.candidates import NodeTrials
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.degrees import degrees
from benchmark.discovery.spending import Spending
from benchmark.interventions.ablation import AblationValues, AblationValuesOn, ablate, alone_from
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.model.interface import CircuitModel, Connection, Graph, Site
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch, TaskPrompts, joined


@dataclass(frozen=True)
class Budget:
    """The budget of a search, and the settings of its stages; `CircuitConfig` documents them."""

    tokens: int = 200_000
    batch_pairs: int = 16
    coefficients: tuple[float, ...] = ()
    learning_rate: float = 0.01
    temperature: float = 1.0
    initial_mean: float = 0.3
    initial_noise: float = 0.1
    shrink: bool = True
    criterion: Literal["forms", "mean"] = "forms"
    margin: float = 0.0
    exchanges: int = 4
    certified_pairs: int = 96
    deletion_draws: int = 0
    deleted_share: float = 0.5


@dataclass(frozen=True, eq=False)
class Search:
    """A model, its prompts, and the sites whose nodes are ranked."""

    model: CircuitModel
    task: TaskPrompts
    ablation_values: AblationValuesOn
    sites: tuple[Site, ...]
    sample: PromptBatch
    """The prompts on which circuits are cut, shrunk and certified."""
    criterion: Criterion
    """What a circuit has to meet there."""
    graph: Graph
    """The graph in which edges are counted."""

    @classmethod
    def of(
        cls,
        model: CircuitModel,
        task: TaskPrompts,
        values: AblationValuesOn,
        graph: Graph,
        target: float,
        budget: Budget,
    ) -> "Search":
        """A search for a circuit at a target, in nats."""
        sample = sample_of(task, budget)
        criterion = criterion_of(sample, target, budget)
        return cls(model, task, values, node_sites(model, graph), sample, criterion, graph)

    def degrees(self, kept: Bool[Tensor, " node"]) -> Int[Tensor, " node"]:
        """Number of edges between each node and the kept ones."""
        return degrees(self.sites, self.connections, kept)

    def trials(self, tokens: int | float = math.inf) -> NodeTrials:
        """Tries circuits, up to a number of tokens."""
        return NodeTrials(self.model, self.sites, self.ablation_values, self.sample, self.criterion, Spending(tokens))

    @property
    def size(self) -> int:
        """Number of nodes."""
        return sum(site.size for site in self.sites)

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The edges of the graph."""
        return tuple(self.model.connections(self.graph))

    @cached_property
    def ablation_on_sample(self) -> AblationValues:
        """Ablation values on the sample."""
        return self.ablation_values(self.sample)

    @torch.no_grad()
    def sample_losses(self, circuit: Circuit) -> Float[Tensor, " prompt"]:
        """Loss of each prompt of the sample with all other nodes ablated, nats."""
        edit = ablate(circuit, self.ablation_on_sample)
        return prompt_losses(answer_logits(self.model, self.sample, edit, alone_from=self.alone_from), self.sample)

    @cached_property
    def alone_from(self) -> int | None:
        """The stage from which on only the positions of the answers need to be run; `None` if all are needed."""
        return alone_from(self.model, self.sites, self.ablation_on_sample, self.sample)


def criterion_of(sample: PromptBatch, target: float, budget: Budget) -> Criterion:
    """What a circuit has to meet on the sample: a loss below the target by the margin, in the mean and in every form.

    A search for the smallest circuit ends at the edge of what its own prompts allow, so it would miss the target on
    others. The paper's own criterion is the target itself, for the mean alone.
    """
    if budget.criterion == "mean":
        return Criterion.mean(target, sample)
    return Criterion(target * (1 - budget.margin), sample.form)


def sample_of(task: TaskPrompts, budget: Budget) -> PromptBatch:
    """The prompts on which circuits are cut, shrunk and certified.

    Half of them are train prompts and half validation prompts, so that a circuit does the task in the forms of both.
    Forms take turns, so that the first pairs of a split are spread evenly over its forms. The paper's own criterion is
    the mean over validation prompts.
    """
    if budget.criterion == "mean":
        return task.validation
    half = budget.certified_pairs // 2
    return joined(task.train.rows(slice(2 * half)), task.validation.rows(slice(2 * half)))
