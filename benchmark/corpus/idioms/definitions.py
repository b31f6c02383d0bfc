"""Functions and classes."""

from benchmark.corpus.idioms.blocks import accumulator, body, indented, leave
from benchmark.corpus.idioms.scope import Lines, Scope
from benchmark.corpus.idioms.words import CLASSES


def parameters(scope: Scope, first: list[str]) -> tuple[list[str], list[str]]:
    """Names of parameters and their text: plain ones, those with a default, or first plain ones and then the others."""
    names = list(dict.fromkeys(scope.name() for _ in range(int(scope.chance() * 6))))
    chance = scope.chance()
    plain = len(names) if chance < 0.5 else 0 if chance < 0.8 else min(1, len(names))
    texts = [name if place < plain else f"{name}={default(scope)}" for place, name in enumerate(names)]
    return names, [*first, *texts]


def default(scope: Scope) -> str:
    """What a parameter is unless it is given: mostly `None`."""
    return "None" if scope.chance() < 0.8 else scope.number()


def function(scope: Scope, first: list[str] | None = None) -> Lines:
    """A `def` and its body."""
    names, texts = parameters(scope, first or [])
    inner = scope.inner(names)
    lines = [f"def {scope.function()}({', '.join(texts)}):", *body(inner, 1, most=3)]
    if scope.chance() < 0.6:
        lines += indented(leave(inner))
    return lines


def swapping_function(scope: Scope) -> Lines:
    """A function of two parameters that swaps them."""
    one, two = scope.pair()
    inner = scope.inner([one, two])
    lines = [f"{one}, {two} = {two}, {one}"]
    if scope.chance() < 0.3:
        lines = [f"if {one} > {two}:", *indented(lines)]
    if scope.chance() < 0.7:
        lines.append(f"return {one}, {two}" if scope.chance() < 0.6 else f"return {one} - {two}")
    return [f"def {inner.function()}({one}, {two}):", *indented(lines)]


def accumulating_function(scope: Scope) -> Lines:
    """A function that fills an accumulator and returns it."""
    names, texts = parameters(scope, [])
    inner = scope.inner(names)
    lines = accumulator(inner, 1)
    return [f"def {scope.function()}({', '.join(texts)}):", *indented(lines), *indented(leave(inner))]


def class_definition(scope: Scope) -> Lines:
    """A class that stores its parameters under their own names, in their order or another, and sometimes a method."""
    fields = scope.fields(1 + int(scope.chance() * 5))
    given = "=None" if scope.chance() < 0.3 else ""
    lines = [f"class {scope.pick(CLASSES)}{'(Base)' if scope.chance() < 0.3 else ''}:"]
    lines += [f"    def __init__(self, {', '.join(field + given for field in fields)}):"]
    stored = [f"        self.{field} = {field}" for field in fields]
    if scope.chance() < 0.4:
        scope.random.shuffle(stored)
    if scope.chance() < 0.3:
        stored.insert(int(scope.chance() * len(stored)), f"        self.{scope.noun()} = {scope.number()}")
    lines += stored
    if scope.chance() < 0.5:
        method = function(scope.inner([f"self.{field}" for field in fields]), first=["self"])
        lines += ["", *indented(method)]
    return lines
