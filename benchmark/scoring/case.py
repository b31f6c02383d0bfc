"""What a circuit is scored on: the model, the circuit, the prompts, and everything a score may ask for."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.corpus import Corpus
from benchmark.discovery.finder import FoundCircuit
from benchmark.discovery.settings import CircuitConfig
from benchmark.interventions.ablation import (
    AblationValues,
    AblationValuesOn,
    Means,
    PositionMeans,
    ablate,
    ablation_values,
)
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.model.interface import CircuitModel, Connection, Edit, Graph, Site, unedited
from benchmark.records.table import Measurement
from benchmark.seeds import seed_of
from benchmark.tasks import Task
from benchmark.tasks.answers import answer_logits, prompt_losses
from benchmark.tasks.prompts import PromptBatch, TaskPrompts


@dataclass(frozen=True, eq=False)
class CircuitUnderTest:
    """A circuit on the test prompts of a task.

    Attributes:
        model: The model that is cut.
        sites: Whose nodes are kept or ablated.
        circuit: The circuit.
        means: Ablation values under mean ablation.
        batch: The prompts.
        reference_logits: Logits of the reference model.
        generator: Source of all draws.
        position_means: Those of mean ablation by position; without them that is left out.
        ablation: The ablation that the circuit was found under, and that every score is taken under but those that name
            another.
    """

    model: CircuitModel
    sites: tuple[Site, ...]
    circuit: Circuit
    means: Means
    batch: PromptBatch
    reference_logits: Float[Tensor, "prompt vocab"]
    generator: torch.Generator
    position_means: PositionMeans | None = None
    ablation: str = "mean"

    def ablation_values(self, ablation: str | None = None) -> AblationValuesOn:
        """Ablation values on given prompts, under the circuit's own ablation or another."""
        seed = self.generator.initial_seed()
        return ablation_values(ablation or self.ablation, self.model, self.means, self.position_means or {}, seed)

    def edit(self, batch: PromptBatch, circuit: Circuit | None = None) -> Edit:
        """The edit that ablates what is outside the circuit, or another one, on some prompts, all of them at once."""
        values = self.test_values if batch is self.batch else self.ablation_values()(batch)
        return ablate(self.circuit if circuit is None else circuit, values)

    @cached_property
    def test_values(self) -> AblationValues:
        """Ablation values on the test prompts, under the circuit's own ablation."""
        return self.ablation_values()(self.batch)

    def measured(self, metric: str, value: float, batch: PromptBatch | None = None, why: str = "") -> Measurement:
        """A number that was measured on the test prompts, or on others, under the circuit's own ablation."""
        if not math.isfinite(value):
            return self.missing(metric, why or f"{metric} came out as {value}")
        n = (self.batch if batch is None else batch).clusters
        return Measurement(metric, value, n=n, ablation=self.ablation)

    def missing(self, metric: str, reason: str, status: str = "undefined") -> Measurement:
        """Why there is no number."""
        return Measurement(metric, status=status, reason=reason, ablation=self.ablation)


@dataclass(frozen=True, eq=False)
class Setting:
    """A model with its nodes' means, and the prompts on which its circuit is found and scored.

    Attributes:
        model: The model that is cut.
        reference: The trained model that the circuit is compared with; the same object where a method explains itself.
        means: Ablation values under mean ablation.
        graph: Which sites count as nodes.
        prompts: Of the task.
        windows: Of the corpus, over which what flows along edges is averaged.
        seed: Of the bootstrap.
        position_means: Those under mean ablation by position.
        ablation: The one that the circuit is searched and scored under. What flows along edges is taken against their
            sources' means, and ablated edges carry these, under every ablation.
    """

    model: CircuitModel
    reference: CircuitModel
    means: Means
    graph: Graph
    prompts: TaskPrompts
    windows: Int[Tensor, "window position"]
    seed: int
    position_means: PositionMeans = field(default_factory=dict)
    ablation: str = "mean"

    @property
    def ablation_values(self) -> AblationValuesOn:
        """Ablation values on given prompts."""
        seed = seed_of("ablations", self.seed)
        return ablation_values(self.ablation, self.model, self.means, self.position_means, seed)


@dataclass(frozen=True, eq=False, kw_only=True)
class DiscoveredCircuit(CircuitUnderTest):
    """A circuit that a search has found, with all that its scores are computed from.

    Attributes:
        setting: What it was found in.
        found: What the search found.
        config: How it was searched.
        task: Its task; without one, scores that need its concepts or its shifts are left out.
        corpus: Of the model; goes with the task.
        folder: Of the cell: a score may leave there what `bench show` prints.
    """

    setting: Setting
    found: FoundCircuit
    config: CircuitConfig
    task: Task | None = None
    corpus: Corpus | None = None
    folder: Path | None = None

    @classmethod
    def of(
        cls,
        setting: Setting,
        found: FoundCircuit,
        config: CircuitConfig,
        task: Task | None = None,
        corpus: Corpus | None = None,
        folder: Path | None = None,
    ) -> "DiscoveredCircuit":
        """What a search has found in a setting; runs the reference model on the test prompts."""
        return cls(
            model=setting.model,
            sites=node_sites(setting.model, setting.graph),
            circuit=found.circuit,
            means=setting.means,
            batch=setting.prompts.test,
            reference_logits=answer_logits(setting.reference, setting.prompts.test, unedited),
            generator=torch.Generator().manual_seed(seed_of("ablations", setting.seed)),
            position_means=setting.position_means or None,
            ablation=setting.ablation,
            setting=setting,
            found=found,
            config=config,
            task=task,
            corpus=corpus,
            folder=folder,
        )

    @cached_property
    def connections(self) -> list[Connection]:
        """Of the graph that it was found in."""
        return list(self.model.connections(self.setting.graph))

    @cached_property
    def logits(self) -> dict[str, Float[Tensor, "prompt vocab"]]:
        """Answers to the test prompts by what is kept: `reference` (the reference model), `whole`, `circuit`, ..."""
        kept = {"circuit": self.circuit, "complement": self.circuit.complement(), "empty": Circuit.empty(self.sites)}
        return {
            "reference": self.reference_logits,
            "whole": answer_logits(self.model, self.batch, unedited),
            **{name: self.logits_of(circuit) for name, circuit in kept.items()},
        }

    def logits_of(self, circuit: Circuit) -> Float[Tensor, "prompt vocab"]:
        """Answers to the test prompts with only a circuit kept."""
        return answer_logits(self.model, self.batch, self.edit(self.batch, circuit))

    @cached_property
    def status(self) -> tuple[str, str]:
        """Whether the circuit counts, and if not, why."""
        whole, circuit = (float(prompt_losses(self.logits[name], self.batch).mean()) for name in ("whole", "circuit"))
        target, margin = self.config.target_loss, self.config.generalisation_margin
        if self.found.status == "ok" and circuit <= target + margin:
            return "ok", ""
        if whole > target:
            return "unsolved", f"the whole model's test loss is {whole:.3f}, above {target}"
        if self.found.status == "not_reached":
            return "not_reached", f"the lowest validation loss of any prefix is {self.found.lowest_loss:.3f}"
        return "not_generalised", f"test loss {circuit:.3f}, above {target} + {margin}"
