"""What the scores are computed from: the model, the circuit, the prompts, and cached results that scores share."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark.corpus import Corpus
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.cutting import FoundCircuit
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
    """A circuit of a model, and the test prompts of a task.

    Attributes:
        sites: Sites whose nodes are kept or ablated.
        means: Ablation values under mean ablation.
        reference_logits: Logits of the reference model on the test prompts.
        generator: Source of all random draws.
        position_means: Ablation values under mean ablation by position, which is skipped without them.
        ablation: The ablation under which the circuit was found, and under which it is scored if no other is named.
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
        """Ablation values as a function of the prompts, under the circuit's own ablation or another."""
        seed = self.generator.initial_seed()
        return ablation_values(ablation or self.ablation, self.model, self.means, self.position_means or {}, seed)

    def edit(self, batch: PromptBatch, circuit: Circuit | None = None) -> Edit:
        """The edit that ablates all nodes outside the circuit, or another one; for runs of the whole batch at once."""
        values = self.test_values if batch is self.batch else self.ablation_values()(batch)
        return ablate(self.circuit if circuit is None else circuit, values)

    @cached_property
    def test_values(self) -> AblationValues:
        """Ablation values on the test prompts, under the circuit's own ablation."""
        return self.ablation_values()(self.batch)

    def measured(self, metric: str, value: float, batch: PromptBatch | None = None, why: str = "") -> Measurement:
        """A value measured on the test prompts, or on others, under the circuit's own ablation."""
        if not math.isfinite(value):
            return self.missing(metric, why or f"{metric} came out as {value}")
        n = (self.batch if batch is None else batch).clusters
        return Measurement(metric, value, n=n, ablation=self.ablation)

    def missing(self, metric: str, reason: str, status: str = "undefined") -> Measurement:
        """A metric without a value, and the reason."""
        return Measurement(metric, status=status, reason=reason, ablation=self.ablation)


@dataclass(frozen=True, eq=False)
class Setting:
    """A model with its ablation values, and the prompts on which its circuit is found and scored.

    Attributes:
        reference: The reference model that the circuit is compared with; the same object if a method explains itself.
        means: Ablation values under mean ablation.
        graph: Which sites count as nodes.
        windows: Corpus windows over which what flows along edges is averaged.
        seed: Seed of the bootstrap and of the ablations.
        position_means: Ablation values under mean ablation by position.
        ablation: The ablation under which the circuit is searched for and scored. Under every ablation, ablated edges
            carry their sources' means, and what flows along edges is measured relative to these.
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
    """A discovered circuit, with everything that its scores are computed from.

    Attributes:
        task: The task; without one, scores that need its concepts or its shifts are skipped.
        corpus: The corpus of the model; given together with the task.
        folder: The folder of the cell, where a score may save what `bench show` prints.
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
        """The circuit that a search has found in a setting; runs the reference model on the test prompts."""
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
        """The connections of the graph that it was found in."""
        return list(self.model.connections(self.setting.graph))

    @cached_property
    def logits(self) -> dict[str, Float[Tensor, "prompt vocab"]]:
        """Test logits of the `reference` and `whole` model, the `circuit`, its `complement` and the `empty` circuit."""
        kept = {"circuit": self.circuit, "complement": self.circuit.complement(), "empty": Circuit.empty(self.sites)}
        return {
            "reference": self.reference_logits,
            "whole": answer_logits(self.model, self.batch, unedited),
            **{name: self.logits_of(circuit) for name, circuit in kept.items()},
        }

    def logits_of(self, circuit: Circuit) -> Float[Tensor, "prompt vocab"]:
        """Test logits with only a given circuit kept."""
        return answer_logits(self.model, self.batch, self.edit(self.batch, circuit))

    @cached_property
    def status(self) -> tuple[str, str]:
        """Whether the circuit solves the task, and if not, why."""
        losses = {name: prompt_losses(self.logits[name], self.batch) for name in ("whole", "circuit")}
        whole, circuit = (float(row.mean()) for row in losses.values())
        target, margin = self.config.target_loss, self.config.generalisation_margin
        criterion = Criterion(target + margin, self.batch.form, self.config.criterion == "forms")
        if self.found.status == "ok" and criterion.holds(losses["circuit"]):
            return "ok", ""
        if whole > target:
            return "unsolved", f"the whole model's test loss is {whole:.3f}, above {target}"
        if self.found.status == "not_reached":
            return "not_reached", not_reached_because(self.found.lowest_loss, target)
        if circuit > target + margin:
            return "not_generalised", f"test loss {circuit:.3f}, above {target} + {margin}"
        form, loss = criterion.worst(losses["circuit"])
        limit = f"{criterion.form_limit:.2f}"
        return "not_generalised", f"test loss {loss:.3f} in form {self.batch.forms[form]!r}, above {limit}"


def not_reached_because(lowest_loss: float, target: float) -> str:
    """Why no prefix of the order does the task: by the mean loss, or in spite of it in some form."""
    lowest = f"the lowest loss of any prefix is {lowest_loss:.3f} where it was cut"
    return lowest if lowest_loss > target else f"{lowest}, but it stays too high in some form"
