"""What a transformer is stated to take is what it takes, measured at small shapes."""

import json
from contextlib import nullcontext
from dataclasses import asdict

import pytest
import torch
from stated import bytes_of_files, check_stated, random_windows
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import sparse_model.loss
import sparse_model.resources
import sparse_model.training
from baselines.random_weights.drawing import train as draw
from benchmark.model.interface import forward, run_stages
from benchmark.resources import NUMBER, Shapes
from benchmark.studies.live_memory import LiveBytes, peak_bytes
from sparse_model.config import CorpusModelConfig
from sparse_model.resources import forward_flops, resources, resources_untrained
from sparse_model.training import Run, facts_of, train
from sparse_model.transformer import Transformer

SHAPES = {
    "wide batch": ({"d_model": 64, "batch": 16}, 512, 64),
    "large vocabulary": ({"d_model": 32, "batch": 4, "positional": "concatenated"}, 2048, 128),
    "dense": (
        {"d_model": 128, "batch": 4, "density": 1.0, "embedding_density": 1.0, "activation_density": 1.0},
        300,
        32,
    ),
    "sinks": ({"d_model": 64, "layers": 3, "batch": 8, "sink": True, "bigram": False}, 512, 64),
    "bfloat16": ({"d_model": 64, "batch": 8, "sink": True, "precision": "bfloat16"}, 512, 64),
    "wide MLP": ({"d_model": 64, "batch": 32, "d_mlp": 512, "positional": "learned"}, 300, 64),
}


def case(name, **changes):
    settings, vocabulary, context = SHAPES[name]
    settings = {**settings, **changes}
    config = CorpusModelConfig(
        minimum_per_neuron=0, tokens=2 * settings["batch"] * context, validation_windows=16, **settings
    )
    return config, random_windows(vocabulary, context), Shapes(vocabulary, context)


def quiet(done, total, note=""):
    pass


def autocast(config):
    return torch.autocast("cpu", torch.bfloat16) if config.precision == "bfloat16" else nullcontext()


def test_the_constants_are_those_of_the_modules_that_import_torch():
    assert sparse_model.resources.LOGITS_AT_ONCE == sparse_model.loss.LOGITS_AT_ONCE
    assert sparse_model.resources.CURVE_POINTS == sparse_model.training.CURVE_POINTS


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_are_counted_exactly(name):
    config, _, shapes = case(name)
    model = Transformer(config.transformer(shapes.vocabulary, shapes.context))
    assert resources(config, shapes).training.parameters == sum(each.numel() for each in model.parameters())


@pytest.mark.parametrize("name", SHAPES)
def test_activations_are_what_the_forward_pass_of_a_batch_keeps(name):
    config, corpus, shapes = case(name)
    run = Run(corpus, config, seed=0)
    tokens, _ = run.batches.at(0)
    live = LiveBytes()
    with live, autocast(config):
        kept = run.model.ln_final(run_stages(run.model, run.model.start(tokens))["residual"])
    stated = resources(config, shapes).training.activation_bytes
    check_stated(stated, live.now)
    assert stated == pytest.approx(live.now, rel=0.01)
    del kept


@pytest.mark.parametrize("name", SHAPES)
def test_memory_is_the_peak_of_a_training_run_and_the_optimizer_has_its_part(name):
    config, corpus, shapes = case(name)

    def two_steps():
        run = Run(corpus, config, seed=0)
        run.step(0)
        run.step(1)
        moments = (each for state in run.optimizer.state.values() for each in state.values() if each.dim() > 0)
        assert resources(config, shapes).training.optimizer_bytes == sum(NUMBER * each.numel() for each in moments)

    check_stated(resources(config, shapes).training.memory_bytes, peak_bytes(two_steps))


@pytest.mark.parametrize("name", ["wide batch", "sinks", "dense"])
def test_operations_and_tokens_are_those_of_training_and_of_the_final_loss(name):
    dense = {"density": 1.0, "embedding_density": 1.0}  # products with few nonzero weights are not counted
    config, corpus, shapes = case(name, **dense)
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
        run = Run(corpus, config, seed=0)
        tokens = 0
        while run.done < run.total:
            tokens += run.batches.at(run.done)[0].numel()
            run.advance()
        facts_of(run.model, corpus, config)
    stated = resources(config, shapes).training
    assert stated.tokens == tokens
    check_stated(stated.flops, counted.get_total_flops())


@pytest.mark.parametrize("name", ["wide batch", "large vocabulary", "dense"])
def test_stored_bytes_are_those_of_the_files(name, tmp_path):
    config, corpus, shapes = case(name)
    facts = train(corpus, config, 0, {}, tmp_path, quiet)
    (tmp_path / "facts.json").write_text(json.dumps(asdict(facts)))
    check_stated(resources(config, shapes).training.store_bytes, bytes_of_files(tmp_path))


@pytest.mark.parametrize("name", ["wide batch", "large vocabulary"])
def test_an_untrained_transformer_takes_no_moments_and_no_training(name, tmp_path):
    config, corpus, shapes = case(name)
    stated = resources_untrained(config, shapes).training
    assert (stated.optimizer_bytes, stated.activation_bytes, stated.tokens) == (0, 0, 0)
    check_stated(stated.memory_bytes, peak_bytes(lambda: draw(corpus, config, 0, {}, tmp_path, quiet)))
    check_stated(stated.store_bytes, bytes_of_files(tmp_path))


@pytest.mark.parametrize("name", ["wide batch", "large vocabulary", "sinks"])
def test_the_model_has_as_many_sites_connections_and_operations_as_stated(name):
    config, _, shapes = case(name)
    shape = config.transformer(shapes.vocabulary, shapes.context)
    model = Transformer(shape).initialise(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    size = resources(config, shapes).variants["native"]
    units = [site.size for site in model.sites if site.kind not in ("residual_read", "residual_write")]
    assert (size.sites, size.units) == (sum(site.size for site in model.sites), sum(units))
    assert size.site_count == len(model.sites)
    assert size.largest == max(each.numel() for each in model.parameters())
    weights = [
        each.weight.numel() + (0 if each.full is None else each.full.numel()) for each in model.connections("unit")
    ]
    assert size.connections + size.terminals == sum(weights)
    tokens = torch.zeros(2, shapes.context, dtype=torch.int64)
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
        forward(model, tokens)
    check_stated(forward_flops(shape) * tokens.numel(), counted.get_total_flops())
