"""The audit of the metrics: known models are what they claim to be, and a bad metric does not get through."""

import csv
import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import benchmark.ground_truth.audit
import benchmark.ground_truth.planted_models
import benchmark.ground_truth.rank_agreement
import benchmark.ground_truth.trained_models
from benchmark import metrics
from benchmark.cli import main
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.edges import verify_edges
from benchmark.ground_truth.audit import CANDIDATES, Case, RankableMetric, audit, degraded
from benchmark.ground_truth.planted_models import bits_of, known_model, known_models, model_difference
from benchmark.ground_truth.rank_agreement import agreement, examined
from benchmark.ground_truth.trained_models import Skipped, TrainedModel
from benchmark.interventions.ablation import keep_only
from benchmark.leaderboard.ranking import Board, Rules
from benchmark.metrics.recovery import node_recovery
from benchmark.model.circuit import Circuit
from benchmark.model.interface import CircuitModel, forward, unedited
from benchmark.records.table import Measurement, Record
from benchmark.statistics.intervals import spearman
from benchmark.tasks.answers import answer_logits

FAITHFULNESS = next(each for each in CANDIDATES if each.name == "faithfulness")


@cache
def models():
    return known_models()


SEARCHES = (("mask", 500), ("mask", 500), ("attribution", 100), ("random", 100), ("random", 100))


def as_trained(known, origin, exact=True):
    """A hand-set model in the place of a trained one: its truth is known as well."""
    parts = {name: getattr(known, name) for name in ("name", "model", "circuit", "prompts", "means", "windows")}
    return TrainedModel(
        **parts, origin=origin, dense=known.model, truth=lambda each: node_recovery(each, known.circuit).f1, exact=exact
    )


@cache
def looked_at():
    """Three models, two of them of one origin, and their circuits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark.ground_truth.rank_agreement, "SEARCHES", SEARCHES)
        return [
            examined(as_trained(models()[0], "first")),
            examined(as_trained(models()[1], "first", exact=False)),
            examined(as_trained(models()[2], "second")),
        ]


def loss(known, circuit):
    batch = known.prompts.test
    logits = answer_logits(known.model, batch, keep_only(circuit, known.means))
    return metrics.task_loss(logits, batch.answer, batch.other)


def changed(circuit, site, node):
    masks = {name: mask.clone() for name, mask in circuit.masks.items()}
    masks[site][node] = ~masks[site][node]
    return Circuit(masks)


every_model = pytest.mark.parametrize("number", range(4))


def few():
    """Some circuits of the first model, of each kind."""
    model = looked_at()[0]
    chosen = [0, 1, 5, 9, 13, *range(len(model.cases) - len(SEARCHES), len(model.cases))]
    rows = {name: getattr(model, name)[chosen] for name in ("truths", "reached", "equal")}
    return replace(model, cases=[model.cases[each] for each in chosen], **rows)


# Known models


def test_there_are_four_models_each_deeper_than_the_one_before():
    assert [len(known.model.sites) for known in models()] == [2, 3, 4, 5]
    assert all(isinstance(known.model, CircuitModel) for known in models())


@every_model
def test_the_known_circuit_does_the_task_and_the_empty_one_guesses(number):
    known = models()[number]
    assert loss(known, Circuit.whole(known.model.sites)) < 0.02
    assert loss(known, known.circuit) < 0.02
    assert loss(known, Circuit.empty(known.model.sites)) >= math.log(2) - 1e-6


@every_model
def test_no_node_of_the_known_circuit_can_be_spared_and_no_other_matters(number):
    known = models()[number]
    whole = Circuit.whole(known.model.sites)
    for name, mask in known.circuit.masks.items():
        for node, kept in enumerate(mask.tolist()):
            if kept:
                assert loss(known, changed(known.circuit, name, node)) > 0.1, (name, node)
            else:
                assert loss(known, changed(whole, name, node)) < 0.02, (name, node)


@every_model
def test_the_other_nodes_are_live_and_most_of_the_model(number):
    known = models()[number]
    state = known.model.start(known.windows)
    for site in known.model.sites:
        state = known.model.advance(state, site.stage, unedited)
        assert int((state[site.name].flatten(0, 1).std(0) > 0.1).sum()) > 2 * int(known.circuit.masks[site.name].sum())


@every_model
def test_all_edges_of_the_known_circuit_are_needed(number):
    known = models()[number]
    edges = metrics.edge_count(known.circuit, known.model.connections("unit"))
    roots, gates = 3, sum(int(known.circuit.masks[site.name].sum()) for site in known.model.sites[1:])
    values = int(known.circuit.masks["blocks.0.v"].sum())
    assert edges == values + 2 * gates + roots
    found = verify_edges(
        known.model,
        known.circuit,
        known.model.connections("unit"),
        known.means,
        known.prompts.validation,
        known.windows,
        Criterion.mean(0.05, known.prompts.validation),
    )
    assert (found.status, found.edges) == ("ok", edges)


@every_model
def test_prompts_of_a_pair_differ_in_one_bit_that_decides_the_answer(number):
    known = models()[number]
    batch = known.prompts.train
    bits = bits_of(batch.tokens, known.model.inputs)[:, 0]
    assert ((bits[::2] != bits[1::2]).sum(1) == 1).all()
    said = model_difference(known.model, batch.tokens)[:, 0] > 0
    assert torch.equal(said, batch.answer == 1)


def test_setting_a_node_moves_what_reads_it_by_the_edge_weight():
    known = models()[0]
    site = known.model.sites[-1]
    weight = {(each.target, each.source): each.full for each in known.model.connections("unit")}["logits", site.name]
    tokens = known.windows[:3]

    def edit(at, values):
        return values + 0.5 * torch.eye(at.size)[2] if at == site else values

    moved = forward(known.model, tokens, edit) - forward(known.model, tokens)
    assert torch.allclose(moved, (0.5 * weight[:, 2]).expand_as(moved), atol=1e-5)


def test_the_same_seed_gives_the_same_model_and_another_another():
    one, same, other = (known_model(2, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert one.circuit.kept() == same.circuit.kept() != other.circuit.kept()
    assert torch.equal(one.prompts.test.tokens, same.prompts.test.tokens)


# The audit


def test_a_degraded_circuit_has_a_third_of_its_nodes_swapped_within_their_sites():
    known = models()[3]
    wrong = degraded(known.circuit, torch.Generator().manual_seed(0))
    lost = 0
    for name, mask in known.circuit.masks.items():
        assert wrong.masks[name].sum() == mask.sum()
        lost += int((mask & ~wrong.masks[name]).sum())
    assert lost == round(sum(int(mask.sum()) for mask in known.circuit.masks.values()) / 3)


def test_the_order_of_a_case_has_the_nodes_of_its_circuit_first():
    known = models()[1]
    case = Case.of(known, known.circuit, torch.Generator().manual_seed(0))
    nodes = int(metrics.node_count(known.circuit))
    assert Circuit.first(known.model.sites, case.order, nodes).kept() == known.circuit.kept()
    assert sorted(case.order.tolist()) == list(range(len(case.order)))


def noisy(case):
    return FAITHFULNESS.score(case) + 100 * float(torch.rand(1, generator=case.generator))


@pytest.mark.parametrize(
    ("score", "direction", "says"),
    [
        (FAITHFULNESS.score, "lower", "not in order beyond chance (lower is better)"),
        (lambda case: 1.0, "higher", "not in order beyond chance"),
        (lambda case: math.nan, "higher", "reseed noise is nan% of the distance"),
        (noisy, "higher", "of the distance from oracle to random"),
    ],
    ids=["upside down", "constant", "undefined", "noise"],
)
def test_a_planted_bad_metric_fails(score, direction, says):
    (verdict,) = audit(models()[:2], [RankableMetric("bad", score, direction)], draws=5, searches=3)
    assert verdict.status == "failed"
    assert says in verdict.reason
    assert verdict.metric_version is None


def test_a_good_metric_passes_and_a_size_is_held_to_the_known_circuit():
    size = next(each for each in CANDIDATES if each.name == "verified_edges")
    good, edges = audit(models()[:2], [FAITHFULNESS, size], draws=10, searches=3)
    assert (good.status, good.reason, good.ordered_models) == ("passed", "", 2)
    assert good.oracle > 0.99
    assert edges.status == "not_applicable"
    assert edges.oracle == (15 + 18) / 2
    assert edges.found >= edges.oracle
    assert "circuits of equal size; the found ones are" in edges.reason
    assert edges.ordered_models is None


# The truth


def truth(case):
    return node_recovery(case.circuit, case.known.circuit).f1


def noise(case):
    return float(torch.rand(1, generator=case.generator))


def test_the_circuits_of_a_model_are_of_every_quality():
    model = looked_at()[0]
    assert len(model.cases) == 1 + 3 * 4 + 6 + len(SEARCHES)
    assert model.truths[0] == 1
    assert model.truths[1:5].mean() > model.truths[5:9].mean() > model.truths[9:13].mean() > model.truths[13:19].mean()
    assert model.reached[0]
    assert model.reached[-len(SEARCHES) :].all()
    assert not model.reached[13:19].any()


def test_a_metric_that_is_the_truth_agrees_and_its_reverse_disagrees():
    same = agreement(RankableMetric("same", truth, "higher"), looked_at())
    assert (same.correlation, same.low, same.high) == pytest.approx((1, 1, 1))
    assert same.models == 3
    reverse = agreement(RankableMetric("reverse", truth, "lower"), looked_at())
    assert (reverse.correlation, reverse.low, reverse.high) == pytest.approx((-1, -1, -1))


def test_a_metric_that_is_noise_has_an_interval_around_zero():
    told = agreement(RankableMetric("noise", noise, "higher"), looked_at())
    assert told.low < 0 < told.high
    assert agreement(RankableMetric("noise", noise, "higher"), looked_at()) == told


def test_a_constant_or_undefined_metric_has_no_correlation():
    bad = [RankableMetric("bad", lambda case, value=value: value, "higher") for value in (1.0, math.nan)]
    constant, undefined = (agreement(each, looked_at()) for each in bad)
    assert math.isnan(constant.correlation)
    assert math.isnan(constant.low)
    assert (undefined.models, undefined.circuits) == (0, 0)


def test_where_nodes_are_known_quality_is_judged_at_equal_size_and_size_at_the_target():
    first, functional, second = looked_at()
    quality, size = RankableMetric("quality", truth, "higher"), RankableMetric("size", truth, "lower", is_size=True)
    nodes = [metrics.node_count(case.circuit) for case in first.cases]
    assert first.counts(quality).tolist() == [each == nodes[0] for each in nodes]
    assert first.counts(size).tolist() == first.reached.tolist()
    assert functional.counts(quality).all()
    assert not functional.counts(size).any()
    told = agreement(next(each for each in CANDIDATES if each.name == "nodes"), looked_at())
    assert (told.models, told.circuits) == (2, int(first.reached.sum() + second.reached.sum()))
    assert told.low > 0


def test_a_rank_correlation_is_that_of_the_ranks():
    rows = torch.tensor([[1.0, 1.0], [2.0, 30.0], [3.0, 2.0], [3.0, 100.0]]).double().numpy()
    # ranks 1, 2, 3.5, 3.5 and 1, 3, 2, 4: covariance 3, variances 4.5 and 5, each times n - 1
    assert spearman(*rows.T) == pytest.approx(3 / math.sqrt(4.5 * 5))
    assert math.isnan(spearman(*(rows[2:] * [1, 0]).T))


@pytest.mark.parametrize(
    ("score", "is_size", "status", "says"),
    [
        (noise, False, "failed", "correlation with the truth on trained models is"),
        (truth, True, "failed", "is -1.00, -1.00 to -1.00, not above 0"),
        (lambda case: metrics.node_count(case.circuit), True, "passed", ""),
    ],
    ids=["noise", "size upside down", "size"],
)
def test_a_metric_that_does_not_follow_the_truth_fails(monkeypatch, score, is_size, status, says):
    before = {one.known.name: one for one in looked_at()}
    monkeypatch.setattr(benchmark.ground_truth.audit, "examined", lambda model: before[model.name])
    metric = RankableMetric("it", score, "lower", is_size)
    (verdict,) = audit(models()[:1], [metric], trained=[one.known for one in looked_at()], draws=5, searches=3)
    assert verdict.status == status
    assert says in verdict.reason
    assert verdict.trained_models == (2 if is_size else 3)
    assert verdict.truth_low <= verdict.truth_correlation <= verdict.truth_high


@pytest.mark.parametrize("verified", [True, False])
def test_what_the_leaderboard_ranks_by_is_audited(verified):
    names = ["edges", "verified_edges"] if verified else ["edges"]
    where = {"preset": "quick", "method": "dense", "variant": "native", "graph": "unit", "task": "easy", "seed": 0}
    where |= {"ranking": "mask", "ablation": "mean", "target_loss": 0.15}
    rows = [Record.of(Measurement(name, 5.0), **where) for name in names]
    ranks_by = Board("quick", rows, Rules()).size_metric
    assert ranks_by == names[-1]
    assert next(each for each in CANDIDATES if each.name == ranks_by).is_size


@pytest.mark.slow
def test_what_the_leaderboard_ranks_by_passes_the_audit():
    from sparse_model.known_circuit import native, trained

    learned = [native(trained(gates, 0), 0) for gates in (("xor", "and"), ("or", "and"))]
    edges = [each for each in CANDIDATES if each.name in ("edges", "verified_edges")]
    verdicts = audit(models(), edges, trained=learned, draws=5, searches=3)
    assert [each.status for each in verdicts] == ["passed", "passed"]


def test_the_same_arguments_give_the_same_verdicts():
    first, second = (audit(models()[:1], CANDIDATES[-1:], draws=5, searches=3) for _ in range(2))
    assert first == second


def test_the_command_writes_a_row_for_each_metric_and_prints_what_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark.ground_truth.planted_models, "known_models", lambda: models()[:2])
    offered = [Skipped("theirs", "theirs: interchange accuracy 0.5"), as_trained(models()[0], "first")]
    monkeypatch.setattr(benchmark.ground_truth.trained_models, "trained_models", lambda: offered)
    monkeypatch.setattr(benchmark.ground_truth.audit, "examined", lambda model: few())
    done = CliRunner().invoke(main, ["audit", "--draws", "5", "--searches", "3"])
    assert done.exit_code == 0, done.output
    with Path("results/audit.csv").open(newline="") as lines:
        rows = {row["metric"]: row for row in csv.DictReader(lines)}
    assert list(rows) == [each.name for each in CANDIDATES]
    assert {row["status"] for row in rows.values()} <= {"passed", "failed", "not_applicable"}
    assert all(bool(row["reason"]) == (row["status"] != "passed") for row in rows.values())
    assert rows["nodes"]["oracle"] == "10"
    assert {row["trained_models"] for row in rows.values()} == {"1"}
    assert "left out: theirs: interchange accuracy 0.5" in done.stderr
    failed = [name for name, row in rows.items() if row["status"] == "failed"]
    assert [line.split()[1].strip(":") for line in done.stdout.splitlines() if line.startswith("FAILED")] == failed
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_json_has_what_the_file_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verdicts = audit(models()[:1], CANDIDATES[:1], draws=5, searches=3)
    monkeypatch.setattr(benchmark.ground_truth.audit, "audit", lambda known, **sizes: verdicts)
    monkeypatch.setattr(benchmark.ground_truth.trained_models, "trained_models", list)
    (told,) = json.loads(CliRunner().invoke(main, ["audit", "--json"]).stdout)
    assert (told["metric"], told["oracle"], told["degraded"]) == ("nodes", 9.0, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--draws", "4"], "4 is not in the range 5<=x<=1000000"),
        (["--searches", "2"], "2 is not in the range 3<=x<=10000"),
        (["--out", "file"], "cannot write to folder 'file'"),
    ],
    ids=["draws", "searches", "out"],
)
def test_bad_usage_is_one_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    done = CliRunner().invoke(main, ["audit", *arguments])
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
