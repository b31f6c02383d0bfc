"""Models of every method on another device and of another number type: searched, scored and judged like on the CPU."""

import copy

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from emulated_device import emulated_device
from tiny_dense import (
    CONTEXT,
    VOCABULARY,
    random_clt,
    random_corpus,
    random_dense,
    random_saes,
    random_tokens,
    random_transcoders,
)

from benchmark.claims.measure import measure
from benchmark.cli import main
from benchmark.concepts import Concept
from benchmark.corpus.sampling import spread_windows
from benchmark.discovery.criterion import Criterion
from benchmark.discovery.cutting import size_of
from benchmark.discovery.edges import verify_edges
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.rankings import RANKINGS
from benchmark.discovery.search import Budget
from benchmark.discovery.settings import CircuitConfig
from benchmark.interventions.ablation import corpus_means, keep_only, octave_means
from benchmark.methods import METHODS
from benchmark.model.circuit import Circuit
from benchmark.model.devices import available, choose_device, chosen_device, device_of, of_worker, placed
from benchmark.model.graph import node_sites
from benchmark.model.interface import forward, next_token_loss, unedited
from benchmark.running import computing
from benchmark.running.executors.local import LocalExecutor
from benchmark.running.store import Store
from benchmark.scoring.case import DiscoveredCircuit, Setting
from benchmark.scoring.score_circuit import score_circuit
from benchmark.tasks.answers import answer_logits, logit_difference, prompt_losses
from benchmark.tasks.prompts import PromptBatch, TaskPrompts
from benchmark.validity.assess import assess
from benchmark.validity.rows import measurements
from benchmark.validity.sample import Sample
from benchmark.validity.settings import ValidityConfig
from sparse_model.random_run import random_run

pytestmark = pytest.mark.long

FITTED = {"tokens": 600, "batch": 60, "revivals": 2, "dead_after": 2}
"""Settings with which a dictionary is fitted in a few steps."""

BUDGET = Budget(tokens=1_000, batch_pairs=4)

FEW = (pytest.param("clt", marks=pytest.mark.slow), "saes")

SEARCHED = [
    name if name == "mask" else pytest.param(name, marks=pytest.mark.slow)
    for name in sorted(name for name, each in RANKINGS.items() if not each.as_given)
]
"""The rankings that order nodes; those behind the slow mark share all that touches a device with a learned mask."""

MODELS = {
    "dense": (random_dense, "channel"),
    "sparse activations, sink": (lambda: random_dense(sink=True, activation_sites=("neuron", "q")), "channel"),
    "concatenated positions": (lambda: random_dense(positional="concatenated"), "unit"),
    "clt": (lambda: random_clt(random_dense(), "errors_available"), "unit"),
    "transcoders": (lambda: random_transcoders(random_dense(), "errors_ablated"), "unit"),
    "saes": (lambda: random_saes(random_dense(), "errors_available", features=6), "unit"),
}


@pytest.fixture
def device():
    with emulated_device() as device:
        yield device


@pytest.fixture(params=MODELS)
def made(request):
    return made_as(request.param)


@pytest.fixture(params=FEW)
def one_of_few(request):
    return made_as(request.param)


def made_as(name):
    make, graph = MODELS[name]
    return make(), graph


def prompts_that_it_solves(model, pairs, seed):
    """Pairs of random prompts; each is answered by the token to which the model gives more than to the other's."""
    tokens = random_tokens(40 * pairs, seed)
    last = torch.full((len(tokens),), CONTEXT - 1)
    logits = forward(model, tokens, positions=last[:, None])[:, 0]
    kept, answers = [], []
    for first in range(0, len(tokens) - 1, 2):
        apart = logits[first] - logits[first + 1]
        answer, other = int(apart.argmax()), int(apart.argmin())
        margins = (logits[first, answer] - logits[first, other], logits[first + 1, other] - logits[first + 1, answer])
        if min(margins) > 1 and len(kept) < 2 * pairs:
            kept += [first, first + 1]
            answers += [(answer, other), (other, answer)]
    answer, other = torch.tensor(answers).T
    return PromptBatch(tokens[kept], last[: len(kept)], answer, other)


def setting_of(model, graph, task=None):
    windows = spread_windows(random_corpus(), "train", 200)[0]
    task = task or TaskPrompts(*(prompts_that_it_solves(model, 8, seed) for seed in range(3)))
    by_position = octave_means(model, windows)
    return Setting(model, model, corpus_means(model, windows), graph, task, windows, 0, by_position)


def search(setting, ranking="mask", target=0.6):
    return find_circuit(
        setting.model,
        setting.prompts,
        setting.means,
        graph=setting.graph,
        target=target,
        ranking=ranking,
        budget=BUDGET,
        ablation_values=setting.ablation_values,
        generator=torch.Generator().manual_seed(0),
    )


def scores(setting, found, target=0.6):
    case = DiscoveredCircuit.of(setting, found, CircuitConfig(target_loss=target, budget_tokens=1_000))
    return {row.metric: row for row in score_circuit(case) if row.ablation in ("", "mean")}


def test_logits_and_means_are_those_of_the_cpu(made, device):
    model, _ = made
    tokens = random_tokens()
    logits, means = forward(model, tokens), corpus_means(model, tokens)
    ablated = forward(model, tokens, keep_only(Circuit.empty(model.sites), means))
    moved = model.to(device)
    assert device_of(moved) == device
    torch.testing.assert_close(forward(moved, tokens).cpu(), logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(corpus_means(moved, tokens), means, rtol=1e-4, atol=1e-5)
    again = forward(moved, tokens, keep_only(Circuit.empty(moved.sites), means))
    torch.testing.assert_close(again.cpu(), ablated, rtol=1e-4, atol=1e-4)


def test_a_circuit_that_was_found_on_the_cpu_has_the_same_scores_there(one_of_few, device):
    model, graph = one_of_few
    setting = setting_of(model, graph)
    found = search(setting)
    assert found.status == "ok"
    expected = scores(setting, found)
    moved = Setting(**{**vars(setting), "model": model.to(device), "reference": model})
    measured = scores(moved, found)
    assert measured.keys() == expected.keys()
    for metric, row in expected.items():
        assert measured[metric].status == row.status, metric
        if row.value is not None:
            assert measured[metric].value == pytest.approx(row.value, rel=1e-3, abs=1e-3), metric


@pytest.mark.parametrize("ranking", SEARCHED)
def test_every_ranking_finds_a_circuit_there(ranking, device):
    model = random_dense().to(device)
    cpu = random_dense()
    setting = setting_of(cpu, "unit")
    found = search(Setting(**{**vars(setting), "model": model, "reference": model}), ranking, target=0.69)
    assert found.status == "ok"
    assert all(mask.device.type == "cpu" for mask in found.circuit.masks.values())
    losses = prompt_losses(answer_logits(cpu, found.sample, keep_only(found.circuit, setting.means)), found.sample)
    assert float(losses.mean()) <= 0.69 + 1e-4


def test_labels_replace_nodes_there(one_of_few, device):
    model, _ = one_of_few
    samples = [sample(seed) for seed in range(2)]
    expected = judged(copy.deepcopy(model), samples)
    found = judged(model.to(device), samples)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-2, abs=1e-3, nan_ok=True), key


def sample(seed):
    tokens = random_tokens(12, seed)
    labels = (tokens % 3 == 0).numpy().astype(np.int8)
    return Sample(tokens, tokens.roll(-1, 1), {"third": labels})


def judged(model, samples):
    """What the check of labels measures, by metric and concept."""
    found = assess(
        model,
        *samples,
        [Concept("third", "every third token", lambda text: [], "tests")],
        ["third"],
        ValidityConfig(piloted=2, pilot_windows=4, most_windows=12, judged_nodes=1, explained_nodes=4),
        lambda ids: "",
        np.random.default_rng(0),
    )
    return {(row.metric, row.concept): row.value for row in measurements(found) if row.value is not None}


def test_published_claims_are_measured_there(made, device):
    model, _ = made
    means, corpus = corpus_means(model, random_tokens()), random_corpus()
    expected = measure(model, means, corpus, 200, "no reference", 0, lambda *_: None)
    found = measure(model.to(device), means, corpus, 200, "no reference", 0, lambda *_: None)
    for name, rates in expected.rates.items():
        np.testing.assert_allclose(found.rates[name], rates, atol=1e-6)


@pytest.mark.parametrize("place", ["device", torch.bfloat16])
def test_edges_through_opaque_blocks_are_verified_there(place, device):
    setting = setting_of(random_saes(random_dense(), "errors_ablated", features=4), "unit")
    model = setting.model.to(device if place == "device" else place)
    found = verify_edges(
        model,
        Circuit.whole(model.sites),
        model.connections("unit"),
        setting.means,
        setting.prompts.validation,
        setting.windows,
        Criterion.mean(5.0, setting.prompts.validation),
        tokens=500,
    )
    assert found.status == "ok"


def test_no_double_precision_is_needed():
    with emulated_device(float64=False) as device:
        model = random_dense(layers=1)
        setting = setting_of(model, "unit")
        expected = scores(setting, search(setting))
        moved = setting_of(model.to(device), "unit", setting.prompts)
        measured = scores(moved, search(moved))
        assert measured["circuit_loss"].value == pytest.approx(expected["circuit_loss"].value, rel=0.2)


def test_models_in_bfloat16_are_searched_and_scored(one_of_few):
    model, graph = one_of_few
    setting = setting_of(model, graph)
    loss = next_token_loss(model, setting.windows, setting.windows.roll(-1, 1))
    halved = setting_of(model.to(torch.bfloat16), graph, setting.prompts)
    assert next_token_loss(halved.model, setting.windows, setting.windows.roll(-1, 1)) == pytest.approx(loss, rel=0.05)
    found = search(halved)
    assert found.status == "ok"
    assert size_of(found) < sum(site.size for site in node_sites(halved.model, graph))
    assert scores(halved, found)["circuit_loss"].value < 0.7
    samples = [sample(seed) for seed in range(2)]
    assert judged(halved.model, samples)


def test_answers_come_back_to_the_cpu_in_float32(device):
    model, batch = random_dense(), prompts_that_it_solves(random_dense(), 4, 0)
    for moved in (model.to(torch.bfloat16), model.to(device)):
        found = logit_difference(answer_logits(moved, batch, unedited), batch)
        assert (found.device.type, found.dtype) == ("cpu", torch.float32)
    assert model.config.vocabulary == VOCABULARY


def test_a_chosen_device_takes_models_but_not_other_objects(device):
    choose_device(str(device))
    try:
        assert device_of(placed(random_dense())) == device
        stranger = object()
        assert placed(stranger) is stranger
    finally:
        choose_device("cpu")


def test_a_device_that_is_not_here_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert available("auto") == available("cpu") == "cpu"
    with pytest.raises(ValueError, match=r"no device 'cuda' here; choose from auto, cpu$"):
        available("cuda")


def test_several_gpus_are_shared_out_among_the_workers(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert available("auto") == "cuda"
    assert [of_worker("cuda", worker) for worker in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert of_worker("mps", 1) == "mps"


def test_a_worker_uses_its_share_of_the_devices_and_imports_nothing_for_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    try:
        computing.prepare.__wrapped__((), "cpu", 1)
        assert chosen_device() == torch.device("cpu")
        computing.prepare.__wrapped__((), "cuda", 1)
        assert chosen_device() == torch.device("cuda:1")
    finally:
        choose_device("cpu")


def test_a_run_records_the_device_that_it_computed_on(tmp_path):
    assert LocalExecutor(Store(tmp_path), 1, "cuda", {"linear": "library"}).used == {
        "linear": "library",
        "device": "cuda",
    }
    assert LocalExecutor(Store(tmp_path), 1).used == {}


def test_a_device_that_is_not_here_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    asked = CliRunner().invoke(main, ["run", "--preset", "smoke", "--device", "mps", "--dry-run"])
    assert asked.exit_code == 2
    assert "there is no device 'mps' here; choose from auto, cpu" in asked.output
    assert asked.output.count("\n") == 1


@pytest.mark.parametrize(("method", "settings"), [("dense", {}), ("weight_sparse", {"density": 0.3})])
def test_training_there_starts_like_on_the_cpu(method, settings, device):
    training = METHODS[method].config(d_model=16, tokens=40 * 256, batch=2, **settings)
    expected = steps_of(random_run(training, context=16))
    choose_device(str(device))
    try:
        run = random_run(training, context=16)
        assert device_of(run.model) == device
        assert steps_of(run) == pytest.approx(expected, rel=1e-4)
    finally:
        choose_device("cpu")


def steps_of(run):
    for step in range(5):
        run.losses.append(run.step(step))
    return run.losses


@pytest.mark.parametrize("method", ["sae", "transcoder", "clt", "lorsa", "random_dictionary"])
def test_dictionaries_are_fitted_there(method, device, tmp_path):
    config = METHODS[method].config(
        features=24, k=4, measured_tokens=100, **({} if method == "random_dictionary" else FITTED)
    )
    facts = []
    for place, dense in (("cpu", random_dense()), (str(device), random_dense().to(device))):
        folder = tmp_path / place
        folder.mkdir()
        facts.append(METHODS[method].run_train(random_corpus(), config, 0, {"dense": dense}, folder, lambda *_: None))
    assert facts[1].validation_loss == pytest.approx(facts[0].validation_loss, rel=1e-3)
    assert facts[1].dictionary == pytest.approx(facts[0].dictionary, rel=1e-2, abs=1e-3)
