"""The one place where arguments of metrics are checked and converted to numpy arrays.

Any argument may be a torch tensor (on any device, of any number type, with or without a gradient), a numpy array, a
list or a number. An invalid one is a `ValueError` that names the argument, the requirement and the value given. Imports
no torch: a tensor can only be given once somebody else has imported it.
"""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

    Array = ArrayLike | Tensor | Sequence[Tensor]
    """What metrics accept as an array; `arrays` checks its shape."""

    Arrays = Iterable[Array]
    """What metrics accept as several arrays."""

    Number = float | np.number[Any] | NDArray[Any] | Tensor
    """What metrics accept as one number."""
else:
    Array = Arrays = Number = object  # so that `arrays` reports errors, under pytest too, not the checker of types


class Wanted(NamedTuple):
    """A requirement on the values of an argument: in words, and as an element-wise test."""

    said: str
    holds: Callable[[NDArray[Any]], NDArray[np.bool_]]


FINITE = Wanted("finite", np.isfinite)
DEFINED = Wanted("a number, not nan", lambda values: ~np.isnan(values))
NOT_INFINITE = Wanted("finite, or nan where it is undefined", lambda values: ~np.isinf(values))
AT_LEAST_0 = Wanted("finite and at least 0", lambda values: np.isfinite(values) & (values >= 0))
ABOVE_0 = Wanted("finite and above 0", lambda values: np.isfinite(values) & (values > 0))
ABOVE_1 = Wanted("finite and above 1", lambda values: np.isfinite(values) & (values > 1))
SHARE = Wanted("between 0 and 1", lambda values: (values >= 0) & (values <= 1))
MASS = Wanted("above 0 and at most 1", lambda values: (values > 0) & (values <= 1))
MASK = Wanted("true or false", lambda values: (values == 0) | (values == 1))
LABEL = Wanted("true, false or a whole number from 0", lambda values: (values >= 0) & (values % 1 == 0))
COUNT = Wanted("a whole number from 1", lambda values: (values >= 1) & (values % 1 == 0))


def token_of(vocab: int) -> Wanted:
    """A token's index into this many logits; floats are invalid."""
    return Wanted(
        f"an integer from 0 to {vocab - 1}",
        lambda values: (values >= 0) & (values < vocab) & (values.dtype.kind in "iu" or not values.size),
    )


Asked = tuple[Array, str] | tuple[Array, str, Wanted]
"""An argument, its shape, and the requirement on its values unless they only have to be finite."""


def arrays(**arguments: Asked) -> tuple[NDArray[np.float64], ...]:
    """The arguments of a metric in double precision, in which all metrics are computed.

    Args:
        arguments: By name, each with its shape, written as names of axes, `position channel`: an axis name has the same
            size in all arguments, `*position` stands for any number of leading axes, and a number for itself.

    Returns:
        One array per argument.

    Raises:
        ValueError: In one line, with the argument, the requirement and the value given.
    """
    return tuple(values.astype(np.float64) for values in checked(**arguments))


def checked(**arguments: Asked) -> tuple[NDArray[Any], ...]:
    """Like `arrays`, in the arguments' own precision."""
    sizes: dict[str, Any] = {}
    found = []
    for name, (given, axes, *wanted) in arguments.items():
        values = _array(name, given)
        _check_shape(name, values.shape, axes.split(), sizes)
        (requirement,) = wanted or (FINITE,)
        with np.errstate(invalid="ignore"):
            wrong = ~requirement.holds(values)
        if wrong.any():
            index = np.unravel_index(int(wrong.argmax()), values.shape)
            at = f" at {[int(each) for each in index]}" if values.ndim else ""
            raise ValueError(f"{name} must be {requirement.said}, got {values[index]}{at}")
        found.append(values)
    return tuple(found)


def numbers(wanted: Wanted = FINITE, /, **arguments: Number) -> tuple[float, ...]:
    """Arguments that are one number each, as floats; same errors as `arrays`."""
    return tuple(float(each) for each in arrays(**{name: (given, "", wanted) for name, given in arguments.items()}))


def rows(values: NDArray[Any]) -> NDArray[Any]:
    """An array with all leading axes merged into one."""
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


def mean(values: NDArray[Any]) -> float:
    """Mean of all values, `nan` without any."""
    return float(values.mean(dtype=np.float64)) if values.size else math.nan


def _array(name: str, given: object) -> NDArray[Any]:
    """An argument as an array of a number type that numpy can compute with."""
    try:
        values = _native(given)
        if values.dtype.kind not in "biuf":
            if values.dtype.kind in "OSUcmM":
                raise ValueError
            values = values.astype(np.float64)  # such as bfloat16 of ml_dtypes
    except (ValueError, TypeError, RuntimeError):
        told = repr(given).splitlines()[0][:60]
        raise ValueError(f"{name} must be numbers in rows of equal length, got {told}") from None
    masked = np.count_nonzero(given.mask) if isinstance(given, np.ma.MaskedArray) else 0
    if masked:
        raise ValueError(f"{name} must not have masked values, got {masked} of them")
    return values


def _native(given: object) -> NDArray[Any]:
    if isinstance(given, (list, tuple)):
        return np.asarray([_native(each) for each in given] if _holds_tensors(given) else given)
    return _of_tensor(given) if _is_tensor(given) else np.asarray(given)


def _of_tensor(given: "Tensor") -> NDArray[Any]:
    values = given.detach().cpu().to_dense()
    try:
        return values.numpy()
    except TypeError:  # numpy has no bfloat16
        return values.float().numpy()


def _is_tensor(given: object) -> "TypeGuard[Tensor]":
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(given, torch.Tensor)


def _holds_tensors(given: Sequence[Any]) -> bool:
    return any(_is_tensor(each) or (isinstance(each, (list, tuple)) and _holds_tensors(each)) for each in given)


def _check_shape(name: str, shape: tuple[int, ...], axes: Sequence[str], sizes: dict[str, Any]) -> None:
    """`ValueError` unless a shape has these axes, with the sizes that earlier arguments gave them."""
    found: Sequence[Any] = shape
    if axes and axes[0].startswith("*") and len(shape) >= len(axes) - 1:
        leading = len(shape) - len(axes) + 1
        found = [shape[:leading], *shape[leading:]]
    if len(found) != len(axes):
        wanted = f"have shape [{', '.join(axes)}]" if axes else "be one number"
        raise ValueError(f"{name} must {wanted}, got shape {list(shape)}")
    for axis, size in zip(axes, found, strict=True):
        known, first = sizes.setdefault(axis, (int(axis), "") if axis.isdigit() else (size, name))
        if known != size:
            told = f" with {axis.strip('*')} {known} as in {first}" if first else ""
            raise ValueError(f"{name} must have shape [{', '.join(axes)}]{told}, got shape {list(shape)}")
