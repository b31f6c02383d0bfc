"""Every number in every settings class has a finite range, and what is outside it is refused in one line."""

import math
import re

import pytest
from pydantic import BaseModel

from benchmark.methods import METHODS
from benchmark.running.config import SECTIONS, Preset, configure
from benchmark.settings import Settings, validated
from sparse_model.config import TransformerConfig

CLASSES = {**SECTIONS, **{name: method.config for name, method in METHODS.items()}}
CLASSES |= {"preset": Preset, "transformer": TransformerConfig}


def numbers(schema, definitions, place=""):
    """Every number of a JSON schema, with the path to it, through tuples, dictionaries, options and nested models."""
    if "$ref" in schema:
        yield from numbers(definitions[schema["$ref"].rpartition("/")[2]], definitions, place)
    if schema.get("type") in ("number", "integer"):
        yield place, schema
    for key, inside in schema.get("properties", {}).items():
        yield from numbers(inside, definitions, f"{place}.{key}")
    several = [*schema.get("anyOf", ()), *schema.get("prefixItems", ())]
    for inside in [*several, schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(inside, dict):
            yield from numbers(inside, definitions, place)


def numbers_of(config):
    schema = config.model_json_schema()
    return list(numbers(schema, schema.get("$defs", {})))


@pytest.mark.parametrize("name", CLASSES)
def test_every_number_has_a_finite_range(name):
    assert issubclass(CLASSES[name], Settings)
    for place, schema in numbers_of(CLASSES[name]):
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        assert low is not None, place
        assert high is not None, place
        assert all(map(math.isfinite, (low, high))), place


def collections(schema, place=""):
    """Every list and every table with free keys in a JSON schema, with the path to it."""
    if schema.get("type") == "array" or (schema.get("type") == "object" and "properties" not in schema):
        yield place, schema
    for key, inside in schema.get("properties", {}).items():
        yield from collections(inside, f"{place}.{key}")
    for inside in [*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(inside, dict):
            yield from collections(inside, place)


@pytest.mark.parametrize("name", [*SECTIONS, *METHODS, "transformer"])
def test_every_list_and_table_has_a_largest_length(name):
    for place, schema in collections(CLASSES[name].model_json_schema()):
        assert schema.get("maxItems", schema.get("maxProperties", math.inf)) <= 10_000, place


@pytest.mark.parametrize("name", [*SECTIONS, *METHODS])
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e30", "-1e30", "true", "'3'", "1" + 400 * "0"])
def test_a_value_outside_a_range_is_refused_in_one_line_with_the_range(name, value):
    scalars = [place[1:] for place, schema in numbers_of(CLASSES[name]) if place.count(".") == 1]
    several = {"coefficients": "[{}]", "sources": "{{idioms = {}}}"}
    for key in scalars:
        given = several.get(key, "{}").format(value)
        with pytest.raises(ValueError, match=rf"^{name}\.{key}(\.\w+)? = .*: .*; choose a number") as refused:
            configure("smoke", ["all", *{name} & METHODS.keys()], changes=[f"{name}.{key}={given}"])
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "weight_sparse.learning_rate=inf",
            "weight_sparse.learning_rate = inf: input should be a finite number; "
            "choose a number above 0 up to 1,000,000",
        ),
        (
            "circuit.coefficients=[-1]",
            "circuit.coefficients.0 = -1: input should be greater than or equal to 0; "
            "choose a number from 0 up to 1,000,000",
        ),
        (
            "dense.momentum=1",
            "dense.momentum = 1: input should be less than 1; choose a number from 0 to below 1",
        ),
    ],
)
def test_the_error_names_key_value_and_range(change, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        configure("smoke", changes=[change])


def test_a_switch_is_not_a_number_and_a_whole_number_may_be_written_as_one():
    with pytest.raises(ValueError, match=r"dense\.sink = 1: input should be a valid boolean"):
        configure("smoke", changes=["dense.sink=1"])
    assert configure("smoke", changes=["dense.tokens=2e6"]).method_configs["dense"].tokens == 2_000_000


class Nested(BaseModel):
    rates: tuple[float, ...] = (0.1,)


class Outsider(BaseModel):
    """Another package's settings, with pydantic's own laxness."""

    rate: float = 0.1
    by_name: dict[str, float | None] = {}
    nested: Nested = Nested()
    anything: object = None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"rate": math.inf}, "outside.rate = inf: input should be a finite number"),
        ({"by_name": {"a": 1.0, "b": math.nan}}, "outside.by_name.b = nan: input should be a finite number"),
        ({"nested": {"rates": [0.1, -math.inf]}}, "outside.nested.rates.1 = -inf: input should be a finite number"),
        ({"anything": object()}, "outside: these settings cannot be written as JSON"),
        ({"rate": "fast"}, "outside.rate = 'fast': input should be a valid number"),
    ],
)
def test_numbers_of_an_outside_method_that_are_not_finite_are_refused_before_anything_runs(table, said):
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        validated(Outsider, table, "outside")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_training_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=rf"seed {seed} is out of range; choose from 0 to 2147483647"):
        configure("smoke", seeds=[seed])
