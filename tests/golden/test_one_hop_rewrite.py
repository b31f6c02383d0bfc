"""A one-hop rewrite of a two-hop computation: faithful and small, and caught by its paths and by interchanges."""

from functools import cache

import pytest
import torch
import two_hop_local
from planted import Planted, loss, without

from baselines.clt import CLTConfig
from baselines.clt import training as clt_training
from baselines.config import DictionaryConfig
from baselines.replacement import ReplacedMLPs
from baselines.transcoder import training as transcoder_training
from benchmark import metrics
from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.graph import LOGITS, node_sites
from benchmark.model.interface import CircuitModel, forward, unedited
from benchmark.records.table import Measurement
from benchmark.scoring.case import CircuitUnderTest
from benchmark.scoring.path_length import depth_scores, stream_effects
from benchmark.tasks.answers import answer_logits

HONEST = ("dense", "transcoder")


@cache
def planted() -> Planted:
    return two_hop_local.planted()


@cache
def model(name: str) -> CircuitModel:
    made = {"dense": lambda dense: dense, "transcoder": two_hop_local.transcoder, "rewrite": two_hop_local.rewrite}
    return made[name](planted().model)


@cache
def found(name: str) -> FoundCircuit:
    return find_circuit(
        model(name),
        planted().task,
        corpus_means(model(name), planted().means_tokens),
        graph="unit",
        target=0.15,
        budget=Budget(tokens=10_000, coefficients=(1e-3,)),
        generator=torch.Generator().manual_seed(1),
    )


def trial(cut: CircuitModel, kept: Circuit) -> CircuitUnderTest:
    batch = planted().task.test
    return CircuitUnderTest(
        model=cut,
        sites=node_sites(cut, "unit"),
        circuit=kept,
        means=corpus_means(cut, planted().means_tokens),
        batch=batch,
        reference_logits=answer_logits(planted().model, batch, unedited),
        generator=torch.Generator(),
    )


def measured(cut: CircuitModel, kept: Circuit) -> dict[str, Measurement]:
    rows = depth_scores(trial(cut, kept), planted().model, cut.connections("unit"), planted().means_tokens)
    return {row.metric: row for row in rows}


@cache
def score(name: str, metric: str) -> float:
    return measured(model(name), found(name).circuit)[metric].value


def faithfulness(cut: CircuitModel, kept: Circuit) -> float:
    of, batch = trial(cut, kept), planted().task.test

    def kl(circuit: Circuit) -> float:
        logits = answer_logits(cut, batch, keep_only(circuit, of.means))
        return metrics.pair_kl(of.reference_logits, logits, batch.answer, batch.other)

    with torch.no_grad():
        return metrics.faithfulness(kl(kept), kl(Circuit.empty(of.sites)))


# The planted model


def test_truth_does_the_task_and_no_node_can_be_spared():
    model, means = planted(), corpus_means(planted().model, planted().means_tokens)
    assert loss(model.model, model.task.test, keep_only(model.nodes, means)) < 0.02
    for site, nodes in model.nodes.kept().items():
        for node in nodes:
            assert loss(model.model, model.task.test, keep_only(without(model.nodes, site, node), means)) > 0.2
    assert model.edges_of(model.nodes) == model.edges


def test_finder_recovers_the_truth_in_the_model_and_in_its_transcoder():
    assert planted().recovery(found("dense").circuit).f1 == 1
    assert found("transcoder").circuit.kept() == {"blocks.0.feature": [0, 1], "blocks.1.feature": [0, 1]}


# What the usual numbers say


@pytest.mark.parametrize("name", ["transcoder", "rewrite"])
def test_dictionary_gives_the_models_logits_on_every_word(name):
    tokens = planted().means_tokens
    assert torch.allclose(forward(model(name), tokens), forward(planted().model, tokens), atol=0.01)


@pytest.mark.parametrize("name", [*HONEST, "rewrite"])
def test_circuit_is_faithful_and_has_four_nodes(name):
    assert found(name).status == "ok"
    assert faithfulness(model(name), found(name).circuit) > 0.99
    assert metrics.node_count(found(name).circuit) == 4


def test_fewer_features_fire_in_the_rewrite_than_in_the_transcoder():
    def l0(name: str) -> float:
        fires = corpus_fires(model(name))
        return sum(float(each.sum(-1).float().mean()) for each in fires)

    assert (l0("transcoder"), l0("rewrite")) == (2.0, 1.75)


def corpus_fires(cut: CircuitModel) -> list[torch.Tensor]:
    seen = []

    def watch(site, values):
        if site.kind == "feature":
            seen.append(values > 0)
        return values

    forward(cut, planted().means_tokens, watch)
    return seen


# What catches the rewrite


def test_paths_of_the_rewrite_are_of_one_unit_and_those_of_the_truth_of_up_to_two():
    for name in HONEST:
        assert score(name, "longest_path") == 2
        assert 1.5 < score(name, "path_length") < 1.7
    assert score("rewrite", "longest_path") == score("rewrite", "path_length") == 1


@pytest.mark.parametrize("metric", ["stream_interchange_r2", "write_interchange_r2", "stream_share"])
def test_interchanges_are_predicted_by_honest_circuits_and_not_at_all_by_the_rewrite(metric):
    for name in HONEST:
        assert score(name, metric) == pytest.approx(1, abs=1e-3)
    assert score("rewrite", metric) == pytest.approx(0, abs=1e-3)


def test_middle_variable_changes_the_models_answer_and_that_of_the_transcoder_and_not_that_of_the_rewrite():
    """Only MIDDLE is set to what it is in the other prompt: the logit difference of 7 nats turns to -7."""
    mask = torch.nn.functional.one_hot(torch.tensor(two_hop_local.MIDDLE), planted().model.config.d_model)
    batch = planted().task.test
    whole = stream_effects(planted().model, batch, part=lambda before, after: after * mask)
    assert torch.allclose(whole.abs(), torch.full_like(whole, 14), atol=0.05)
    for name, agreement in (("transcoder", 1), ("rewrite", 0)):
        edit = trial(model(name), found(name).circuit).edit(batch)
        effects = stream_effects(model(name), batch, edit, part=lambda before, after: after * mask)
        r2 = metrics.logit_difference_r2(whole.flatten(), effects.flatten())
        assert r2 == pytest.approx(agreement, abs=1e-3)


def test_errors_set_the_rewrite_right_where_they_are_kept():
    """With its errors the rewritten model computes what the dense model does, whatever happens to its stream."""
    rewrite = model("rewrite")
    complete = ReplacedMLPs(
        planted().model,
        list(rewrite.encoders),
        [[weight.data for weight in weights] for weights in rewrite.decoders],
        list(rewrite.biases),
        list(rewrite.mean_error),
        "errors_available",
    )
    rows = measured(complete, Circuit.whole(complete.sites))
    assert rows["stream_interchange_r2"].value == pytest.approx(1, abs=1e-3)
    assert rows["write_interchange_r2"].value == pytest.approx(1, abs=1e-3)
    assert rows["path_length"].status == "undefined"
    assert "opaque" in rows["path_length"].reason


def test_circuit_that_keeps_nothing_has_no_path_and_no_share():
    rows = measured(planted().model, Circuit.empty(node_sites(planted().model, "unit")))
    assert {name: row.status for name, row in rows.items()} == {
        "path_length": "undefined",
        "longest_path": "undefined",
        "stream_interchange_r2": "ok",
        "write_interchange_r2": "ok",
        "stream_share": "undefined",
    }
    assert rows["path_length"].reason == "no path joins the embeddings and the logits"


def test_weights_without_what_flows_along_them_hide_the_second_hop():
    """Why paths are weighted by attribution: the weights alone put the mean path of the truth near one unit."""
    kept, connections = found("dense").circuit, list(planted().model.connections("unit"))
    assert any(each.target == LOGITS for each in connections)
    assert metrics.path_length(kept, connections) < 1.3 < score("dense", "path_length")


# Dictionaries that are trained


def silent(*arguments):
    pass


def trained_clt(folder, seed: int) -> ReplacedMLPs:
    """A cross-layer transcoder under sparsity pressure: as many features may fire as the honest one needs."""
    config = CLTConfig(features=24, k=1, tokens=256 * 800, batch=256, learning_rate=1e-2, measured_tokens=1024)
    needed = {"dense": planted().model}
    clt_training.train(two_hop_local.Words(), config, seed, needed, folder, silent)
    return clt_training.load(folder, "errors_ablated", needed)


def trained_transcoder(folder, seed: int) -> ReplacedMLPs:
    config = DictionaryConfig(features=24, k=1, tokens=256 * 800, batch=256, learning_rate=1e-2, measured_tokens=1024)
    needed = {"dense": planted().model}
    transcoder_training.train(two_hop_local.Words(), config, seed, needed, folder, silent)
    return transcoder_training.load(folder, "errors_ablated", needed)


def whole(cut: ReplacedMLPs) -> dict[str, float]:
    kept = Circuit.whole(node_sites(cut, "unit"))
    return {name: row.value for name, row in measured(cut, kept).items()} | {"faithfulness": faithfulness(cut, kept)}


def test_trained_cross_layer_transcoder_is_faithful_and_goes_round_the_middle_variable(tmp_path):
    scores = whole(trained_clt(tmp_path, seed=0))
    assert scores["faithfulness"] > 0.99
    assert scores["path_length"] < 1.3
    assert scores["stream_interchange_r2"] < 0.8
    assert scores["stream_share"] < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_trained_transcoder_predicts_what_the_trained_cross_layer_transcoder_does_not(tmp_path, seed):
    (tmp_path / "clt").mkdir()
    (tmp_path / "transcoder").mkdir()
    across, own = whole(trained_clt(tmp_path / "clt", seed)), whole(trained_transcoder(tmp_path / "transcoder", seed))
    assert min(across["faithfulness"], own["faithfulness"]) > 0.99
    assert across["path_length"] < own["path_length"] - 0.15
    assert across["stream_interchange_r2"] < 0.8 < 0.95 < own["stream_interchange_r2"]
    assert across["write_interchange_r2"] < own["write_interchange_r2"] - 0.15
    assert across["stream_share"] < 0.8
    assert own["stream_share"] == pytest.approx(1)
    assert own["write_interchange_r2"] < 0.95, "so few features make a transcoder work the middle out again, in block 1"
