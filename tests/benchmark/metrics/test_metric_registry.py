"""The registry of metrics: data that can be listed at once."""

import math
import pkgutil
import subprocess
import sys

import pytest

from benchmark import metrics
from benchmark.metrics import METRICS, Metric
from benchmark.plugins.registry import resolve


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is(name):
    metric = METRICS[name]
    assert metric.name == name
    assert metric.summary.endswith(".")
    assert metric.unit
    assert metric.source
    assert metric.low < metric.high
    assert metric.version >= 1
    assert not math.isnan(metric.low)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.function])
def test_a_metrics_function_exists_and_is_exported(name):
    function = resolve(METRICS[name].function)
    assert function.__doc__
    assert getattr(metrics, function.__name__) is function


@pytest.mark.parametrize("name", METRICS)
def test_a_quotient_that_is_unbounded_on_a_side_is_summed_up_by_the_median(name):
    metric = METRICS[name]
    unbounded = metric.unit in ("share", "ratio", "slope") and not math.isfinite(metric.low + metric.high)
    assert (metric.aggregate == "median") == unbounded


def test_a_mean_of_an_unbounded_share_is_refused():
    for low, high in ((-math.inf, 1.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match=f"new: a share from {low} to {high} is unbounded, so its aggregate is"):
            Metric("new", "New.", "share", low, high, "higher", "mean", "ours", None)
    assert Metric("new", "New.", "share", 0.0, 1.0, "higher", "mean", "ours", None).aggregate == "mean"
    assert Metric("new", "New.", "nats", 0.0, math.inf, "lower", "mean", "ours", None).aggregate == "mean"


def test_geometric_means_are_of_counts():
    averaged = {name for name, metric in METRICS.items() if metric.aggregate == "geometric_mean"}
    assert {"nodes", "edges", "touched_edges", "description_bits", "opaque_weights"} <= averaged
    assert all(METRICS[name].low == 0 for name in averaged)


@pytest.mark.parametrize("name", metrics.__all__)
def test_every_public_name_can_be_loaded(name):
    assert getattr(metrics, name) is not None
    assert name in dir(metrics)


def test_an_unknown_metric_is_named_with_the_choices():
    with pytest.raises(ValueError, match="unknown metric 'edgez'; choose from nodes, edges"):
        METRICS.named("edgez")
    with pytest.raises(AttributeError, match=r"No benchmark\.metrics attribute edgez"):
        _ = metrics.edgez


def loaded_after(statement: str) -> set[str]:
    """The modules that a fresh Python has loaded after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_registry_and_the_records_load_no_torch():
    assert not loaded_after("import benchmark.metrics, benchmark.records.table") & {"torch", "numpy", "pandas", "scipy"}


def test_the_functions_load_neither_torch_nor_what_is_built_on_it():
    loaded = loaded_after("from benchmark.metrics import *")
    assert "benchmark.metrics.size" in loaded
    assert not loaded & {"torch", "scipy", "transformer_lens", "sae_lens"}


def test_the_leaderboard_loads_no_torch():
    loaded = loaded_after("import benchmark.leaderboard.ranking, benchmark.leaderboard.text_table")
    assert not loaded & {"torch", "pandas", "scipy.stats"}


def test_no_function_has_the_name_of_a_file():
    """Once the file is imported, the name would be the file's."""
    files = {name for _, name, _ in pkgutil.iter_modules(metrics.__path__)}
    assert files.isdisjoint(metrics.__all__)
