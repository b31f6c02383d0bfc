"""Functions and classes."""

from benchmark.corpus.idioms.blocks import accumulator, body, indented, leave
from benchmark.corpus.idioms.scope import Lines, Scope
from benchmark.corpus.idioms.words import CLASSES


def parameters(scope: Scope, first: list[str]) -> tuple[list[str], list[str]]:
    """Names of parameters and their source text: either none has a default, or all have `None`."""
    count = int(scope.chance() * 6)
    names = list(dict.fromkeys(scope.name() for _ in range(count)))
    default = "=None" if scope.chance() < 0.45 else ""
    return names, [*first, *(name + default for name in names)]


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
    one, two = scope.copied(2)
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
    return [f"def {scope.function()}({', '.join(texts)}):", *indented([*lines, *leave(inner)])]


def class_definition(scope: Scope) -> Lines:
    """A class that stores its parameters under their own names, and sometimes a method."""
    fields = scope.copied(1 + int(scope.chance() * 6))
    lines = [f"class {scope.pick(CLASSES)}:", f"    def __init__(self, {', '.join(fields)}):"]
    lines += [f"        self.{field} = {field}" for field in fields]
    if scope.chance() < 0.5:
        method = function(scope.inner([f"self.{field}" for field in fields]), first=["self"])
        lines += ["", *indented(method)]
    return lines
