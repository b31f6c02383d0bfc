"""A model that breaks a promise of the interface is refused in one line that says which."""

from dataclasses import replace

import pytest
import torch
from toy_methods import forged, toy_method

from benchmark.model.checks import check_model
from benchmark.model.edge_hooks import EdgeHooks
from benchmark.model.interface import Connection, Site


class Small:
    """Token embeddings, one site of two neurons, and logits."""

    sites = (Site.at("blocks.0.mlp.neuron", 2, 0),)
    scale = 1.0

    def start(self, tokens):
        return {"stream": torch.nn.functional.one_hot(tokens, 3).float() @ torch.ones(3, 2)}

    def advance(self, state, stage, edit):
        for site in self.sites:
            state = {"stream": edit(site, state["stream"])}
        return state

    def read_out(self, state, positions):
        logits = state["stream"] @ torch.ones(2, 3) * self.scale
        return logits if positions is None else logits.gather(1, positions[:, :, None].expand(-1, -1, 3))

    def connections(self, graph):
        yield Connection("embed", "blocks.0.mlp.neuron", torch.ones(2, 1))
        yield Connection("blocks.0.mlp.neuron", "logits", torch.ones(1, 2))


def broken(**changes):
    return type("Broken", (Small,), changes)()


SITE = Small.sites[0]


def joined(*ends, shape=(2, 1)):
    return lambda self, graph: [Connection(*ends, torch.ones(*shape))]


def test_a_model_that_keeps_its_promises_is_taken():
    check_model(Small(), ("unit",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sites": ()}, "its model has no sites"),
        ({"sites": (SITE, SITE)}, "two sites are called 'blocks.0.mlp.neuron'"),
        ({"sites": (forged(SITE, kind="synapse"),)}, "is of the kind 'synapse'; choose from residual_read, query"),
        ({"sites": (forged(SITE, stage=-1),)}, "is of stage -1 after stage 0: stages never go down"),
        ({"sites": (forged(SITE, size=5),)}, r"has values of shape \[2, 3, 2\], not \[2, 3, 5\]"),
        ({"advance": lambda self, state, stage, edit: state}, "its model calls the sites"),
        ({"connections": joined("embed", "attic")}, "connects a site 'attic' that its model does not have"),
        (
            {"connections": joined("embed", "blocks.0.mlp.neuron", shape=(1, 2))},
            r"by a weight of shape \[1, 2\], not \[target, source\], \[2, 1\]",
        ),
        ({"scale": float("nan")}, "its logits are not finite"),
        ({"read_out": lambda self, state, positions: torch.ones(2, 1, 3)}, r"its logits have the shape \[2, 1, 3\]"),
        ({"start": None}, "its model is a Broken without start, not a CircuitModel"),
        ({"start": lambda self, tokens: tokens // 0}, "RuntimeError: ZeroDivisionError"),
    ],
)
def test_a_broken_promise_is_named_with_the_method(changes, message, monkeypatch, tmp_path):
    monkeypatch.setattr("benchmark.model.checks.loaded", lambda *_: broken(**changes), raising=False)
    method = replace(toy_method("small"), load="benchmark.model.checks:loaded")
    with pytest.raises(ValueError, match=f"^method 'small': .*{message}"):
        method.run_load(tmp_path, "native", {})


class Ablatable(Small):
    can_ablate_edges = True

    def advance(self, state, stage, edit, ablated_edges=None):
        EdgeHooks(ablated_edges).into(SITE.name, state["stream"], {"embed": state["stream"]})
        return super().advance(state, stage, edit)

    def read_out(self, state, positions, ablated_edges=None):
        return super().read_out(state, positions)


def test_edges_that_no_edge_ablation_sees_are_named():
    with pytest.raises(ValueError, match=f"joins '{SITE.name}' to 'logits', but no edge ablation sees that"):
        check_model(Ablatable(), ("unit",))


def test_something_else_than_a_model_is_refused():
    with pytest.raises(ValueError, match="its model is a int without sites, start, advance, read_out, connections"):
        check_model(7, ("unit",))
