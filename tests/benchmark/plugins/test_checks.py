"""What a record may promise, checked when it is registered."""

from dataclasses import replace

import pytest
from toy_methods import forged, toy_method

from benchmark.concepts import CONCEPTS
from benchmark.interventions.ablations import ABLATIONS
from benchmark.methods import METHODS, Variant
from benchmark.metrics import METRICS
from benchmark.tasks import TASKS

METHOD = toy_method("new")
METRIC = replace(METRICS["nodes"], name="new", function=None, score="outsider:score")

REFUSED = [
    (METHODS, forged(METHOD, variants=()), "it has no variants"),
    (
        METHODS,
        forged(METHOD, variants=(forged(Variant("native", ("unit",)), graphs=("tree",)),)),
        "has the graphs .'tree',.; choose from channel",
    ),
    (METHODS, forged(METHOD, variants=(Variant("a", ("unit",)),) * 2), "two variants have the same name: a, a"),
    (METHODS, forged(METHOD, config=dict), "config is <class 'dict'>, not a pydantic model class"),
    (METHODS, forged(METHOD, train="outsider.train"), "train is 'outsider.train', not of the form 'module:function'"),
    (METHODS, forged(METHOD, load=None), "load is None, not of the form 'module:function'"),
    (METHODS, forged(METHOD, role="judge"), "role is 'judge'; choose from method, reference, control"),
    (METHODS, forged(METHOD, name="circuit"), "circuit is the name of a section of every preset"),
    (TASKS, forged(TASKS["for_while"], name="new", answers=()), "not one or more texts"),
    (CONCEPTS, forged(CONCEPTS["in_string"], name="new", level_names=("no",)), "not two or more"),
    (
        ABLATIONS,
        forged(ABLATIONS["mean"], name="stochastic"),
        "stochastic is the records' name for an ablation of only some",
    ),
    (METRICS, forged(METRIC, direction="up"), "direction is 'up'; choose from lower, higher, none"),
    (METRICS, forged(METRIC, low=1.0, high=0.0), "its range is 1.0 to 0.0"),
    (METRICS, forged(METRIC, cell="claims"), "a metric from outside has a score"),
    (METRICS, forged(METRIC, score=None), "a metric from outside has a score"),
]


@pytest.mark.parametrize(("registry", "record", "message"), REFUSED)
def test_an_impossible_record_is_refused(registry, record, message):
    with pytest.raises(ValueError, match=message):
        registry.add(record)
    assert record.name not in registry or registry[record.name] is not record


@pytest.mark.parametrize("registry", [METHODS, TASKS, CONCEPTS, METRICS, ABLATIONS])
def test_our_own_records_pass_the_same_checks(registry):
    for record in registry.values():
        registry.check(record)
