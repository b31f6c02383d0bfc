"""Every row of a circuit says which ablation it was measured under, is the number of that one, and counts pairs."""

from dataclasses import replace
from functools import cache

import numpy as np
import planted_string_closing
import pytest
import torch
from planted import loss
from test_found_under import setting_of

from benchmark import metrics
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.settings import CircuitConfig
from benchmark.interventions.ablation import ablate, random_circuit
from benchmark.interventions.ablations import ABLATIONS
from benchmark.model.circuit import Circuit
from benchmark.model.interface import record, unedited
from benchmark.records.table import Record
from benchmark.scoring.case import CircuitUnderTest, DiscoveredCircuit
from benchmark.scoring.causal_scrubbing import scrubbed
from benchmark.scoring.intervention_prediction import EDITS, equally_long, intervention_prediction
from benchmark.scoring.path_length import depth_scores
from benchmark.scoring.redundant_nodes import drawn_nodes, first_pairs, redundant_nodes
from benchmark.scoring.score_circuit import score_circuit
from benchmark.tasks.answers import answer_logits, logit_difference
from benchmark.tasks.prompts import PromptBatch, TaskPrompts

OTHERS = {"stochastic", "worst_subset", "adversarial"}
SIZES = {"nodes", "touched_edges", "description_bits", "opaque_weights", "longest_path"}

some_ablations = pytest.mark.parametrize("ablation", ["mean", "zero", "resample"])
every_ablation = pytest.mark.parametrize("ablation", ABLATIONS)


def planted():
    return planted_string_closing.planted()


def first(batch: PromptBatch, pairs: int) -> PromptBatch:
    return batch.rows(slice(2 * pairs))


@cache
def scored(ablation: str):
    """Rows of the planted circuit; every test prompt stands twice."""
    setting = setting_of(planted(), ablation)
    test = first(setting.prompts.test, 8)
    twice = test.rows(torch.arange(16).repeat(2))
    prompts = TaskPrompts(setting.prompts.train, first(setting.prompts.validation, 5), twice)
    setting = replace(setting, prompts=prompts)
    config = CircuitConfig(ablation=ablation, target_loss=9.0, shrink=False, criterion="mean")
    found = find_circuit(
        setting.model, setting.prompts, setting.means, graph=setting.graph, target=0.15, ranking="attribution",
        ablation_values=setting.ablation_values, budget=config.budget, generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    found = replace(found, circuit=planted().nodes, status="ok")
    return setting, score_circuit(DiscoveredCircuit.of(setting, found, config))


@some_ablations
def test_every_row_states_its_ablation_and_all_others_are_named_beside_it(ablation):
    _, rows = scored(ablation)
    for row in rows:
        if row.metric == "robust_faithfulness":
            assert row.ablation == ""
        elif row.metric in ("faithfulness", "circuit_loss", "random_circuit_loss"):
            assert row.ablation in {*ABLATIONS, *OTHERS}
        else:
            assert row.ablation == ablation, row.metric
    assert len({(row.metric, row.ablation) for row in rows}) == len(rows)


def test_a_row_gets_no_ablation_that_its_measurement_does_not_state():
    _, rows = scored("resample")
    by_metric = {row.metric: Record.of(row, method="any").ablation for row in rows if row.metric != "faithfulness"}
    assert by_metric["idle_share"] == "resample"
    assert by_metric["robust_faithfulness"] == ""


@some_ablations
def test_the_n_of_every_row_is_the_number_of_distinct_pairs(ablation):
    setting, rows = scored(ablation)
    assert (len(setting.prompts.test), setting.prompts.test.clusters) == (32, 8)
    for row in rows:
        if row.metric in SIZES or row.value is None:
            assert row.n is None, row.metric
        else:
            assert row.n == (5 if row.metric in ("edges", "verified_edges", "lowest_loss") else 8), row.metric


def test_pairs_of_the_same_two_prompts_are_one_whichever_comes_first():
    batch = first(planted().task.test, 3)
    assert batch.rows(torch.tensor([0, 1, 2, 3, 1, 0, 4, 5])).pair.tolist() == [0, 0, 1, 1, 0, 0, 2, 2]


@some_ablations
def test_the_same_circuit_scores_the_same_under_an_ablation_whichever_the_run_is_under(ablation):
    _, own = scored(ablation)
    _, other = scored("zero" if ablation == "mean" else "mean")
    for metric in ("faithfulness", "circuit_loss"):
        mine, theirs = (
            next(row.value for row in rows if (row.metric, row.ablation) == (metric, ablation)) for rows in (own, other)
        )
        assert mine == pytest.approx(theirs, abs=1e-5)


# Each score against a plain computation under the ablation


class AblationValues:
    """A model whose nodes outside a circuit hold what an ablation says, whatever an edit does to them."""

    def __init__(self, trial: CircuitUnderTest, *batches: PromptBatch) -> None:
        self._batches = batches
        self.sites = trial.model.sites
        self._trial = trial
        self.connections = trial.model.connections
        self.read_out = trial.model.read_out

    def start(self, tokens):
        batch = next((each for each in self._batches if torch.equal(each.tokens, tokens)), None)
        self._held = None if batch is None else self._trial.ablation_values()(batch)
        return self._trial.model.start(tokens)

    def advance(self, state, stage, edit):
        def held(site, values):
            return ablate(self._trial.circuit, self._held)(site, edit(site, values))

        return self._trial.model.advance(state, stage, held)


def trial_of(ablation: str, missing: int = 1) -> CircuitUnderTest:
    """The planted circuit without its last nodes, so that what stands in their place matters."""
    setting = setting_of(planted(), ablation)
    batch = first(setting.prompts.test, 16)
    kept = {name: mask.clone() for name, mask in planted().nodes.masks.items()}
    for name in [name for name, mask in kept.items() if mask.any()][-missing:]:
        kept[name][kept[name].nonzero()[0]] = False
    explained = answer_logits(setting.model, batch, unedited)
    generator = torch.Generator().manual_seed(7)
    return CircuitUnderTest(
        setting.model, setting.model.sites, Circuit(kept), setting.means, batch, explained, generator,
        setting.position_means, ablation,
    )  # fmt: skip


def values(rows) -> dict[str, float | None]:
    return {row.metric: row.value for row in rows}


@every_ablation
def test_interchange_levels_and_stream_run_the_circuit_under_the_ablation(ablation):
    trial, known = trial_of(ablation), first(planted().task.validation, 16)
    batches = (trial.batch, known, first_pairs(equally_long(trial.batch)))
    held = replace(
        trial, model=AblationValues(trial, *batches), ablation="mean", generator=torch.Generator().manual_seed(7)
    )
    assert values(scrubbed(trial, known)) == pytest.approx(values(scrubbed(held, known)), abs=1e-5)
    found, expected = (
        values(depth_scores(each, trial.model, list(trial.model.connections("unit")), planted().means_tokens))
        for each in (trial, held)
    )
    for metric in ("stream_interchange_r2", "write_interchange_r2", "stream_share"):
        assert found[metric] == pytest.approx(expected[metric], abs=1e-5, nan_ok=True)


@every_ablation
def test_single_nodes_are_ablated_as_all_others_are(ablation):
    trial, generator = trial_of(ablation), torch.Generator().manual_seed(7)
    found, batch = values(redundant_nodes(trial)), trial.batch
    held, nodes = trial.ablation_values()(batch), drawn_nodes(trial.circuit, 64, generator)
    before = loss(trial.model, batch, ablate(trial.circuit, held))
    rises = []
    for node in nodes:
        masks = {name: mask.clone() for name, mask in trial.circuit.masks.items()}
        masks[node.site][node.index] = False
        rises.append(loss(trial.model, batch, ablate(Circuit(masks), held)) - before)
    assert found["idle_share"] == metrics.idle_share(np.array(rises))
    drawn = [random_circuit(trial.circuit, generator).complement() for _ in range(3)]
    losses = [loss(trial.model, batch, ablate(each, held)) for each in drawn]
    assert found["random_necessity"] == pytest.approx(sum(losses) / 3, abs=1e-5)


@every_ablation
def test_predicted_edits_are_made_in_the_circuit_under_the_ablation(ablation):
    trial = trial_of(ablation)
    found, batch = values(intervention_prediction(trial)), trial.batch
    live = {
        name: (rows - rows[torch.arange(len(rows)) ^ 1]).abs().flatten(0, 1).amax(0) > 1e-5 * rows.abs().max()
        for name, rows in record(trial.model, batch.tokens).items()
    }
    generator = torch.Generator().manual_seed(7)
    inside, outside = (
        drawn_nodes(Circuit({name: mask & live[name] for name, mask in part.masks.items()}), EDITS // 2, generator)
        for part in (trial.circuit, trial.circuit.complement())
    )
    circuit = ablate(trial.circuit, trial.ablation_values()(batch))
    whole = np.array([_effect(trial, unedited, node) for node in (*inside, *outside)])
    cut = np.array([*(_effect(trial, circuit, node) for node in inside), *(np.zeros(len(batch)) for _ in outside)])
    sign = np.array([1.0, -1.0] * (len(batch) // 2))  # effects on the first answer of each pair minus the second
    expected = metrics.logit_difference_r2((sign * whole).ravel(), (sign * cut).ravel())
    assert found["prediction_r2"] == pytest.approx(expected, abs=1e-4)


def _effect(trial: CircuitUnderTest, base, node) -> np.ndarray:
    """Change of the logit difference with a node at its value in the pair's other prompt."""
    batch, mirror = trial.batch, torch.arange(len(trial.batch)) ^ 1

    def edit(site, values):
        edited = base(site, values)
        if site.name == node.site:
            edited = edited.clone()
            edited[..., node.index] = edited[mirror][..., node.index]
        return edited

    with torch.no_grad():
        changed, before = (logit_difference(answer_logits(trial.model, batch, each), batch) for each in (edit, base))
    return (before - changed).numpy()
