"""Windows run from the first change on, several changes at once, against one plain run of each."""

import numpy as np
import pytest
import torch
from next_token import next_token_eval
from test_validity_replacement import MODELS, made, random_values, some_nodes
from tiny_dense import random_tokens

from benchmark.interventions.replacement import CachedRun
from benchmark.interventions.window_run import Direction, Node, WindowRun
from benchmark.model.interface import STREAM, run_stages, stage_count

ROWS = 6


def run_of(name):
    return WindowRun(made(name), random_tokens(ROWS), random_tokens(ROWS, seed=4))


def direction(model, stage):
    """An oblique direction: it is read along another vector than it is written."""
    channels = model.start(random_tokens(1))[STREAM].shape[-1]
    read, write = torch.randn(2, channels, generator=torch.Generator().manual_seed(stage))
    return Direction("random", stage, read, write / (read @ write))


@pytest.mark.parametrize("name", MODELS)
def test_losses_are_those_of_the_plain_run_on_the_windows_that_are_asked_for(name):
    run = run_of(name)
    plain = CachedRun(run.model, next_token_eval(run.tokens, run.targets))
    changes = [{node: random_values(seed)} for seed, node in enumerate(some_nodes(run.model))]
    changes += [{}, {node: random_values(9) for node in some_nodes(run.model)}]
    windows = np.array([1, 3, 4])
    found = run.losses(windows, [{node: values[windows] for node, values in each.items()} for each in changes])
    expected = np.stack(plain.losses(changes))[:, windows]
    np.testing.assert_allclose(found.mean(2), expected, atol=1e-5)
    np.testing.assert_allclose(run.true.mean(1), plain.true, atol=1e-5)
    assert not np.allclose(found.mean(2), run.true[windows].mean(1), atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_values_are_those_of_the_plain_run(name):
    run = run_of(name)
    plain = CachedRun(run.model, next_token_eval(run.tokens, run.targets))
    found = run.read(some_nodes(run.model))
    for node in some_nodes(run.model):
        np.testing.assert_allclose(found[node].values, plain.node(node), atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_direction_at_its_own_values_changes_no_loss_and_at_others_has_them(name):
    run = run_of(name)
    for stage in range(stage_count(run.model) + 1):
        along = direction(run.model, stage)
        values = run.read([along])[along].values
        stream = run_stages(run.model, run.model.start(run.tokens), last=stage)[STREAM]
        np.testing.assert_allclose(values, (stream @ along.read).numpy(), atol=1e-4)
        windows = np.arange(ROWS)
        same, other = run.losses(windows, [{along: values}, {along: values + 5}])
        np.testing.assert_allclose(same, run.true, atol=1e-4)
        assert not np.allclose(other, run.true, atol=1e-3)


def test_the_stream_after_a_direction_was_replaced_has_the_new_value():
    run = run_of("transformer")
    last = stage_count(run.model)
    first, again = direction(run.model, last), direction(run.model, last)
    new = random_values(3)
    both = run.losses(np.arange(ROWS), [{first: new}, {first: new, again: new}])
    np.testing.assert_allclose(both[0], both[1], atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_the_change_of_the_loss_under_a_small_change_at_one_position(name):
    run = run_of(name)
    parts = [*some_nodes(run.model), *(direction(run.model, stage) for stage in range(stage_count(run.model) + 1))]
    for part, read in run.read(parts).items():
        position = 3
        # small enough for hardly any feature to cross its threshold
        step, error = (1e-2, 5e-3) if isinstance(part, Node) else (1e-3 / float(part.write.norm()), 3e-2)
        changes = []
        for sign in (1, -1):
            moved = read.values.copy()
            moved[:, position] += sign * step
            changes.append({part: moved})
        up, down = run.losses(np.arange(ROWS), changes).astype(np.float64).sum(2)
        slope = (up - down) / (2 * step)
        np.testing.assert_allclose(slope, read.gradients[:, position], error, error, err_msg=str(part))
        assert np.abs(read.gradients).max() > 0


def test_a_base_edit_always_applies_and_parts_are_replaced_after_it():
    model, tokens, targets = made(MODELS[0]), random_tokens(ROWS), random_tokens(ROWS, seed=4)

    def halved(site, values):
        return values / 2

    run, plain = WindowRun(model, tokens, targets, halved), CachedRun(model, next_token_eval(tokens, targets), halved)
    nodes = some_nodes(model)
    changes = [{node: random_values(seed)} for seed, node in enumerate(nodes)]
    np.testing.assert_allclose(run.true.mean(1), plain.true, atol=1e-5)
    np.testing.assert_allclose(run.losses(np.arange(ROWS), changes).mean(2), np.stack(plain.losses(changes)), atol=1e-5)
    for node, read in run.read(nodes).items():
        np.testing.assert_allclose(read.values, plain.node(node), atol=1e-5)
