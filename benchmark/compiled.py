"""Functions compiled by numba: once for all processes if its cache can be written, otherwise once per process."""

from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Decorator: machine code that releases the GIL, cached if the installation or the home folder is writable."""
    try:
        result: Function = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no place for the cache
        result = numba.njit(nogil=True)(function)
    return result
