"""What a dictionary is stated to take is what fitting it takes, measured at small shapes."""

import json
from dataclasses import asdict

import pytest
import torch
from stated import bytes_of_files, check_stated, random_windows
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import baselines.activations
import baselines.quality
import baselines.resources
import baselines.sparse_features
from baselines.dense import DenseConfig
from benchmark.methods import METHODS
from benchmark.model.interface import forward
from benchmark.plugins.registry import resolve
from benchmark.resources import NUMBER, Shapes
from benchmark.studies.live_memory import peak_bytes
from sparse_model.transformer import Transformer

VOCABULARY, CONTEXT, STEPS = 300, 32, 5
TRAINED = ("sae", "transcoder", "clt", "lorsa")
SHAPES = {
    "few features": {"features": 128, "batch": 512, "measured_tokens": 512},
    "many features": {"features": 512, "batch": 512, "measured_tokens": 512},
    "many measured": {"features": 256, "batch": 256, "measured_tokens": 4096},
}
DENSE = {
    "few features": {"d_model": 64},
    "many features": {"layers": 3, "d_model": 32},
    "many measured": {"d_model": 32},
}


class Case:
    """A method with settings, on a dense model that was never trained."""

    def __init__(self, method, name):
        self.method = METHODS[method]
        settings = {"k": 8, **SHAPES[name]}
        if method in TRAINED:
            settings |= {"tokens": STEPS * settings["batch"], "revivals": 0}
        else:
            del settings["batch"]
        self.config = self.method.config(**settings)
        dense = DenseConfig(**DENSE[name])
        self.stated = self.method.stated_resources(self.config, Shapes(VOCABULARY, CONTEXT, {"dense": dense}))
        shape = dense.transformer(VOCABULARY, CONTEXT)
        self.dense = Transformer(shape).initialise(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
        with torch.no_grad():
            for block in self.dense.blocks:
                block.W_out.mul_(30), block.W_O.mul_(30)

    def train(self, folder):
        corpus = random_windows(VOCABULARY, CONTEXT)
        return resolve(self.method.train)(corpus, self.config, 0, {"dense": self.dense}, folder, lambda *_: None)

    def load(self, folder, variant):
        return resolve(self.method.load)(folder, variant, {"dense": self.dense})


def test_the_constants_are_those_of_the_modules_that_import_torch():
    assert baselines.resources.MIXED_BATCHES == baselines.activations.MIXED_BATCHES
    assert baselines.resources.WINDOWS == baselines.quality.BATCH


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("method", [*TRAINED, "random_dictionary"])
def test_memory_and_files_are_those_of_a_whole_fit(method, name, tmp_path):
    case = Case(method, name)
    peak = peak_bytes(lambda: (tmp_path / "facts.json").write_text(json.dumps(asdict(case.train(tmp_path)))))
    dense = sum(NUMBER * each.numel() for each in case.dense.parameters())
    check_stated(case.stated.training.memory_bytes, dense + peak)
    check_stated(case.stated.training.store_bytes, bytes_of_files(tmp_path))
    loaded = case.load(tmp_path, "errors_ablated")
    check_stated(case.stated.training.parameters, sum(each.numel() for each in loaded.dictionary_parameters()))
    check_stated(case.stated.training.dictionary_bytes, NUMBER * case.stated.training.parameters)


@pytest.mark.parametrize("name", ["few features", "many features"])
@pytest.mark.parametrize("method", [*TRAINED, "random_dictionary"])
def test_operations_are_those_of_a_fit_with_dense_features(method, name, tmp_path, monkeypatch):
    monkeypatch.setattr(baselines.sparse_features, "DENSEST", 0.0)  # entries alone are computed out of sight
    case = Case(method, name)
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
        case.train(tmp_path)
    check_stated(case.stated.training.flops, counted.get_total_flops())


@pytest.mark.parametrize("name", ["few features", "many features"])
@pytest.mark.parametrize("method", [*TRAINED, "random_dictionary"])
def test_the_models_have_as_many_sites_connections_and_operations_as_stated(method, name, tmp_path):
    case = Case(method, name)
    case.train(tmp_path)
    for variant, size in case.stated.variants.items():
        model = case.load(tmp_path, variant)
        sizes = {site.name: site.size for site in model.sites}
        assert (size.sites, size.site_count) == (sum(sizes.values()), len(sizes))
        assert size.meaningful == sum(site.size for site in model.sites if site.kind != "error")
        weights = [
            each.weight.numel() + (0 if each.full is None else each.full.numel())
            for each in model.connections("unit")
            if each.weight is not None
        ]
        check_stated(size.connections + size.terminals, sum(weights))
        tokens = torch.zeros(2, CONTEXT, dtype=torch.int64)
        with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
            forward(model, tokens)
        check_stated(size.flops * tokens.numel(), counted.get_total_flops())
