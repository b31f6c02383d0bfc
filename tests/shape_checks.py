"""Checks the shapes and types of each function's first calls in every test: they hardly change from call to call.

Checking every call takes two thirds of the time of the whole run, a third of that for checks of functions that are made
anew for every forward pass.
"""

import functools
import inspect
from collections import Counter
from contextlib import contextmanager

import jaxtyping

FIRST = 4
"""Calls of each function that are checked in every test."""

_jaxtyped = jaxtyping.jaxtyped
_calls = Counter()


def start_test():
    """Check the next calls of every function again."""
    _calls.clear()


def install():
    """Take the place of what jaxtyping's import hook decorates every function with."""
    jaxtyping.jaxtyped = jaxtyped


def jaxtyped(function=None, **options):
    """Like `jaxtyping.jaxtyped`, for the first calls in every test; whatever is not a function is checked always."""
    if function is None:
        return functools.partial(jaxtyped, **options)
    if not inspect.isfunction(function):
        return _jaxtyped(function, **options)
    code, checked = function.__code__, None

    @functools.wraps(function)
    def first_calls_checked(*args, **kwargs):
        nonlocal checked
        if _calls[code] >= FIRST:
            return function(*args, **kwargs)
        _calls[code] += 1
        checked = checked or _jaxtyped(function, **options)
        return checked(*args, **kwargs)

    return first_calls_checked


@contextmanager
def off():
    """No call is checked inside, as for users, so that errors are those that they see."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
