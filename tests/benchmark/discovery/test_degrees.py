import pytest
import torch

from benchmark import metrics
from benchmark.discovery.degrees import degrees
from benchmark.model.circuit import Circuit, by_site
from benchmark.model.graph import EMBEDDING, LOGITS
from benchmark.model.interface import Connection, OpaqueBlock, Site

SITES = (
    Site("first", "neuron", 0, 3, 0),
    Site("second", "neuron", 1, 2, 1),
)

CONNECTIONS = (
    Connection(EMBEDDING, "first", torch.tensor([[1.0], [0.0], [2.0]])),
    Connection("first", "second", torch.tensor([[0.5, 0.0, 1.0], [0.0, 0.0, 3.0]])),
    Connection("second", LOGITS, torch.tensor([[1.0, 1.0]])),
)


def test_degrees_count_edges_to_kept_nodes_and_to_the_ends_of_the_graph():
    kept = torch.tensor([True, False, False, True, False])
    assert degrees(SITES, CONNECTIONS, kept).tolist() == [2, 0, 2, 2, 1]


@pytest.mark.parametrize("seed", range(10))
def test_removing_a_node_removes_as_many_edges_as_its_degree(seed):
    kept = torch.rand(5, generator=torch.Generator().manual_seed(seed)) > 0.3
    for node in kept.nonzero().flatten().tolist():
        without = kept.clone()
        without[node] = False
        sizes = (metrics.edge_count(Circuit(by_site(SITES, each)), CONNECTIONS) for each in (kept, without))
        assert next(sizes) - next(sizes) == degrees(SITES, CONNECTIONS, kept)[node]


def test_an_opaque_block_connects_every_pair():
    block = OpaqueBlock("block", 7)
    kept = torch.tensor([True, True, False, True, False])
    assert degrees(SITES, [Connection("first", "second", None, block)], kept).tolist() == [1, 1, 1, 2, 2]
