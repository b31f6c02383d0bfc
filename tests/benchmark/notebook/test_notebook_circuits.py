"""A circuit is found and scored from Python by little more than a model and a task; what is wrong is named."""

import math
import re
from random import Random
from xml.etree import ElementTree

import pytest
import shape_checks
import string_closing
import torch

import benchmark
from benchmark.corpus.tokenizer import train_tokenizer
from benchmark.discovery import finder
from benchmark.discovery.cutting import FoundCircuit
from benchmark.discovery.settings import CircuitConfig
from benchmark.interventions.ablation import at_means, corpus_means
from benchmark.metrics import edge_count
from benchmark.running.config import load_preset
from benchmark.running.posing import in_forms
from benchmark.tasks import SPLITS, TASKS
from benchmark.tasks.prompts import TaskPrompts

FAST = benchmark.Budget(tokens=3_000, batch_pairs=4, certified_pairs=16, exchanges=0)
QUICK = {"budget": FAST, "ranking": "attribution"}


@pytest.fixture(scope="module")
def model():
    with torch.no_grad():
        return string_closing.model()


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(0)
    return TaskPrompts(*(string_closing.batch(pairs, generator) for pairs in (16, 8, 8)))


@pytest.fixture(scope="module")
def found(model, prompts):
    return benchmark.find_circuit(model, prompts, windows=prompts.train.tokens, **QUICK)


def test_the_planted_circuit_is_found_with_what_is_not_given_left_to_defaults(model, found):
    planted = string_closing.circuit(model).kept()
    assert found.status == "ok"
    assert all(set(nodes) <= set(planted[site]) for site, nodes in found.circuit.kept().items())
    assert found.losses["whole"] < 0.01
    assert found.losses["circuit"] <= 0.2 < found.losses["empty"]
    config = CircuitConfig(**load_preset("quick").tables["circuit"])
    assert found.case.config.target_loss == config.target_loss == 0.15
    assert found.case.config.learning_rate == FAST.learning_rate
    assert found.case.setting.graph == "unit"


def test_the_pieces_give_the_circuit_that_the_finder_gives(model, prompts, found):
    means = corpus_means(model, prompts.train.tokens)
    made = {"graph": "unit", "target": 0.15, **QUICK}
    direct = finder.find_circuit(model, prompts, means, **made, generator=torch.Generator().manual_seed(5))
    given = benchmark.find_circuit(model, prompts, means, **made, generator=torch.Generator().manual_seed(5))
    assert torch.equal(direct.order, given.order)
    assert isinstance(given, FoundCircuit)
    again = benchmark.find_circuit(model, prompts, windows=prompts.train.tokens, **QUICK)
    assert torch.equal(again.order, found.order)


def test_scores_are_a_tidy_table_and_the_same_every_time(found):
    scores = benchmark.score(found)
    assert scores.equals(benchmark.score(found))
    mean = scores[scores.ablation == "mean"].set_index("metric")
    assert mean.value["nodes"] == sum(map(len, found.circuit.kept().values()))
    assert mean.value["circuit_loss"] == pytest.approx(found.losses["circuit"])
    assert 0.8 < mean.value["faithfulness"] <= 1
    assert (mean.better["faithfulness"], mean.unit["edges"], mean.better["nodes"]) == ("higher", "edges", "lower")
    assert set(scores.status) <= {"ok", "undefined"}
    assert (scores.reason[scores.status == "undefined"] != "").all()
    assert scores.dtypes[["value", "low", "high", "n"]].tolist() == [float] * 4


def test_what_is_shown_says_status_losses_and_size(found):
    nodes = sum(map(len, found.circuit.kept().values()))
    whole, circuit, empty = found.losses.values()
    assert repr(found) == (
        f"TaskCircuit(unit graph: {nodes} of 128 nodes, 1-minimal, ok; "
        f"test losses: whole {whole:.3f}, circuit {circuit:.3f}, empty {empty:.3f})"
    )
    shown = found._repr_html_()
    assert f"<td>test loss of the circuit</td><td>{found.losses['circuit']:.3f}</td>" in shown
    assert "<caption>" in shown
    assert "blocks.1.v" in shown


def test_a_circuit_without_text_or_under_values_of_ones_own_cannot_be_scored(model, prompts):
    means = corpus_means(model, prompts.train.tokens)
    without = benchmark.find_circuit(model, prompts, means, **QUICK)
    with pytest.raises(
        ValueError, match=r"^found has no windows of text, which edges need; give find_circuit run, corp"
    ):
        benchmark.score(without)
    own = benchmark.find_circuit(model, prompts, means, **QUICK, ablation_values=lambda batch: at_means(means))
    assert torch.equal(own.order, without.order)
    with pytest.raises(ValueError, match=r"^found was searched for under ablation_values of your own, under which it"):
        benchmark.score(own)


def test_a_task_by_name_is_posed_in_tokens_of_the_models_tokenizer(model, monkeypatch):
    seen = {}

    def find_circuit(model, task, means, **given):
        seen.update(given, prompts=task)
        raise ZeroDivisionError

    monkeypatch.setattr(finder, "find_circuit", find_circuit)
    task, random = TASKS["single_double_quote"], Random(0)
    pairs = [task.pair(random, split) for split in SPLITS for _ in range(200)]
    texts = [prompt + answer for pair in pairs for prompt, answer in zip(pair.prompts, pair.answers, strict=True)]
    tokenizer = train_tokenizer(texts, 1000)
    with pytest.raises(ZeroDivisionError):
        benchmark.find_circuit(
            model, task.name, windows=torch.zeros(2, 8, dtype=torch.int64), tokenizer=tokenizer, beginning=7
        )
    assert seen["prompts"].test.tokens[:, 0].unique().tolist() == [7]
    answers = {tokenizer.decode([int(token)]) for token in seen["prompts"].test.answer}
    assert answers == set(task.answers)
    assert len(seen["prompts"].train) == 2 * CircuitConfig().train_pairs
    assert seen["budget"].tokens == load_preset("quick").tables["circuit"]["budget_tokens"]


def test_a_task_that_is_given_is_posed_in_the_forms_that_count_too():
    task = TASKS["for_while"]
    counting = [task.forms_of(split)[0].name for split in SPLITS]
    config = CircuitConfig(forms={"for_while": counting})
    assert [form.name for form in in_forms(task, config).all_forms] == counting


MEANS = {"blocks.0.q": torch.zeros(16)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graph": "foo"}, "graph must be channel or unit, got 'foo'"),
        ({"graph": None}, "graph must be channel or unit, got None"),
        ({"target": math.nan}, "target must be a loss in nats, finite and above 0, got nan"),
        ({"target": -1.0}, "target must be a loss in nats, finite and above 0, got -1.0"),
        ({"target": "a"}, "target must be a loss in nats, finite and above 0, got 'a'"),
        ({"model": 3}, "model must be a CircuitModel (sites, start, advance, read_out, connections), got int 3"),
        ({"task": 3}, "task must be the name of a task, a Task, or TaskPrompts, got int 3"),
        ({"task": "quotes"}, "unknown task 'quotes'; choose from single_double_quote, "),
        ({"task": "for_while"}, "task 'for_while' needs a tokenizer for its prompts: give run, corpus or tokenizer"),
        ({"means": 3}, "means must be a mapping from site names to tensors [node], got 3"),
        ({"means": MEANS}, "means must have every site of the graph, and 'blocks.0.k' is missing"),
        (
            {"means": {"blocks.0.q": torch.zeros(1)}},
            "means of blocks.0.q must be a tensor of shape [16], got shape [1]",
        ),
        ({"means": {"blocks.0.q": torch.full((16,), math.nan)}}, "means of blocks.0.q must be finite, got nan"),
        ({"ranking": "foo"}, "unknown ranking 'foo'; choose from mask, attribution, "),
        ({"ablation": "foo"}, "unknown ablation 'foo'; choose from mean, position_mean, "),
        ({"ablation": "zero", "ablation_values": at_means}, "ablation and ablation_values are both given; give one of"),
        ({"ablation": "position_mean", "means": MEANS}, "ablation position_mean needs means by position, which are "),
        ({"budget": 3}, "budget must be a Budget, got int 3"),
        ({"budget": benchmark.Budget(tokens=0)}, "find_circuit.budget_tokens = 0: input should be greater than or "),
        ({"seed": -1}, "seed must be a whole number from 0 to 2147483647, got -1"),
        ({"seed": "a"}, "seed must be a whole number from 0 to 2147483647, got 'a'"),
        ({"generator": 3}, "generator must be a torch.Generator, got int 3"),
        (
            {"windows": None},
            "means are not given, and there is no text to measure them on: give run, corpus or windows",
        ),
        ({"windows": [[1]]}, "windows must be a tensor of token ids of shape [window, position], got [[1]]"),
        (
            {"windows": torch.ones(3)},
            "windows must be a tensor of token ids of shape [window, position], got torch.float",
        ),
        (
            {"tokenizer": "gpt2"},
            "tokenizer must be a tokenizers.Tokenizer or a fast tokenizer of transformers, got str",
        ),
        ({"beginning": 3}, "beginning goes with tokenizer; a run or a corpus has its own"),
        (
            {"tokenizer": train_tokenizer([], 257), "beginning": 257},
            "beginning must be a token id from 0 to 256, got 257",
        ),
        ({"corpus": 3}, "corpus must be a Corpus, such as benchmark.open_run(…).corpus, got int 3"),
        ({"run": 3}, "run must be the folder of a run, or what benchmark.open_run returns, got int 3"),
        ({"run": "absent"}, "there is no folder 'absent', so there is no run to open; `bench run --out absent` makes"),
        ({"run": "absent", "tokenizer": "a"}, "run and tokenizer are given; give one of them"),
        ({"reference": 3}, "reference must be a CircuitModel"),
    ],
)
def test_every_wrong_argument_is_named_with_its_value_and_what_is_wanted(model, prompts, changes, message):
    given = {"model": model, "task": prompts, "windows": prompts.train.tokens, "budget": FAST, **changes}
    with shape_checks.off(), pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        benchmark.find_circuit(**given)


def test_prompts_that_are_missing_are_named(model, prompts):
    none = prompts.test.rows(slice(0))
    for split in ("train", "validation", "test"):
        lacking = TaskPrompts(**{**vars(prompts), split: none})
        with pytest.raises(ValueError, match=f"^task must have {split} prompts, got none$"):
            benchmark.find_circuit(model, lacking, windows=prompts.train.tokens, **QUICK)


def test_a_circuit_is_a_graph_and_a_drawing_with_its_nodes_and_edges(model, found, tmp_path):
    graph = benchmark.to_networkx(found)
    kept = {f"{site}[{node}]" for site, nodes in found.circuit.kept().items() for node in nodes}
    assert kept == set(graph) - {"embed", "logits"}
    assert graph.number_of_edges() == edge_count(found.circuit, model.connections("unit"))
    drawing = benchmark.plot(found)
    assert ElementTree.fromstring(drawing._repr_svg_()).tag.endswith("svg")
    drawing.save(tmp_path / "circuit.svg")
    assert (tmp_path / "circuit.svg").read_text() == drawing.svg


@pytest.mark.parametrize(
    "function", [benchmark.score, benchmark.assessment_table, benchmark.plot, benchmark.to_networkx]
)
def test_what_is_not_a_result_is_refused(function):
    with shape_checks.off(), pytest.raises(ValueError, match=r"^found must be what benchmark\.\w+ returns, got int 3$"):
        function(3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concepts": "in_strings"}, "unknown concept 'in_strings'; choose from in_single_quoted_string, "),
        ({"concepts": []}, "concepts must name at least one concept, got none"),
        ({"concepts": 3}, "concepts must be the name of a concept or several, got 3"),
        ({"model": 3}, "model must be a CircuitModel (sites, start, advance, read_out, connections), got int 3"),
        ({"seed": -1}, "seed must be a whole number from 0 to 2147483647, got -1"),
        ({"settings": 3}, "settings must be a ValidityConfig, got int 3"),
        ({}, "labels need text: give run or corpus"),
    ],
)
def test_wrong_arguments_of_label_replacement_are_named(model, changes, message):
    given = {"model": model, "concepts": "in_string", **changes}
    with shape_checks.off(), pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        benchmark.label_replacement(**given)
