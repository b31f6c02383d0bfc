"""Causal models: their values, their prompts, and interchanges that a model which computes them gets right."""

from itertools import product

import pytest
import torch

from benchmark.ground_truth.causal_model import (
    BooleanChain,
    answer_difference,
    balanced_interchanges,
    draw_interchanges,
    interchange_accuracy,
    joined,
    prompt_pairs,
)
from benchmark.model.circuit import Circuit
from benchmark.model.interface import Site, at_positions

CHAIN = BooleanChain(("xor", "and"))


def generator():
    return torch.Generator().manual_seed(0)


def bits_in(chain, tokens):
    named = tokens[:, :-1]
    return torch.zeros(len(tokens), chain.bits, dtype=torch.bool).scatter_(1, named // 2, named % 2 == 1)


class Computes:
    """The chain itself as a model: a site of bits, a site a gate; everything at the last position."""

    def __init__(self, chain):
        self.chain = chain
        hooks = ["blocks.0.v", *(f"blocks.{layer}.neuron" for layer in range(len(chain.gates)))]
        sizes = [chain.bits, *(1 for _ in chain.gates)]
        self.sites = tuple(Site.at(hook, size, at) for at, (hook, size) in enumerate(zip(hooks, sizes, strict=True)))

    def start(self, tokens):
        return {"blocks.0.v": bits_in(self.chain, tokens).float()[:, None].expand(-1, tokens.shape[1], -1)}

    def advance(self, state, stage, edit):
        site, bits = self.sites[stage], state["blocks.0.v"]
        if stage == 0:
            return {"blocks.0.v": edit(site, bits)}
        before = bits[..., :1] if stage == 1 else state[f"blocks.{stage - 2}.neuron"]
        other = bits[..., stage : stage + 1]
        both = before * other
        value = {"xor": before + other - 2 * both, "and": both, "or": before + other - both}[
            self.chain.gates[stage - 1]
        ]
        return {**state, site.name: edit(site, value)}

    def read_out(self, state, positions):
        yes = at_positions(state[self.sites[-1].name], positions)
        return torch.nn.functional.pad(yes - 0.5, (self.chain.vocabulary - 1, 0))

    def connections(self, graph):
        return []

    def places(self):
        places = [Circuit.empty(self.sites) for _ in range(self.chain.variables)]
        for bit in range(self.chain.inputs):
            places[bit].masks["blocks.0.v"][bit] = True
        for layer in range(len(self.chain.gates)):
            places[self.chain.inputs + layer].masks[f"blocks.{layer}.neuron"][0] = True
        return places


def test_a_chain_has_the_values_of_its_brackets():
    bits = torch.tensor(list(product([False, True], repeat=3)))
    padded = torch.cat([bits, torch.zeros(8, 2, dtype=torch.bool)], dim=1)
    values = CHAIN.values(padded)
    a, b, c = bits.T
    assert torch.equal(values, torch.stack([a, b, c, a ^ b, (a ^ b) & c], dim=1))


def test_a_gate_that_is_set_does_not_listen_to_its_bits():
    bits = torch.tensor([[True, True, True, False, False]])
    held = CHAIN.values(bits, torch.tensor([3]), torch.tensor([True]))
    assert held.tolist() == [[True, True, True, True, True]]
    assert CHAIN.values(bits)[0, -1].item() is False


def test_a_prompt_names_every_bit_once_and_ends_in_the_query():
    bits = CHAIN.draw(50, generator())
    tokens = CHAIN.tokens(bits, generator())
    assert (tokens[:, -1] == CHAIN.query).all()
    assert (tokens[:, :-1].sort(dim=1).values // 2 == torch.arange(CHAIN.bits)).all()
    assert torch.equal(bits_in(CHAIN, tokens), bits)
    assert tokens.max() < CHAIN.vocabulary


def test_the_prompts_of_a_pair_differ_in_one_token_that_decides_the_answer():
    batch = prompt_pairs(CHAIN, 30, generator())
    assert ((batch.tokens[::2] != batch.tokens[1::2]).sum(1) == 1).all()
    yes = CHAIN.values(bits_in(CHAIN, batch.tokens))[:, -1]
    assert torch.equal(batch.answer, CHAIN.no + yes.long())
    assert torch.equal(batch.other, CHAIN.no + (~yes).long())
    assert yes[::2].all()


def test_balanced_interchanges_have_as_many_of_each_kind():
    examples = balanced_interchanges(CHAIN, 4, generator())
    kinds = torch.stack([examples.variable, examples.unchanged.long(), examples.yes.long()], dim=1)
    assert kinds.unique(dim=0, return_counts=True)[1].tolist() == [4] * (4 * CHAIN.variables)


def test_an_interchange_is_answered_as_the_bits_and_the_variable_say():
    examples = draw_interchanges(CHAIN, 100, generator())
    base, source = (bits_in(CHAIN, tokens) for tokens in (examples.base, examples.source))
    for row in range(100):
        values = CHAIN.values(base)[row].tolist()
        number = int(examples.variable[row])
        values[number] = CHAIN.values(source)[row, number].item()
        if number < 3:
            values[3] = values[0] != values[1]
        answer = values[4] if number == 4 else values[3] and values[2]
        assert examples.yes[row].item() == answer


@pytest.mark.parametrize("gates", [("xor", "and"), ("and", "or", "xor")])
def test_a_model_that_computes_the_chain_is_right_and_a_circuit_that_lacks_a_gate_guesses(gates):
    model = Computes(BooleanChain(gates))
    means = {site.name: torch.full((site.size,), 0.5) for site in model.sites}
    examples = balanced_interchanges(model.chain, 8, generator())
    said = answer_difference(model, model.chain, examples.base) > 0
    assert torch.equal(said, examples.unchanged)

    def accuracy(circuit):
        return interchange_accuracy(model, circuit, means, model.chain, model.places(), examples)

    known = joined(model.places())
    lacking = joined(model.places()[:-1])
    assert accuracy(known) == accuracy(Circuit.whole(model.sites)) == 1
    assert accuracy(lacking) == accuracy(Circuit.empty(model.sites)) == 0.5
