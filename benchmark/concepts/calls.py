"""Concepts of calls and signatures: which argument, which function, and what belongs to a name in parentheses."""

from collections.abc import Callable

import numpy as np

from benchmark.concepts import levels
from benchmark.concepts.brackets import brackets
from benchmark.concepts.clauses import clauses
from benchmark.concepts.lexer import Labels


def in_call(text: str) -> Labels:
    """Among the arguments of a call, at any depth.

    These are the parentheses after a name or a closing bracket; keywords and the name after `def` or `class` do not
    count. A class pattern after `case` counts, because it looks like a call.

    Example:
        if (x): f(a, [b])(c)
        00000000011111110110
        class A(B): pass
        0000000000000000
    """
    return np.asarray(brackets(text).call, dtype=np.int8)


def in_def_signature(text: str) -> Labels:
    """Between the parentheses of a `def`, at any depth.

    Example:
        def f(a, b=(3)): g(a)
        000001111111110000000
    """
    return np.asarray(brackets(text).signature, dtype=np.int8)


def argument_number(text: str) -> Labels:
    """Which argument of the innermost call: none outside calls, the first, the second, or a later one.

    A comma between `lambda` and its colon, or between `for` and `in`, does not separate arguments.

    Example:
        f(a, [b, c], d(e), f)
        011222222223331133330
    """
    return np.asarray(np.minimum(clauses(text).argument, 3), dtype=np.int8)


def in_keyword_argument(text: str) -> Labels:
    """In the value of a keyword argument of a call, from its `=` on.

    Example:
        def f(x=3): g(y, z=(4), **a)
        0000000000000000001111000000
    """
    return clauses(text).within(levels.KEYWORD_ARGUMENT)


def in_default_value(text: str) -> Labels:
    """In the default value of a parameter of a `def`, from its `=` on.

    Example:
        def f(x, y: int=g(3), z=4): x = 3
        000000000000000111110001100000000
    """
    return clauses(text).within(levels.DEFAULT)


def in_parameter_annotation(text: str) -> Labels:
    """In the annotation of a parameter of a `def`, from its colon on.

    Example:
        def f(x: int, y: g[3]=4): x: int
        00000001111100011111100000000000
    """
    return clauses(text).within(levels.ANNOTATION)


def in_class_bases(text: str) -> Labels:
    """Between the parentheses after the name of a class.

    Example:
        class A(B, c=f(3)): d = e(4)
        0000000111111111100000000000
    """
    return clauses(text).within(levels.BASES)


def in_method_call(text: str) -> Labels:
    """The innermost open call is of an attribute.

    Example:
        f(x.g(3), h(4).i([5]))
        0000011000000000111100
    """
    return clauses(text).within(levels.METHOD)


def in_call_of(name: str) -> Callable[[str], Labels]:
    """The labelling function of a concept: the innermost open call is of that function, or of a method of that name.

    Raises:
        ValueError: Calls of that function are not told apart.
    """
    if name not in levels.CALLED:
        raise ValueError(f"calls of {name!r} are not told apart; choose from {', '.join(levels.CALLED)}")
    number = levels.CALLED.index(name) + 1

    def labels(text: str) -> Labels:
        return np.asarray(clauses(text).called == number, dtype=np.int8)

    digits = "0" * len(name) + "111111100100000"
    shown = f"{name}([x], f(y)) + x\n    {digits}"
    labels.__doc__ = f"The innermost open call is of `{name}`.\n\nExample:\n    {shown}"
    return labels


in_call_of_print = in_call_of("print")
in_call_of_len = in_call_of("len")
in_call_of_range = in_call_of("range")
in_call_of_enumerate = in_call_of("enumerate")
in_call_of_open = in_call_of("open")
in_call_of_isinstance = in_call_of("isinstance")
in_call_of_add = in_call_of("add")
in_call_of_write = in_call_of("write")
