import pytest
import torch

from benchmark.model.graph import Read, Write, node_sites, virtual_connections
from benchmark.model.interface import run_stages
from sparse_model.config import TransformerConfig
from sparse_model.transformer import Transformer


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(layers=2, d_model=16, activation_density=1.0, vocabulary=11, context=8)
    return Transformer(config).initialise(torch.Generator().manual_seed(0)).requires_grad_(False)


def test_unit_graph_has_no_residual_channels_and_the_channel_graph_has_all_sites(model):
    assert node_sites(model, "channel") == model.sites
    kinds = {site.kind for site in node_sites(model, "unit")}
    assert kinds == {"query", "key", "value", "neuron"}


def test_sites_later_in_the_stream_are_joined_and_earlier_ones_are_not():
    reads = [Read("early", 0, torch.ones(2, 3)), Read("late", 2, torch.ones(2, 3))]
    writes = [Write("source", 1, torch.ones(3, 4))]
    assert [(each.source, each.target) for each in virtual_connections(reads, writes)] == [("source", "late")]


def test_writes_of_one_source_at_several_stages_add_up_until_the_read():
    writes = [Write("source", stage, torch.eye(2) * 10**stage) for stage in range(3)]
    weights = {
        each.target: each.weight
        for each in virtual_connections([Read("a", 1, torch.eye(2)), Read("b", 3, torch.eye(2))], writes)
    }
    torch.testing.assert_close(weights["a"], torch.eye(2))
    torch.testing.assert_close(weights["b"], torch.eye(2) * 111)


@pytest.mark.parametrize(("source", "target"), [("blocks.0.neuron", "blocks.1.q"), ("blocks.0.v", "blocks.0.neuron")])
def test_virtual_weight_is_the_change_of_the_target_when_the_source_moves_by_one_with_gains_frozen(
    model, source, target
):
    weight = next(c.weight for c in model.connections("unit") if (c.source, c.target) == (source, target))
    tokens = torch.tensor([[3]])  # one position: a value reaches its own position with pattern 1
    stage = next(site.stage for site in model.sites if site.name == target)

    def stream(step: float) -> torch.Tensor:
        move = torch.zeros(next(site.size for site in model.sites if site.name == source))
        move[5] = step
        edit = lambda site, values: values + move if site.name == source else values  # noqa: E731
        return run_stages(model, model.start(tokens), edit, last=stage)["residual"]

    read = {each.site: each.weight for each in model.reads()}[target]
    scale = stream(0.0).square().mean().sqrt()
    change = (stream(1.0) - stream(0.0))[0, 0] / scale
    torch.testing.assert_close(read @ change * scale, weight[:, 5], atol=1e-6, rtol=1e-4)
