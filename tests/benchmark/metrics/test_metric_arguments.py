"""What every metric asks of its arguments: a metric that leaves one unchecked fails here."""

import math
import re

import numpy as np
import pytest
import torch

from benchmark import metrics
from benchmark.metrics.recovery import node_recovery
from benchmark.model.circuit import Circuit
from benchmark.model.graph import EMBEDDING, LOGITS
from benchmark.model.interface import Connection

random = np.random.default_rng(0)
LOGITS_OF_PROMPTS = {"logits": random.normal(size=(4, 6))}
TOKENS = {"answer": np.array([0, 1, 2, 3]), "other": np.array([1, 2, 3, 5])}
DETECTED = {"activation": random.normal(size=8), "label": np.array([0, 1, 1, 0, 1, 0, 0, 2])}
KLS = {"circuit_kl": 0.25, "empty_kl": 1.0}
CURVE = {"sizes": np.array([1.0, 2.0, 4.0]), "faithfulness": np.array([0.0, 0.5, 1.0]), "largest": 8.0}
DIFFERENCES = {"reference_difference": random.normal(size=6), "difference": random.normal(size=6)}
FIRES = {"features": np.maximum(random.normal(size=(9, 5)), 0)}
MATRICES = {"attributions": [random.normal(size=(3, 4)), random.normal(size=(2, 5))], "mass": 0.5}
LENGTHS = np.array([3.0, 6.0, 12.0])

EXAMPLES = {
    "answer_agreement": DIFFERENCES,
    "average_precision": DETECTED,
    "band_purity": {**DETECTED, "low": -1.0, "high": 1.0},
    "basis_privilege": {"native": random.normal(size=(9, 3)), "rotated": random.normal(size=(9, 3))},
    "cmd": CURVE,
    "connection_density": MATRICES,
    "context_dilution": {"elements": LENGTHS, "nested": np.array([0.75, 0.5, 0.25])},
    "cpr": CURVE,
    "dead_fraction": FIRES,
    "dilution_slope": {"elements": LENGTHS, "separation": np.array([4.0, 2.0, 1.0])},
    "error_compounding": {"together": 0.5, "alone": np.array([0.125, 0.25])},
    "explained_harm": dict(zip(("replaced", "null", "harm", "weight"), random.random((4, 7)) + 0.1, strict=True)),
    "f1_threshold": DETECTED,
    "faithfulness": KLS,
    "firing_rate_spread": {"rates": random.random(9)},
    "fvu": {"target": random.normal(size=(7, 3)), "prediction": random.normal(size=(7, 3))},
    "idle_share": {"rises": random.normal(size=6)},
    "kl_divergence": {"logits": random.normal(size=(6, 4)), "reference": random.normal(size=(6, 4))},
    "l0": FIRES,
    "label_replacement_score": {"label": 2.25, "true": 2.0, "mean": 3.0},
    "logit_difference": {**LOGITS_OF_PROMPTS, **TOKENS},
    "logit_difference_r2": DIFFERENCES,
    "loss_increase": {"replaced": 2.5, "original": 2.0},
    "loss_recovered": {"replaced": 2.5, "original": 2.0, "ablated": 4.0},
    "mass_edge_count": MATRICES,
    "middle_meaning": {**DETECTED, "name": np.arange(len(DETECTED["label"])) % 2, "low": -1.0, "high": 1.0},
    "p_active_given_concept": {**DETECTED, "threshold": 0.0},
    "p_concept_given_active": {**DETECTED, "threshold": 0.0},
    "pair_kl": {"reference": random.normal(size=(4, 6)), **LOGITS_OF_PROMPTS, **TOKENS},
    "prompt_kls": {"reference": random.normal(size=(4, 6)), **LOGITS_OF_PROMPTS, **TOKENS},
    "prompt_losses": {**LOGITS_OF_PROMPTS, **TOKENS},
    "rank_correlation": {"reference": random.normal(size=6), "predicted": random.normal(size=6)},
    "recovered_task_loss": {"circuit": 0.5, "whole": 0.25, "empty": 0.75},
    "split_count": {
        **FIRES,
        "labels": np.arange(18).reshape(9, 2) % 2,
        "held_features": FIRES["features"][:7],
        "held_labels": np.arange(14).reshape(7, 2) % 2,
        "least_gain": 0.25,
    },
    "task_loss": {**LOGITS_OF_PROMPTS, **TOKENS},
    "token_loss_correlation": {"first": random.random((2, 4)), "second": random.random((2, 4))},
    "top_k_precision": {**DETECTED, "k": 3},
}
"""Arguments of each metric of arrays and numbers."""

OF_CIRCUITS = ("edge_count", "touched_edge_count", "description_bits", "opaque_weight_count", "path_length",
               "longest_path")  # fmt: skip
ARRAYS = [(name, key) for name, example in EXAMPLES.items() for key in example if not np.isscalar(example[key])]
NUMBERS = [(name, key) for name, example in EXAMPLES.items() for key in example if (name, key) not in ARRAYS]
UNDEFINED_MAY_BE_GIVEN = {("cpr", "faithfulness"), ("cmd", "faithfulness")}


def each_array(*but):
    return pytest.mark.parametrize(("name", "key"), [each for each in ARRAYS if each not in but])


each_number = pytest.mark.parametrize(("name", "key"), NUMBERS)


def changed(name, key, change):
    """The arguments of a metric with one of them changed; of a list of matrices the first."""
    example = EXAMPLES[name]
    value = example[key]
    return {**example, key: [change(value[0]), *value[1:]] if isinstance(value, list) else change(value)}


def refused(name, arguments, key):
    """The error names the argument."""
    with pytest.raises(ValueError, match=rf"^{key}(\[0\])? must ") as error:
        getattr(metrics, name)(**arguments)
    assert "\n" not in str(error.value)


def test_every_metric_has_arguments_here():
    functions = set(metrics.__all__) - {"METRICS", "Metric"}
    assert functions == {*EXAMPLES, *OF_CIRCUITS, "node_count"}


@each_array()
def test_an_array_of_another_rank_is_refused(name, key):
    if name != "token_loss_correlation":  # any number of axes, none among them
        refused(name, changed(name, key, lambda value: value.reshape(-1)[0]), key)
    if key not in ("features", "target", "prediction", "first", "second") and name != "kl_divergence":
        refused(name, changed(name, key, lambda value: value[..., None]), key)


@each_array()
def test_arrays_of_different_sizes_are_refused(name, key):
    if sum(each == name for each, _ in ARRAYS) > 1:
        shorter = changed(name, key, lambda value: value[:-1])
        with pytest.raises(ValueError, match=r"^\w+ must have shape \["):
            getattr(metrics, name)(**shorter)


@each_array(*UNDEFINED_MAY_BE_GIVEN)
def test_an_array_that_is_not_finite_is_refused(name, key):
    def with_value(array, value):
        broken = array.astype(np.float64)
        broken.reshape(-1)[0] = value
        return broken

    for value in (math.nan, math.inf, -math.inf):
        refused(name, changed(name, key, lambda array, value=value: with_value(array, value)), key)
    refused(name, changed(name, key, lambda array: torch.from_numpy(with_value(array, math.nan)).bfloat16()), key)


@pytest.mark.parametrize(("name", "key"), sorted(UNDEFINED_MAY_BE_GIVEN))
def test_an_undefined_score_on_a_curve_leaves_its_area_undefined(name, key):
    assert math.isnan(getattr(metrics, name)(**changed(name, key, lambda value: value * math.nan)))
    refused(name, changed(name, key, lambda value: value + math.inf), key)


@each_array()
def test_what_are_no_numbers_are_refused(name, key):
    for value in (None, "abc", ["a", "b"], [[1.0], [1.0, 2.0]], np.array([1j]), {"a": 1}):
        refused(name, changed(name, key, lambda _, value=value: value), key)


@each_array()
def test_lists_and_tensors_are_as_good_as_arrays(name, key):
    function = getattr(metrics, name)
    expected = function(**EXAMPLES[name])
    for convert in (
        lambda value: value.tolist(),
        torch.from_numpy,
        lambda value: list(torch.from_numpy(value)),
        lambda value: value if value.dtype.kind == "i" else torch.from_numpy(value).requires_grad_(),
        lambda value: value.astype(np.uint8) if value.dtype.kind == "i" else value.astype(np.longdouble),
    ):
        found = function(**changed(name, key, convert))
        np.testing.assert_array_equal(found, expected)
        assert type(found) is type(expected)


@each_array()
def test_an_array_with_masked_values_is_refused_and_one_without_counts_in_full(name, key):
    function = getattr(metrics, name)
    kept = function(**changed(name, key, np.ma.masked_array))
    np.testing.assert_array_equal(kept, function(**EXAMPLES[name]))
    masked = changed(
        name, key, lambda value: np.ma.masked_array(value, np.arange(value.size).reshape(value.shape) == 0)
    )
    with pytest.raises(ValueError, match="must not have masked values, got 1 of them"):
        function(**masked)


@each_array()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_number_type_counts_for_its_values(name, key, dtype):
    function = getattr(metrics, name)
    rounded = changed(name, key, lambda value: as_type(value, dtype))
    in_double = changed(name, key, lambda value: as_type(value, dtype).double().numpy() if as_type(value, dtype)
                        .is_floating_point() else value)  # fmt: skip
    np.testing.assert_array_equal(function(**rounded), function(**in_double))


@each_array()
def test_every_type_of_numpy_counts_for_its_values(name, key):
    function = getattr(metrics, name)
    for dtype in (np.float16, np.float32):
        rounded = changed(name, key, lambda value, dtype=dtype: as_numpy(value, dtype))
        in_double = changed(name, key, lambda value, dtype=dtype: as_numpy(as_numpy(value, dtype), np.float64))
        np.testing.assert_array_equal(function(**rounded), function(**in_double))


def as_numpy(value, dtype):
    return value if value.dtype.kind == "i" else value.astype(dtype)


@pytest.mark.parametrize("name", EXAMPLES)
def test_without_positions_prompts_or_nodes_nothing_is_defined(name):
    arguments, counts = EXAMPLES[name], {"mass_edge_count": 0.0}
    empty = {
        key: [] if isinstance(value, list) else value[:0]
        for key, value in arguments.items()
        if isinstance(value, (list, np.ndarray))
    }
    if empty:
        found = getattr(metrics, name)(**{**arguments, **empty})
        np.testing.assert_array_equal(found, counts.get(name, [] if isinstance(found, np.ndarray) else math.nan))


@pytest.mark.parametrize("name", ["logit_difference", "prompt_losses", "task_loss", "pair_kl", "prompt_kls"])
def test_logits_of_no_token_are_refused(name):
    none = {key: np.zeros((4, 0)) for key in ("logits", "reference") if key in EXAMPLES[name]}
    with pytest.raises(ValueError, match=r"must have logits of at least one token, got shape \[4, 0\]$"):
        getattr(metrics, name)(**{**EXAMPLES[name], **none})


@pytest.mark.parametrize("name", ["mass_edge_count", "connection_density"])
def test_what_is_no_list_of_arrays_is_refused(name):
    for value, got in ((None, "None"), (3, "3")):
        with pytest.raises(ValueError, match=rf"^attributions must be a list of arrays \[target, source\], got {got}$"):
            getattr(metrics, name)(value)


def as_type(value, dtype):
    values = torch.from_numpy(value)
    return values.to(dtype) if values.is_floating_point() else values


@each_number
def test_a_number_may_be_of_any_type_and_gives_a_float(name, key):
    function = getattr(metrics, name)
    expected = function(**EXAMPLES[name])
    for convert in (np.float32, np.array, lambda value: torch.tensor(float(value), requires_grad=True)):
        found = function(**changed(name, key, convert))
        assert found == expected
        assert type(found) is float


@each_number
def test_what_is_no_number_is_refused(name, key):
    for value in (math.nan, None, "a", [1.0], np.ones((2, 2))):
        refused(name, changed(name, key, lambda _, value=value: value), key)


@pytest.mark.parametrize("name", ["logit_difference", "prompt_losses", "task_loss", "pair_kl", "prompt_kls"])
@pytest.mark.parametrize("token", [-1, 6, 1.0, 1.5])
@pytest.mark.parametrize("key", ["answer", "other"])
def test_a_token_outside_the_vocabulary_or_not_whole_is_refused(name, token, key):
    with pytest.raises(ValueError, match=f"^{key} must be an integer from 0 to 5, got "):
        getattr(metrics, name)(**{**EXAMPLES[name], key: [0, 1, token, 2]})


@pytest.mark.parametrize("label", [0.5, -1])
@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if "activation" in example])
def test_a_label_that_is_neither_true_nor_a_level_is_refused(name, label):
    refused(name, {**EXAMPLES[name], "label": [0, 1, 1, 0, 1, 0, 0, label]}, "label")


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("context_dilution", "nested", [0.5, 1.2, 0.1], "nested must be between 0 and 1, got 1.2 at [1]"),
        ("context_dilution", "elements", [3, 3, 6], "elements must ascend, got [3.0, 3.0, 6.0]"),
        ("firing_rate_spread", "rates", [0.5, -0.1], "rates must be between 0 and 1, got -0.1 at [1]"),
        ("faithfulness", "circuit_kl", -1, "circuit_kl must be finite and at least 0, got -1"),
        ("cpr", "sizes", [-1, 2, 3], "sizes must be finite and at least 0, got -1 at [0]"),
        ("top_k_precision", "k", 2.5, "k must be a whole number from 1, got 2.5"),
        ("pair_kl", "reference", np.zeros((4, 5)), "logits must have shape [prompt, vocab] with vocab 5 as in "
         "reference, got shape [4, 6]"),
        ("kl_divergence", "reference", np.zeros((1, 4)), "reference must have shape [*position, vocab] with position "
         "(6,) as in logits, got shape [1, 4]"),
    ],
)  # fmt: skip
def test_the_error_says_what_was_wanted_and_what_was_given(name, key, value, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(metrics, name)(**{**EXAMPLES[name], key: value})


def test_labels_of_another_shape_are_no_probability_of_twelve():
    activation, label = np.linspace(0, 1, 50), np.ones((50, 1), dtype=int)
    for function in (metrics.average_precision, metrics.f1_threshold):
        with pytest.raises(ValueError, match=r"label must have shape \[position\], got shape \[50, 1\]"):
            function(activation, label)
    with pytest.raises(ValueError, match=r"label must have shape \[position\], got shape \[50, 1\]"):
        metrics.p_concept_given_active(activation, label, 0.5)


# Circuits

KEPT = Circuit({"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False])})
JOINED = Connection("a", "b", torch.tensor([[1.0, 0.0, 2.0], [3.0, 4.0, 0.0]]))
PATH = [Connection(EMBEDDING, "a", torch.ones(3, 1)), JOINED, Connection("b", LOGITS, torch.ones(1, 2))]


def with_mask(mask):
    """A circuit that its own class would refuse under pytest."""
    circuit = Circuit.__new__(Circuit)
    object.__setattr__(circuit, "masks", {"a": mask, "b": KEPT.masks["b"]})
    return circuit


@pytest.mark.parametrize("name", OF_CIRCUITS)
@pytest.mark.parametrize("ends", [("a", "c"), ("c", "b"), ("c", "d"), (EMBEDDING, "c")])
def test_a_connection_of_an_unknown_site_is_refused(name, ends):
    source, target = ends
    unknown = target if source in ("a", EMBEDDING) else source
    target_and_source = rf"connection {source} -> {target}: the circuit has no site '({unknown}|d)'; it has a, b"
    with pytest.raises(ValueError, match=target_and_source):
        getattr(metrics, name)(KEPT, [JOINED, Connection(source, target, torch.ones(2, 3))])


@pytest.mark.parametrize("name", OF_CIRCUITS)
def test_a_weight_that_does_not_fit_the_masks_is_refused(name):
    function = getattr(metrics, name)
    with pytest.raises(ValueError, match=r"the weight of connection a -> b must have shape \[2, 3\], got shape \[3, 2"):
        function(KEPT, [Connection("a", "b", torch.ones(3, 2))])
    with pytest.raises(ValueError, match=r"the weight of connection a -> b must be finite, got nan at \[0, 0\]"):
        function(KEPT, [Connection("a", "b", torch.full((2, 3), math.nan))])


@pytest.mark.parametrize("name", [*OF_CIRCUITS, "node_count"])
@pytest.mark.parametrize("mask", [torch.ones(3, 1), torch.tensor([0.5, 0, 1]), torch.tensor([math.nan, 0, 1])])
def test_a_mask_that_is_none_is_refused(name, mask):
    arguments = () if name == "node_count" else (PATH,)
    with pytest.raises(ValueError, match="the mask of a must "):
        getattr(metrics, name)(with_mask(mask), *arguments)
    with pytest.raises(ValueError, match="the mask of a must "):
        node_recovery(KEPT, with_mask(mask))


@pytest.mark.parametrize("name", OF_CIRCUITS)
@pytest.mark.parametrize("connections", [None, [torch.ones(2, 3)], [None]])
def test_what_are_no_connections_is_refused(name, connections):
    with pytest.raises(ValueError, match=r"^connections must be a list of Connection, got "):
        getattr(metrics, name)(KEPT, connections)


@pytest.mark.parametrize("name", [*OF_CIRCUITS, "node_count"])
def test_what_is_no_circuit_is_refused(name):
    arguments = () if name == "node_count" else (PATH,)
    with pytest.raises(ValueError, match=r"^circuit must be a Circuit, got \{'a': "):
        getattr(metrics, name)({"a": [1, 0]}, *arguments)


@pytest.mark.parametrize("name", OF_CIRCUITS)
def test_masks_and_weights_may_be_of_any_number_type(name):
    function = getattr(metrics, name)
    for convert in (torch.Tensor.half, torch.Tensor.bfloat16, lambda weight: weight.clone().requires_grad_()):
        converted = [Connection(one.source, one.target, convert(one.weight)) for one in PATH]
        found = function(KEPT, converted)
        assert found == function(KEPT, PATH)
        assert type(found) is float
    for mask in ([True, True, False], np.array([1, 1, 0]), torch.tensor([1.0, 1.0, 0.0]).bfloat16()):
        assert function(with_mask(mask), PATH) == function(KEPT, PATH)
