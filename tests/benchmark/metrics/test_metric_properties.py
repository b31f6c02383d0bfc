"""One test for each property of metrics; every metric must declare some."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_examples import SIZES, random_circuit, random_connections, random_pairs, random_paths, tensors

from benchmark import metrics
from benchmark.metrics import METRICS
from benchmark.model.circuit import Circuit
from benchmark.model.graph import EMBEDDING, LOGITS, TERMINALS
from benchmark.model.interface import Connection
from benchmark.plugins.registry import resolve
from benchmark.validity.precision import average_precisions

Arguments = tuple[object, ...]


def size_arguments(random: np.random.Generator) -> Arguments:
    return random_circuit(random), random_connections(random)


def path_arguments(random: np.random.Generator) -> Arguments:
    return random_circuit(random, keep=0.8), random_paths(random)


def curve(random: np.random.Generator) -> Arguments:
    sizes = np.sort(random.integers(0, 200, size=6)).astype(float)
    return sizes, random.uniform(-0.5, 1.0, size=6), 500.0


def features(random: np.random.Generator) -> Arguments:
    return (np.maximum(random.normal(size=(9, 6)) - 1, 0),)


def labelled(random: np.random.Generator) -> Arguments:
    """Activations of 40 positions, and labels that they know something of."""
    label = random.integers(0, 2, size=40)
    return random.normal(size=40) + label, label


def divided(random: np.random.Generator) -> Arguments:
    """Three labels, each of which one or more of eight features know something of; twice."""
    samples = []
    for _ in range(2):
        labels = random.random((60, 3)) < 0.4
        seen = labels[:, random.integers(3, size=8)] & (random.random((60, 8)) < 0.5)
        samples += [random.exponential(size=(60, 8)) * (seen | (random.random((60, 8)) < 0.1)), labels.astype(int)]
    return tuple(samples)


def bases(random: np.random.Generator) -> Arguments:
    """Heavy tails along the native basis, none to speak of along the rotated one."""
    native = random.laplace(size=(200, 3)) ** 3
    return native, native @ np.linalg.qr(random.normal(size=(3, 3)))[0]


def computed_by(function: str) -> set[str]:
    """The metrics that one function computes."""
    return {name for name, metric in METRICS.items() if metric.function == f"benchmark.metrics.{function}"}


LOSSES = computed_by("task:task_loss")
FAITHFULNESS = computed_by("agreement:faithfulness")
SCORES = computed_by("validity:label_replacement_score")
PRECISIONS = computed_by("validity:average_precision")
PRIVILEGES = computed_by("validity:basis_privilege")
R2S = computed_by("agreement:logit_difference_r2")
AGREEMENTS = computed_by("agreement:answer_agreement")
DENSITIES = computed_by("dictionary:connection_density")
SPLIT_COUNTS = computed_by("dictionary:split_count")
AT_A_THRESHOLD = {"p_concept_given_active", "p_active_given_concept", "middle_band_purity"}
EXPLAINED = computed_by("validity:explained_harm")
OF_LABELS = AT_A_THRESHOLD | {"middle_meaning"} | PRECISIONS | {"top_k_precision"}
PATHS = {"path_length", "longest_path"}
SIZE_METRICS = {"edges", "touched_edges", "description_bits", "opaque_weights"}

EXAMPLES: dict[str, Callable[[np.random.Generator], Arguments]] = {
    "nodes": lambda random: (random_circuit(random),),
    **dict.fromkeys(SIZE_METRICS, size_arguments),
    **dict.fromkeys(PATHS, path_arguments),
    **dict.fromkeys(LOSSES, random_pairs),
    **dict.fromkeys(FAITHFULNESS, lambda random: tuple(random.exponential(size=2).tolist())),
    **dict.fromkeys(
        ("recovered_task_loss", "loss_recovered"), lambda random: (1.0, *(random.random(2) + np.arange(2)).tolist())
    ),
    "loss_increase": lambda random: tuple(random.random(2).tolist()),
    **dict.fromkeys(
        R2S | AGREEMENTS | {"prediction_rank_correlation"}, lambda random: tuple(random.normal(size=(2, 7)))
    ),
    "idle_share": lambda random: (random.normal(0, 0.02, size=9),),
    **dict.fromkeys(("cpr", "cmd"), curve),
    "fvu": lambda random: (random.normal(size=(9, 4)), random.normal(size=(9, 4))),
    **dict.fromkeys(("l0", "dead_fraction"), features),
    **dict.fromkeys(DENSITIES, lambda random: ([random.normal(size=(3, 5)), random.normal(size=(4, 2))],)),
    **dict.fromkeys(SPLIT_COUNTS, divided),
    "error_compounding": lambda random: (random.random(), 0.1 + random.random(3)),
    "replaced_kl": lambda random: (random.normal(size=(9, 4)), random.normal(size=(9, 4))),
    "firing_rate_spread": lambda random: (random.random(12) / 4,),
    "token_loss_correlation": lambda random: (random.exponential(size=9), random.exponential(size=9)),
    "context_dilution": lambda random: (3.0 * 2 ** np.arange(4), np.array([0.9, *random.random(2), 0.1])),
    "dilution_slope": lambda random: (3.0 * 2 ** np.arange(4), random.random(4) + 0.1),
    **dict.fromkeys(SCORES, lambda random: (*random.random(2).tolist(), 1 + random.random())),
    **dict.fromkeys(PRECISIONS, labelled),
    **dict.fromkeys(("p_concept_given_active", "p_active_given_concept"), lambda random: (*labelled(random), 0.5)),
    "middle_band_purity": lambda random: (*labelled(random), 0.0, 1.0),
    "middle_meaning": lambda random: (*labelled(random), (random.random(40) < 0.3).astype(int), 0.0, 1.0),
    "top_k_precision": lambda random: (*labelled(random), 7),
    **dict.fromkeys(EXPLAINED, lambda random: (*random.random((2, 9)), *(random.random((2, 9)) + 0.1))),
    **dict.fromkeys(PRIVILEGES, bases),
}
"""Random arguments for the function of each metric."""

REPORTED = {
    *("validation_loss", "parameters", "nonzero_parameters", "training_flops"),
    *("undefined_rate", "illusion_rate", "graded_rate", "named_nodes", "labelled_share", "verified_edges"),
    *("minimal_nodes", "minimal_edges", "silent_share", "removable_pairs"),
    *("least_illusion_rate", "most_illusion_rate", "explained_nodes"),
    *(f"pooled_{choice}concepts" for choice in ("", "by_score_", "joint_", "direction_")),
    *("unused_rate", "undecided_rate", "ablation_harm", "nodes_with_a_name", "second_circuit_nodes"),
}
"""Numbers that training tells, counts, and shares of counts."""

TORCH_EQUALS_NUMPY = (
    LOSSES
    | R2S
    | AGREEMENTS
    | {"cpr", "cmd", "fvu", "l0", "dead_fraction", "idle_share", "prediction_rank_correlation"}
    | {
        "error_compounding",
        "replaced_kl",
        "firing_rate_spread",
        "token_loss_correlation",
        "context_dilution",
        "dilution_slope",
    }
    | DENSITIES
    | SPLIT_COUNTS
    | OF_LABELS
    | PRIVILEGES
    | EXPLAINED
)
ORDER_OF_PROMPTS_IS_NOTHING = {
    *("fvu", "l0", "dead_fraction", "replaced_kl", "firing_rate_spread"),
    *("idle_share", "prediction_rank_correlation", *R2S, *AGREEMENTS),
    *("token_loss_correlation", *LOSSES, *OF_LABELS, *PRIVILEGES, *SPLIT_COUNTS, *EXPLAINED),
}
COMMON_SHIFT_IS_NOTHING = {
    *("fvu", "loss_increase", "recovered_task_loss", "loss_recovered", *R2S),
    *("replaced_kl", "token_loss_correlation"),
    *(*LOSSES, *SCORES, *OF_LABELS, *PRIVILEGES),
}
COMMON_SCALE_IS_NOTHING = {
    *("fvu", "l0", "dead_fraction", *R2S, *AGREEMENTS),
    *("error_compounding", "firing_rate_spread", "token_loss_correlation", *DENSITIES),
    *FAITHFULNESS,
    *("recovered_task_loss", "loss_recovered"),
    *SCORES,
    *(OF_LABELS - {"top_k_precision"}),
    *PRIVILEGES,
    *SPLIT_COUNTS,
    *EXPLAINED,
}
ORDER_OF_ACTIVATIONS_IS_ALL = PRECISIONS | {"top_k_precision"}
LEVELS_COUNT_AS_ONE = OF_LABELS
OPPOSITE_LABELS_ADD_UP_TO_ONE = {"p_concept_given_active", "middle_band_purity", "top_k_precision"}
ABLATED_NODES_ARE_NOTHING = {"nodes", "edges", "touched_edges", "opaque_weights", *PATHS}
ORDER_OF_NODES_IS_NOTHING = {"nodes", *SIZE_METRICS, *PATHS}
NEVER_SMALLER_WITH_ONE_MORE_NODE = {"nodes", "edges", "touched_edges", "opaque_weights", "longest_path"}
SIZE_OF_WEIGHTS_IS_NOTHING = {*SIZE_METRICS, "longest_path"}
UNDEFINED = {
    **dict.fromkeys(LOSSES, (np.zeros((0, 3)), np.zeros(0, dtype=int), np.zeros(0, dtype=int))),
    **dict.fromkeys(FAITHFULNESS, (0.0, 0.0)),
    "recovered_task_loss": (0.5, 0.7, 0.6),
    "loss_recovered": (0.5, 0.7, 0.7),
    **dict.fromkeys(R2S | {"prediction_rank_correlation"}, (np.ones(4), np.arange(4.0))),
    "idle_share": (np.zeros(0),),
    **dict.fromkeys(AGREEMENTS, (np.zeros(0), np.zeros(0))),
    **dict.fromkeys(PATHS, (Circuit({}), [])),
    **dict.fromkeys(("cpr", "cmd"), ([], [], 10.0)),
    "fvu": (np.ones((4, 2)), np.zeros((4, 2))),
    **dict.fromkeys(("l0", "dead_fraction"), (np.zeros((0, 3)),)),
    **dict.fromkeys(DENSITIES, ([],)),
    **dict.fromkeys(SPLIT_COUNTS, (np.ones((4, 2)), np.zeros((4, 1)), np.ones((4, 2)), np.ones((4, 1)))),
    "error_compounding": (0.0, [0.0, 0.0]),
    "replaced_kl": (np.zeros((0, 4)), np.zeros((0, 4))),
    "firing_rate_spread": (np.zeros(3),),
    "token_loss_correlation": (np.ones(4), np.arange(4.0)),
    "context_dilution": ([3.0, 6.0], [0.9, 0.6]),
    "dilution_slope": ([3.0, 6.0], [0.9, -0.1]),
    **dict.fromkeys(SCORES, (1.5, 2.0, 2.0)),
    **dict.fromkeys(PRECISIONS, (np.arange(4.0), np.zeros(4, dtype=int))),
    "p_concept_given_active": (np.arange(4.0), np.ones(4, dtype=int), 3.0),
    "p_active_given_concept": (np.arange(4.0), np.zeros(4, dtype=int), 1.0),
    "middle_band_purity": (np.arange(4.0), np.ones(4, dtype=int), 0.2, 0.8),
    "middle_meaning": (np.arange(4.0), np.ones(4, dtype=int), np.zeros(4, dtype=int), 0.0, 2.0),
    **dict.fromkeys(EXPLAINED, (np.ones(3), np.ones(3), np.zeros(3), np.ones(3))),
    "top_k_precision": (np.zeros(0), np.zeros(0, dtype=int), 5),
    **dict.fromkeys(PRIVILEGES, (np.ones((4, 2)), np.zeros((4, 2)))),
}
"""Arguments for which each metric has no value."""

PROPERTIES = (
    *(TORCH_EQUALS_NUMPY, ORDER_OF_PROMPTS_IS_NOTHING, COMMON_SHIFT_IS_NOTHING, COMMON_SCALE_IS_NOTHING),
    *(ABLATED_NODES_ARE_NOTHING, ORDER_OF_NODES_IS_NOTHING, NEVER_SMALLER_WITH_ONE_MORE_NODE),
    *(SIZE_OF_WEIGHTS_IS_NOTHING, ORDER_OF_ACTIVATIONS_IS_ALL, LEVELS_COUNT_AS_ONE, OPPOSITE_LABELS_ADD_UP_TO_ONE),
    *(set(UNDEFINED), REPORTED),
)


def function_of(name: str) -> Callable[..., float]:
    assert METRICS[name].function is not None
    return resolve(METRICS[name].function)


def examples(name: str, count: int = 20):
    """A function and some arguments for it."""
    for seed in range(count):
        yield function_of(name), EXAMPLES[name](np.random.default_rng(seed))


def each(names):
    return pytest.mark.parametrize("name", sorted(names))


@each(METRICS)
def test_every_metric_declares_properties(name):
    assert any(name in property_ for property_ in PROPERTIES)
    assert (name in EXAMPLES) != (name in REPORTED)


def test_every_property_is_of_a_metric():
    assert set().union(*PROPERTIES) <= set(METRICS)


@each(REPORTED)
def test_a_reported_number_has_no_function_and_is_negative_only_if_it_is_a_change_of_the_loss(name):
    assert METRICS[name].function is None
    assert METRICS[name].low == (-math.inf if name == "ablation_harm" else 0)


@each(EXAMPLES)
def test_values_are_floats_in_the_declared_range(name):
    for function, arguments in examples(name):
        value = function(*arguments)
        assert type(value) is float
        assert METRICS[name].low <= value <= METRICS[name].high


@each(UNDEFINED)
def test_a_score_that_is_undefined_is_nan(name):
    assert math.isnan(function_of(name)(*UNDEFINED[name]))


@each(TORCH_EQUALS_NUMPY)
def test_torch_and_numpy_give_the_same(name):
    for function, arguments in examples(name):
        as_tensors = [torch.from_numpy(value) if isinstance(value, np.ndarray) else value for value in arguments]
        if isinstance(arguments[0], list):
            as_tensors = [list(tensors(arguments[0]))]
        assert function(*as_tensors) == function(*arguments)


@each(ORDER_OF_PROMPTS_IS_NOTHING)
def test_the_order_of_prompts_changes_nothing(name):
    for function, arguments in examples(name):
        order = np.random.default_rng(1).permutation(len(arguments[0]))
        moved = [value[order] if isinstance(value, np.ndarray) else value for value in arguments]
        assert function(*moved) == pytest.approx(function(*arguments))


@each(COMMON_SHIFT_IS_NOTHING)
def test_adding_a_constant_to_all_changes_nothing(name):
    for function, arguments in examples(name):
        shifted = [value if np.asarray(value).dtype.kind == "i" else value + 3.0 for value in arguments]
        assert function(*shifted) == pytest.approx(function(*arguments))


@each(COMMON_SCALE_IS_NOTHING)
def test_scaling_all_changes_nothing(name):
    for function, arguments in examples(name):
        scaled = [[4.0 * part for part in value] if isinstance(value, list) else 4.0 * value for value in arguments]
        assert function(*scaled) == pytest.approx(function(*arguments))


@each(ORDER_OF_ACTIVATIONS_IS_ALL)
def test_an_increasing_map_of_activations_changes_nothing(name):
    for function, (activation, *rest) in examples(name):
        assert function(np.exp(activation), *rest) == function(activation, *rest)


@each(LEVELS_COUNT_AS_ONE)
def test_any_label_but_zero_counts_as_holding(name):
    for function, (activation, label, *rest) in examples(name):
        levels = label * np.random.default_rng(3).integers(1, 5, size=len(label))
        assert function(activation, levels, *rest) == function(activation, label, *rest)
        assert function(activation, label.astype(bool), *rest) == function(activation, label, *rest)


@each(OPPOSITE_LABELS_ADD_UP_TO_ONE)
def test_what_does_not_hold_it_is_the_rest(name):
    for function, (activation, label, *rest) in examples(name):
        assert function(activation, label, *rest) + function(activation, 1 - label, *rest) == pytest.approx(1)


@each(ABLATED_NODES_ARE_NOTHING)
def test_nodes_that_are_ablated_and_unconnected_change_nothing(name):
    for function, arguments in examples(name):
        assert function(*with_dead_nodes(*arguments)) == function(*arguments)


@each({"description_bits"})
def test_dead_nodes_must_be_told_from_the_kept_ones(name):
    for function, arguments in examples(name):
        assert function(*with_dead_nodes(*arguments)) > function(*arguments)


@each(ORDER_OF_NODES_IS_NOTHING)
def test_the_order_of_nodes_changes_nothing(name):
    random = np.random.default_rng(2)
    orders = {site: torch.from_numpy(random.permutation(size)) for site, size in SIZES.items()}
    orders |= dict.fromkeys(TERMINALS, torch.zeros(1, dtype=torch.int64))
    for function, arguments in examples(name):
        assert function(*reordered(orders, *arguments)) == pytest.approx(function(*arguments))


@each(NEVER_SMALLER_WITH_ONE_MORE_NODE)
def test_one_more_node_never_makes_a_circuit_smaller(name):
    for function, (circuit, *rest) in examples(name):
        for site, mask in circuit.masks.items():
            grown = mask.clone()
            grown[0] = True
            assert function(Circuit({**circuit.masks, site: grown}), *rest) >= function(circuit, *rest)


@each(SIZE_OF_WEIGHTS_IS_NOTHING)
def test_only_whether_a_weight_is_zero_counts(name):
    for function, (circuit, connections) in examples(name):
        scaled = [
            Connection(one.source, one.target, None if one.weight is None else -5 * one.weight, one.block)
            for one in connections
        ]
        assert function(circuit, scaled) == function(circuit, connections)


def with_dead_nodes(circuit, connections=None):
    """Three more ablated nodes a site, which no weight joins; opaque blocks are kept apart, as they join every pair."""
    grown = Circuit({site: torch.cat([mask, torch.zeros(3, dtype=torch.bool)]) for site, mask in circuit.masks.items()})
    if connections is None:
        return (grown,)
    extra = dict.fromkeys(SIZES, 3) | dict.fromkeys(TERMINALS, 0)
    padded = [
        Connection(
            one.source, one.target, torch.nn.functional.pad(one.weight, (0, extra[one.source], 0, extra[one.target]))
        )
        for one in connections
        if one.weight is not None
    ]
    connections[:] = [one for one in connections if one.weight is not None]
    return grown, padded


def reordered(orders, circuit, connections=None):
    shuffled = Circuit({site: mask[orders[site]] for site, mask in circuit.masks.items()})
    if connections is None:
        return (shuffled,)
    moved = [
        Connection(
            one.source,
            one.target,
            None if one.weight is None else one.weight[orders[one.target]][:, orders[one.source]],
            one.block,
        )
        for one in connections
    ]
    return shuffled, moved


# Identities


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_whole_model_scores_one_and_full_ablation_scores_zero(seed):
    random = np.random.default_rng(seed)
    whole, answer, other = random_pairs(random)
    empty = random.normal(size=whole.shape)
    empty_kl = metrics.pair_kl(whole, empty, answer, other)
    assert metrics.faithfulness(metrics.pair_kl(whole, whole, answer, other), empty_kl) == 1
    assert metrics.faithfulness(empty_kl, empty_kl) == 0
    difference = metrics.logit_difference(whole, answer, other)
    assert metrics.logit_difference_r2(difference, difference) == 1
    assert metrics.recovered_task_loss(0.1, 0.1, 0.7) == metrics.loss_recovered(0.1, 0.1, 0.7) == 1
    assert metrics.recovered_task_loss(0.7, 0.1, 0.7) == metrics.loss_recovered(0.7, 0.1, 0.7) == 0


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_kept_and_touched_edges_partition_the_weights(seed):
    random = np.random.default_rng(seed)
    circuit, connections = random_circuit(random), random_connections(random)
    whole = Circuit({site: torch.ones_like(mask) for site, mask in circuit.masks.items()})
    every = metrics.edge_count(whole, connections)
    assert every == metrics.touched_edge_count(circuit, connections) + metrics.edge_count(
        circuit.complement(), connections
    )
    assert metrics.edge_count(circuit, connections) <= metrics.touched_edge_count(circuit, connections) <= every


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_path_length_is_the_sum_over_all_paths_by_its_definition(seed):
    circuit, connections = path_arguments(np.random.default_rng(seed))
    whole, units = 0.0, 0.0
    for weight, length in paths(circuit, connections, (LOGITS, 0)):
        whole, units = whole + weight, units + weight * length
    assert metrics.path_length(circuit, connections) == pytest.approx(units / whole if whole else math.nan, nan_ok=True)


def paths(circuit, connections, target):
    """Every path from the embeddings to a node: the product of its shares, and the units before the node."""
    kept = {**circuit.masks, **dict.fromkeys(TERMINALS, torch.ones(1, dtype=torch.bool))}
    name, node = target
    into = {
        (each.source, source): abs(float(each.weight[node, source]))
        for each in connections
        if each.target == name
        for source in kept[each.source].nonzero().flatten().tolist()
    }
    for source, weight in into.items():
        if not weight:
            continue
        before = [(1.0, 0)] if source[0] == EMBEDDING else [(w, n + 1) for w, n in paths(circuit, connections, source)]
        yield from ((weight / sum(into.values()) * share, units) for share, units in before)


@given(st.integers(0, 10_000), st.floats(0.01, 100))
@settings(max_examples=50)
def test_scaling_all_that_enters_a_site_changes_no_path_length(seed, scale):
    circuit, connections = path_arguments(np.random.default_rng(seed))
    scaled = [
        Connection(one.source, one.target, -scale * one.weight if one.target == "blocks.1.neuron" else one.weight)
        for one in connections
    ]
    known, found = (metrics.path_length(circuit, each) for each in (connections, scaled))
    assert found == pytest.approx(known, nan_ok=True)
    assert not known > metrics.longest_path(circuit, connections) + 1e-9


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_cpr_and_cmd_add_up_to_one(seed):
    arguments = curve(np.random.default_rng(seed))
    assert metrics.cpr(*arguments) + metrics.cmd(*arguments) == pytest.approx(1)


@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
@settings(max_examples=50)
def test_measuring_a_smaller_circuit_never_lowers_cpr(seed, score):
    sizes, scores, largest = curve(np.random.default_rng(seed))
    more = np.concatenate([[sizes[0] / 2], sizes]), np.concatenate([[score], scores])
    assert metrics.cpr(*more, largest) >= metrics.cpr(sizes, scores, largest) - 1e-12


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_average_precision_is_the_sum_over_thresholds_by_its_definition_whatever_the_ties(rows):
    activation = np.array([value for value, _ in rows], dtype=float)
    label = np.array([holds for _, holds in rows])
    if not label.any():
        assert math.isnan(metrics.average_precision(activation, label))
        return
    total = recall = 0.0
    for threshold in sorted(set(activation), reverse=True):
        active = activation >= threshold
        precision, before, recall = label[active].mean(), recall, (label & active).sum() / label.sum()
        total += (recall - before) * precision
    assert metrics.average_precision(activation, label) == pytest.approx(total)


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_average_precision_of_all_nodes_at_once_is_that_of_each_with_either_sign(seed, tokens, levels):
    random = np.random.default_rng(seed)
    values = random.integers(-levels, levels + 1, size=(tokens, 4)).astype(np.float32)
    values[:, 1] = np.maximum(values[:, 1], 0)
    values[:, 2] = -values[:, 1]
    values[:, 3] = random.normal(size=tokens)
    labels = random.random((3, tokens)) < [[0.0], [0.3], [0.8]]
    found = average_precisions(values, labels)
    for side, concept, node in np.ndindex(*found.shape):
        alone = metrics.average_precision([1, -1][side] * values[:, node], labels[concept])
        assert found[side, concept, node] == pytest.approx(alone, nan_ok=True)


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_average_precision_is_one_of_the_label_itself_and_the_rate_of_a_constant(seed):
    _, label = labelled(np.random.default_rng(seed))
    assert metrics.average_precision(label.astype(float), label) == 1
    assert metrics.average_precision(np.full(len(label), 3.0), label) == pytest.approx(label.mean())


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_no_threshold_has_a_higher_f1_than_the_one_that_is_found(rows):
    activation = np.array([value for value, _ in rows], dtype=float)
    label = np.array([holds for _, holds in rows])
    threshold = metrics.f1_threshold(activation, label)
    levels = np.unique(activation)
    if not label.any() or len(levels) == 1:
        assert math.isnan(threshold)
        return
    tried = (levels[1:] + levels[:-1]) / 2
    assert threshold in tried
    assert f1(activation > threshold, label) == pytest.approx(max(f1(activation > each, label) for each in tried))


def f1(active, label):
    return 2 * (active & label).sum() / (active.sum() + label.sum())


@given(st.floats(-5, 5), st.floats(0.01, 5))
def test_true_activations_score_one_and_the_mean_scores_zero_exactly(true, harm):
    assert metrics.label_replacement_score(true, true, true + harm) == 1
    assert metrics.label_replacement_score(true + harm, true, true + harm) == 0


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_two_bases_change_places_with_the_sign_and_idle_nodes_change_nothing(seed):
    native, rotated = bases(np.random.default_rng(seed))
    privilege = metrics.basis_privilege(native, rotated)
    assert metrics.basis_privilege(rotated, native) == pytest.approx(-privilege)
    padded = [np.pad(values, ((0, 0), (0, 2))) for values in (native, rotated)]
    assert metrics.basis_privilege(*padded) == pytest.approx(privilege)


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_mass_edge_count_grows_with_mass_and_ignores_dead_sources(seed):
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(4, 6))
    counts = [metrics.mass_edge_count([matrix], mass) for mass in (0.25, 0.5, 0.95, 1.0)]
    assert counts == sorted(counts)
    assert counts[-1] == 24
    assert metrics.mass_edge_count([np.pad(matrix, ((0, 2), (0, 3)))]) == counts[2]


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_split_count_is_greedy_by_its_definition(seed):
    features, labels, held_features, held_labels = divided(np.random.default_rng(seed))
    counts = []
    for label, held_label in zip(labels.T > 0, held_labels.T > 0, strict=True):
        chosen, scores = [], []
        while len(scores) < 2 or scores[-1] - scores[-2] >= 0.03:
            tried = [f1((features[:, [*chosen, one]] != 0).any(axis=1), label) for one in range(features.shape[1])]
            chosen.append(int(np.argmax(tried)))
            scores.append(f1((held_features[:, chosen] != 0).any(axis=1), held_label))
        counts.append(len(scores) - 1)
    assert metrics.split_count(features, labels, held_features, held_labels) == pytest.approx(np.mean(counts))


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_kl_divergence_is_zero_of_itself_and_never_negative(seed):
    random = np.random.default_rng(seed)
    logits, reference = random.normal(size=(2, 3, 4, 5))
    assert metrics.kl_divergence(logits, logits + 2.0) == pytest.approx(0, abs=1e-12)
    assert metrics.kl_divergence(logits, reference) > 0
    assert metrics.kl_divergence(*tensors((logits, reference))) == metrics.kl_divergence(logits, reference)
    assert math.isnan(metrics.kl_divergence(logits[:0], reference[:0]))


def test_half_precision_and_gradients_are_taken_as_they_are():
    logits = torch.randn(4, 6, dtype=torch.bfloat16, requires_grad=True)
    answer, other = torch.arange(4), torch.arange(4) + 1
    expected = metrics.task_loss(logits.detach().double(), answer, other)
    assert metrics.task_loss(logits, answer, other) == expected
