"""The largest number of bytes that tensors take at one time, counted as they are made and freed.

The resident memory of a process also contains what its allocators keep, and differs between two runs of the same code;
what tensors take does not.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(run: Callable[[], object]) -> int:
    """The largest number of bytes of tensors made by `run` that exist at one time.

    Tensors that existed before are not counted, nor are arrays that are not tensors and what an operator of PyTorch
    allocates for itself only.
    """
    live = LiveBytes()
    with live:
        run()
    return live.peak


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors made by the operators inside, while it is active.

    Attributes:
        now: Bytes of the tensors that still exist.
        peak: The most at any time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.peak: int = 0
        self._counted: set[int] = set()

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: object,
        arguments: Sequence[Any] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operator, and count the storages that it made."""
        given = {self._key(each) for each in tree_leaves((arguments, keywords)) if _is_dense(each)}
        made = function(*arguments, **(keywords or {}))
        for each in tree_leaves(made):
            if _is_dense(each) and (key := self._key(each)) not in given and key not in self._counted:
                self._count(each.untyped_storage(), key)
        return made

    @staticmethod
    def _key(tensor: torch.Tensor) -> int:
        """What tells apart the storages that exist."""
        key: int = tensor.untyped_storage()._cdata
        return key

    def _count(self, storage: torch.UntypedStorage, key: int) -> None:
        size = storage.nbytes()
        self._counted.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._counted.discard(key)
        self.now -= size


def _is_dense(leaf: object) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided
