"""An accelerator without hardware: real numbers behind tensors of another device, and the refusals of a real one.

Inside `emulated_device()` the device `meta` computes: a tensor there holds a tensor on the CPU, on which every
operation runs, and gradients too. What a GPU refuses is refused: tensors of two devices in one operation, numpy, a
generator of the CPU and, on request, float64. Not emulated: other threads, generators of the device, sparse tensors,
pinned memory, pickle, `out=` arguments that must grow, `torch.compile`, and a GPU's own rounding.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._ops import OpOverload
from torch.autograd.function import BackwardCFunction
from torch.nn.attention import SDPBackend
from torch.overrides import TorchFunctionMode
from torch.testing._comparison import TensorLikePair
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
"""The emulated device: the only one besides the CPU whose operations autograd runs in the calling thread."""

aten = torch.ops.aten

INDICES_ON_CPU: dict[object, str] = dict.fromkeys(
    (
        aten.index,
        aten._unsafe_index,
        aten.index_put,
        aten.index_put_,
        aten._index_put_impl_,
        aten._unsafe_index_put,
    ),
    "indices",
)
"""Operations whose indices may be on the CPU if the tensor itself is on the device; the converse is refused."""

SCALAR_ON_CPU: dict[object, str] = {
    **dict.fromkeys((aten.fill, aten.fill_, aten.masked_fill, aten.masked_fill_), "value"),
    **dict.fromkeys((aten.index_fill, aten.index_fill_), "value"),
    **dict.fromkeys((aten.index_put, aten.index_put_, aten._index_put_impl_), "values"),
    **dict.fromkeys((aten._foreach_add, aten._foreach_add_, aten._foreach_mul, aten._foreach_mul_), "other"),
    **dict.fromkeys((aten._foreach_div, aten._foreach_div_), "other"),
    **dict.fromkeys((aten.lerp, aten.lerp_), "weight"),
    **dict.fromkeys((aten.addcmul, aten.addcmul_), "tensor2"),
    **dict.fromkeys((aten.addcdiv, aten.addcdiv_, aten.equal), "none"),
}
"""The one argument that may be a CPU tensor without dimensions; in other elementwise operations any argument may."""

SET_DATA = torch.Tensor.data.__set__  # type: ignore[attr-defined]
"""What `tensor.data = value` calls."""

OPTIMIZERS = sys.modules["torch.optim.optimizer"]
"""The module that asks which devices have fused optimizers; `torch.optim` hides it."""

COMPARE = TensorLikePair.compare
"""How `torch.testing.assert_close` compares two tensors."""

BACKWARD: Callable[..., Any] = BackwardCFunction.apply
"""How autograd calls the `backward` of a `torch.autograd.Function`."""

MAKE_GRADS: Callable[..., Any] = torch.autograd._make_grads
"""How autograd takes the gradients of outputs that it is given."""

NO_FLOAT64 = (
    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. "
    "Please use float32 instead."
)


@contextmanager
def emulated_device(*, float64: bool = True) -> Iterator[torch.device]:
    """Lets tensors be made on, moved to and computed with on the device that it yields, in this thread.

    Compare them inside of it or on the CPU: elsewhere `torch.testing.assert_close` does not look at numbers on `meta`.

    Args:
        float64: Whether the device has this number type; MPS has not.
    """
    with (
        _Operations(float64),
        _PythonFunctions(),
        patch.object(TensorLikePair, "compare", _compare),
        patch.object(BackwardCFunction, "apply", _backward),
        patch.object(torch.autograd, "_make_grads", _make_grads),
        patch.object(OPTIMIZERS, "_get_fused_kernels_supported_devices", lambda: ["cpu", DEVICE.type]),
    ):
        yield DEVICE


class EmulatedTensor(torch.Tensor):
    """A tensor of the emulated device; `held` has its numbers, on the CPU."""

    held: Tensor
    is_meta = False  # PyTorch would not initialise its parameters, nor load them
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> "EmulatedTensor":
        """A tensor of the same shape and strides, without storage of its own."""
        if held.layout != torch.strided:
            raise NotImplementedError(f"the emulated device has no {held.layout} tensors")
        wrapper: EmulatedTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        wrapper.held = held
        return wrapper

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: object) -> None:
        """Reached only where the device is not emulated."""
        raise RuntimeError(f"{func}: a tensor of the emulated device was used outside of `emulated_device()`")

    def numpy(self, *, force: bool = False) -> Any:
        """Refused, unless a copy is asked for."""
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(
            f"can't convert {DEVICE} device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )

    def __array__(self, *_: object, **__: object) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        """The numbers, as from a GPU."""
        return self.held.tolist()

    def data_ptr(self) -> int:
        """Refused: a kernel of the CPU cannot read an address on a GPU."""
        raise RuntimeError("a tensor of the emulated device has no address in the memory of the CPU")

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else object.__format__(self, spec)

    def __reduce_ex__(self, _: object) -> Any:
        raise NotImplementedError("a tensor of the emulated device cannot be pickled: PyTorch would lose its numbers")

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"emulated {self.held!r}"


class _Operations(TorchDispatchMode):
    """Runs every operation on the held tensors, after the checks of a GPU."""

    def __init__(self, float64: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.float64 = float64

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        emulated = any(isinstance(leaf, EmulatedTensor) for leaf in leaves)
        asked = kwargs.get("device")
        made_here = emulated if asked is None else torch.device(asked) == DEVICE
        if not emulated and not made_here:
            return func(*args, **kwargs)
        if emulated:
            _check_devices(func, args, kwargs)
        if any(isinstance(leaf, torch.Generator) for leaf in leaves):
            raise RuntimeError(f"{func}: Expected a '{DEVICE}' device type for generator but found 'cpu'")
        if asked is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        held = func(*tree_map(_held, args), **tree_map(_held, kwargs))
        if not made_here:
            self._check_type(held)  # MPS converts before it copies
            return held
        if func.overloadpacket is aten.copy_ and not isinstance(args[0], EmulatedTensor):
            self._check_type(held)
        result = return_and_correct_aliasing(func, args, kwargs, tree_map(self._placed, held))
        if any(isinstance(leaf, EmulatedTensor) and leaf.shape != leaf.held.shape for leaf in leaves):
            raise NotImplementedError(f"{func} changes the shape of a tensor: this is not emulated")
        return result

    def _placed(self, result: Any) -> Any:
        """A result, on the emulated device if it is a tensor."""
        self._check_type(result)
        return EmulatedTensor(result) if isinstance(result, Tensor) else result

    def _check_type(self, result: object) -> None:
        """Raise for a number type that the device has not."""
        if not self.float64 and isinstance(result, Tensor) and result.dtype in (torch.float64, torch.complex128):
            raise TypeError(NO_FLOAT64)


class _PythonFunctions(TorchFunctionMode):
    """What PyTorch does without an operation that `_Operations` sees, or in another way on `meta` than on a CPU."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor, torch.asarray):
            return _tensor(func, *args, **kwargs)
        if func is torch.Tensor.new_tensor and isinstance(args[0], EmulatedTensor):
            like, *data = args
            return _tensor(torch.tensor, *data, **{"dtype": like.dtype, "device": like.device, **kwargs})
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            return func(args[0], _without_lists(args[1]), *args[2:])
        if func is torch._has_compatible_shallow_copy_type and _crosses(args):
            return True  # so that `Module.to` sets `data`, and tied parameters remain tied
        if func == SET_DATA and isinstance(args[1], Tensor):
            return _set_data(*args)
        if func is F.scaled_dot_product_attention and isinstance(args[0], EmulatedTensor):
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


def _held(value: Any) -> Any:
    """The tensor on the CPU behind one of the emulated device; anything else as it is."""
    return value.held if isinstance(value, EmulatedTensor) else value


def _crosses(tensors: Sequence[object]) -> bool:
    """Whether some of these are on the emulated device and some are not."""
    return len({isinstance(each, EmulatedTensor) for each in tensors}) > 1


def _check_devices(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise where a GPU refuses a tensor of the CPU beside one of its own.

    An elementwise operation takes one CPU tensor without dimensions (`where` any number of them), unless it is written
    to. `copy_` takes any, and indexing takes indices on the CPU for a tensor of the device.
    """
    packet = func.overloadpacket
    if packet is aten.copy_:
        return
    named = {**dict(zip((each.name for each in func._schema.arguments), args, strict=False)), **kwargs}
    own_indexed = isinstance(named.get("self"), EmulatedTensor)
    scalars = 0
    for argument in func._schema.arguments:
        name = argument.name
        for tensor in tree_leaves(named.get(name)):
            if not isinstance(tensor, Tensor) or isinstance(tensor, EmulatedTensor):
                continue
            if tensor.device == DEVICE:
                raise RuntimeError(f"{name} of {func} is a tensor without numbers, made outside of the emulation")
            if own_indexed and INDICES_ON_CPU.get(packet) == name:
                continue
            written = argument.alias_info is not None and argument.alias_info.is_write
            allowed = SCALAR_ON_CPU.get(packet, name if torch.Tag.pointwise in func.tags else "none") == name
            if tensor.ndim > 0 or written or not allowed:
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two devices, "
                    f"{DEVICE} and cpu! ({name} of {func} is on the CPU)"
                )
            scalars += 1
    if scalars > 1 and packet is not aten.where:
        raise RuntimeError(f"Trying to pass too many CPU scalars to non-CPU kernel! ({func})")


def _tensor(
    make: Callable[..., Tensor], data: Any, *, device: Any = None, requires_grad: bool = False, **kwargs: Any
) -> Tensor:
    """What `torch.tensor` or its kin makes of the data, moved to the device afterwards."""
    if isinstance(data, Tensor):
        made = make(data, **kwargs)
    else:
        made = make(tree_map(lambda each: each.item() if isinstance(each, EmulatedTensor) else each, data), **kwargs)
    made = made if device is None else made.to(device)
    return made.requires_grad_() if requires_grad else made


def _compare(pair: TensorLikePair) -> None:
    """The comparison of `torch.testing`, which would not look at the numbers of tensors on `meta`."""
    pair._compare_attributes(pair.actual, pair.expected)
    pair.actual, pair.expected = _held(pair.actual), _held(pair.expected)
    COMPARE(pair)


def _without_lists(index: Any) -> Any:
    """An index whose lists are tensors on the CPU; PyTorch would put them on `meta`, without numbers."""
    if isinstance(index, list):
        return torch.tensor(index) if index else torch.tensor(index, dtype=torch.long)
    return tuple(map(_without_lists, index)) if isinstance(index, tuple) else index


def _backward(node: Any, *gradients: Any) -> Any:
    """The gradients of an autograd function, checked."""
    found = BACKWARD(node, *gradients)
    each = found if isinstance(found, tuple) else (found,)
    wanted = [gradient for gradient, needed in zip(each, node.needs_input_grad, strict=False) if needed]
    edges = [edge for edge in node.next_functions if edge[0] is not None]
    for gradient, (following, index) in zip(wanted, edges, strict=False):
        _check_gradient(gradient, following._input_metadata[index].device)
    return found


def _make_grads(outputs: Sequence[Any], gradients: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
    """The gradients of outputs, checked."""
    for output, gradient in zip(outputs, gradients, strict=False):
        _check_gradient(gradient, output.device)
    return MAKE_GRADS(outputs, gradients, *args, **kwargs)


def _check_gradient(gradient: object, expected: torch.device) -> None:
    """Raise for a gradient on another device, as autograd does except for tensor subclasses."""
    if isinstance(gradient, Tensor) and gradient.ndim > 0 and gradient.device != expected:
        raise RuntimeError(f"invalid gradient - expected device {expected} but got {gradient.device}")


def _set_data(target: Tensor, value: Tensor) -> None:
    """`target.data = value`: the same Python object gets other numbers, and its gradient moves to their device."""
    if not _crosses((target, value)):
        SET_DATA(target, value)
        if isinstance(target, EmulatedTensor):
            target.held = _held(value)
        return
    needs_gradient, gradient, fresh = target.requires_grad, target.grad, value.detach()
    if isinstance(target, torch.nn.Parameter):
        fresh = torch.nn.Parameter(fresh, needs_gradient)
    torch.utils.swap_tensors(target, fresh.requires_grad_(needs_gradient))
    if gradient is not None:
        target.grad = gradient.to(value.device)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **kwargs: Any,
) -> Tensor:
    """The attention of the CPU, which PyTorch chooses by the device; with a mask or dropout the one of `meta`."""
    plain = [_held(each) for each in (query, key, value)]
    chosen: int = aten._fused_sdp_choice(*plain, None, dropout_p, is_causal, **kwargs)
    if attn_mask is not None or dropout_p or kwargs.get("enable_gqa") or chosen != SDPBackend.FLASH_ATTENTION.value:
        return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **kwargs)
    mixed: Tensor = aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, dropout_p, is_causal, scale=kwargs.get("scale")
    )[0]
    return mixed
