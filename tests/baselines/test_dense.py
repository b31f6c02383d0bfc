import torch

from baselines.dense import DenseConfig
from benchmark.model.interface import record
from sparse_model.config import DenseWeightsConfig
from sparse_model.training import project
from sparse_model.transformer import Transformer


def initial(config):
    shape = config(d_model=32).transformer(vocabulary=50, context=16)
    return Transformer(shape).initialise(torch.Generator().manual_seed(0))


def test_dense_keeps_every_weight_and_every_activation():
    model = initial(DenseConfig)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    config = DenseConfig()
    project(model, config, config.density, config.embedding_density)
    assert all(torch.equal(before[name], parameter) for name, parameter in model.named_parameters())
    assert all((values != 0).float().mean() > 0.99 for values in record(model, torch.arange(16)[None]).values())


def test_activation_sparse_keeps_a_quarter_of_the_activations():
    model = initial(DenseWeightsConfig)
    assert all((values != 0).float().mean() <= 0.25 for values in record(model, torch.arange(16)[None]).values())
