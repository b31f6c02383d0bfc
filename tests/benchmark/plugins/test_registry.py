"""Registries: what is registered, by us and by other distributions, and what happens to records that are broken."""

from dataclasses import dataclass, replace
from importlib.metadata import Distribution, EntryPoint

import pytest
from toy_methods import toy_method

from benchmark.methods import METHODS
from benchmark.plugins import registry
from benchmark.plugins.registry import Registry, resolve


@dataclass(frozen=True)
class Colour:
    name: str
    hue: int = 0


OURS = (Colour("red"), Colour("blue"))


class Outsider(Distribution):
    """A distribution that is not installed."""

    def read_text(self, filename):
        return "Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n" if filename == "METADATA" else None

    def locate_file(self, path):
        return path


@pytest.fixture
def installed(monkeypatch):
    """Pretend that entry points `NAME: value` are installed by another distribution."""

    def install(**values):
        entries = [
            EntryPoint(name, value, "sparse_circuit_bench.colours")._for(Outsider()) for name, value in values.items()
        ]
        monkeypatch.setattr(registry, "entry_points", lambda group: entries)

    return install


GREEN = Colour("green")
RED = Colour("red", hue=7)
NOT_A_COLOUR = "green"


def colours(check=lambda colour: None):
    return Registry("colour", Colour, OURS, check=check)


def test_records_of_ours_come_first_in_their_own_order_then_those_of_other_distributions(installed):
    installed(green=f"{__name__}:GREEN")
    found = colours()
    assert list(found) == ["red", "blue", "green"]
    assert found.named("green") is GREEN
    assert [found.origin(name) for name in found] == ["sparse-circuit-bench", "sparse-circuit-bench", "outsider 1.0"]
    assert found.unavailable == ()


def test_an_unknown_name_is_answered_with_the_choices(installed):
    installed()
    with pytest.raises(ValueError, match=r"^unknown colour 'grey'; choose from red, blue$"):
        colours().named("grey")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (f"{__name__}:RED", "ValueError: there is already a colour called 'red'"),
        (f"{__name__}:NOT_A_COLOUR", f"ValueError: {__name__}:NOT_A_COLOUR is a str, not a Colour"),
        (f"{__name__}:MISSING", f"AttributeError: module '{__name__}' has no attribute 'MISSING'"),
        ("no_such_module:GREEN", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_broken_record_is_left_out_and_named_with_its_distribution(installed, value, reason):
    installed(broken=value, green=f"{__name__}:GREEN")
    found = colours()
    assert list(found) == ["red", "blue", "green"]
    assert found.unavailable == (f"colour broken of outsider 1.0 was left out: {reason}",)
    assert found["red"].hue == 0


def test_a_record_that_promises_something_impossible_is_left_out(installed):
    def check(colour):
        if colour.name == "green":
            raise ValueError("green is taken")

    installed(green=f"{__name__}:GREEN")
    found = colours(check)
    assert list(found) == ["red", "blue"]
    assert found.unavailable == ("colour green of outsider 1.0 was left out: ValueError: green is taken",)


REFERENCE = toy_method("outside_reference", role="reference")
RELATIVE = toy_method("outside_relative", family="primary")
NEIGHBOUR = toy_method("outside_neighbour")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("REFERENCE", "role is 'reference', which would decide the tasks of every method; choose from method, control"),
        ("RELATIVE", "family is 'primary', but shared families are declared in advance; leave it out"),
    ],
)
def test_a_method_of_another_distribution_changes_the_tests_of_no_other(installed, value, reason):
    installed(changed=f"{__name__}:{value}", neighbour=f"{__name__}:NEIGHBOUR")
    found = replace(METHODS)
    assert list(found) == ["outside_neighbour"]
    assert found.unavailable == (f"method changed of outsider 1.0 was left out: ValueError: {reason}",)


def test_a_record_can_be_added_for_this_process_and_its_name_is_taken_once(installed):
    installed()
    found = colours()
    assert found.add(GREEN) is found["green"]
    assert found.origin("green") == "this session"
    with pytest.raises(ValueError, match="there is already a colour called 'green'"):
        found.add(GREEN)
    with pytest.raises(ValueError, match="str is a str, not a Colour"):
        found.add("yellow")


def test_a_function_is_named_or_given():
    assert resolve("os.path:join") is resolve(resolve("os.path:join"))


@dataclass(frozen=True)
class Mixture:
    name: str
    of: tuple[str, ...] = ()
    mix: str = "os.path:join"


FIRST = Mixture("first")
SECOND = Mixture("second", of=("first",))
ORPHAN = Mixture("orphan", of=("nobody",))
SNAKE = Mixture("snake", of=("tail",))
TAIL = Mixture("tail", of=("snake",))
UNNAMED = Mixture("not a name")
UNCALLABLE = Mixture("uncallable", mix="os.path")


def mixtures(**settings):
    return Registry("colour", Mixture, functions=("mix",), needs=lambda mixture: mixture.of, **settings)


def test_records_without_what_they_need_are_left_out_and_circles_too(installed):
    installed(**{name.lower(): f"{__name__}:{name}" for name in ("SECOND", "FIRST", "ORPHAN", "SNAKE", "TAIL")})
    found = mixtures(order=lambda mixture: len(mixture.of))
    assert list(found) == ["first", "second"]
    assert [line.partition(" was left out")[0] for line in found.unavailable] == [
        f"colour {name} of outsider 1.0" for name in ("orphan", "snake", "tail")
    ]
    assert "it needs the colour 'nobody', which is not there" in found.unavailable[0]


def test_names_and_functions_have_a_form(installed):
    installed(unnamed=f"{__name__}:UNNAMED", uncallable=f"{__name__}:UNCALLABLE")
    found = mixtures()
    assert not found
    assert found.unavailable == (
        "colour uncallable of outsider 1.0 was left out: ValueError: mix is 'os.path', not of the form "
        "'module:function'",
        "colour unnamed of outsider 1.0 was left out: ValueError: a name has letters, digits, _ and -, and is not "
        "'all': 'not a name'",
    )


def test_the_source_of_outside_records_is_digested_by_record_and_function(installed):
    installed(first=f"{__name__}:FIRST")
    found = mixtures()
    assert found.outside().keys() == {"colour first", "colour first mix"}
    assert found.called("first") == "colour 'first' of outsider 1.0"
    assert found.called("mauve") == "colour 'mauve'"
