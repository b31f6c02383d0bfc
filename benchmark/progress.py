"""How a long computation reports its progress."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """What a long computation reports its progress to."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """`done` of `total` steps; `note` is a short text such as `loss 1.23, 12k tokens/s`."""
        ...
