"""Checks the shapes and types of each function's first calls in every test: they hardly change from call to call.

Checking every call takes two thirds of the time of the whole run, a third of that for checks of functions that are made
anew for every forward pass. Import this module before any of the project's: a function that is decorated earlier has
every call checked.
"""

import functools
import inspect
from collections import Counter
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from unittest import mock

import jaxtyping
from jaxtyping import _import_hook

FIRST = 4
"""Calls of each function that are checked in every test."""

FIRST_NESTED = 1
"""Calls that are checked of a function made inside another, as a check is compiled for each time that it is made."""

_jaxtyped = jaxtyping.jaxtyped
_calls = Counter()


def start_test():
    """Check the next calls of every function again."""
    _calls.clear()


def jaxtyped(function=None, **options):
    """Like `jaxtyping.jaxtyped`, for the first calls in every test; whatever is not a function is checked always."""
    if function is None:
        return functools.partial(jaxtyped, **options)
    if not inspect.isfunction(function):
        return _jaxtyped(function, **options)
    code, checked = function.__code__, None
    first = FIRST_NESTED if "<locals>" in function.__qualname__ else FIRST

    @functools.wraps(function)
    def first_calls_checked(*args, **kwargs):
        nonlocal checked
        if _calls[code] >= first:
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


class Loader(_import_hook._JaxtypingLoader):
    """Looks for its own bytecode elsewhere, as jaxtyping's loader does, but not for that of what the module imports."""

    exec_module = SourceFileLoader.exec_module

    def get_code(self, name):
        cached = functools.partial(_import_hook._optimized_cache_from_source, self._typechecker.get_hash())
        with mock.patch("importlib._bootstrap_external.cache_from_source", cached):
            return super().get_code(name)


_import_hook._JaxtypingLoader = Loader
jaxtyping.jaxtyped = jaxtyped  # what jaxtyping's import hook decorates every function with
