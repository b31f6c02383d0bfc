"""Functions that numba compiles: once for all processes where its cache can be written, else anew in each process."""

from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Decorator: machine code without the interpreter's lock, cached if the installation or the home can be written."""
    try:
        result: Function = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no place for the cache
        result = numba.njit(nogil=True)(function)
    return result
