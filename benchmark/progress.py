"""How a long computation reports its progress, and learns that it should stop."""

from typing import Protocol, runtime_checkable


class StopRequested(BaseException):
    """The run is being stopped; a computation that can be resumed saves its state before it passes this on.

    Like `KeyboardInterrupt` it is no `Exception`, so that nothing takes it for a failure.
    """


@runtime_checkable
class Progress(Protocol):
    """What a long computation reports its progress to."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """`done` of `total` steps; `note` is a short text such as `loss 1.23, 12k tokens/s`.

        Raises:
            StopRequested: The run is being stopped.
        """
        ...
